/* unit_text_clean.c - prompts as people paste them; what comes out is ftfy's. */
#include "tests/support/unit.h"

#include "pipeline/text/clean/clean_internal.h"
#include "pipeline/text/clean/text_clean.h"

/* Expected texts: ftfy 6.3.1, then html.unescape twice and white space folded, in Python. */
static void prompts(void **state)
{
    static const struct {
        const char *in, *want;
    } table[] = {
        /* plain text */
        { "an old lighthouse", "an old lighthouse" },
        { "  two   words ", "two words" },
        { "", "" },
        { "\t\n ", "" },
        /* UTF-8 read in each encoding */
        { "cafÃ© Ã\302\240 la mode â\302\200\302\224 â\302\200\302\234vueâ\302\200\302\235",
          "café à la mode — \"vue\"" },
        { "cafÃ© Ã\302\240 la carteâ€¦ â€œvueâ€\302\235", "café à la carte… \"vue\"" },
        { "РїР»С‹РІС‘С‚ РєРѕСЂР°Р±Р»СЊ", "плывёт корабль" },
        { "ĹşdĹşbĹ‚o zaĹĽĂłĹ‚Ä‡", "źdźbło zażółć" },
        { "Ξ¤ΞΏ Ο€Ξ»ΞΏΞ―ΞΏ", "Το πλοίο" },
        { "gÃ¼neÅŸ doÄŸuyor", "güneş doğuyor" },
        { "Å¡alta Å¾iemÄ…", "šalta žiemą" },
        { "ĹžluĹĽouÄ\302\215kĂ˝ kĹŻĹ\302\210", "žluťoučký kůň" },
        { "o√π l‚Äô√©t√©", "où l'été" },
        { "na├»ve d├⌐j├á vu", "naïve déjà vu" },
        /* twice, and three times */
        { "dÃ…ÂºwiÃ„â„¢k", "dźwięk" },
        { "ÃƒÂ¢Ã¢â€šÂ¬Ã…â€œquotedÃƒÂ¢Ã¢â€šÂ¬Ã‚Â\302\235", "\"quoted\"" },
        /* no-break spaces that became blanks */
        { "voilÃ  le travail", "voilà le travail" },
        { "Ã  la carte", "à la carte" },
        { "Ã s vezes Ã quele", "às vezes àquele" },
        /* bytes lost */
        { "â€œ like this â€�", "\" like this �" },
        { "CafÃ? crÃ¨me", "Caf� crème" },
        /* surrogates */
        { "\355\240\275\355\270\200 ok \355\270\200", "😀 ok �" },
        { "smile Ã© í\302\240½í¸\302\200", "smile é 😀" },
        /* part of a text */
        { "naïve “quotes” and â€œmojibakeâ€\302\235 too", "naïve \"quotes\" and \"mojibake\" too" },
        { "Ünïcode â€“ 日本", "Ünïcode – 日本" },
        /* two-byte zero */
        { "cafÃ© À\n", "café" },
        /* C1 controls */
        { "\302\221one\302\222 \302\223two\302\224 \302\205", "'one' \"two\" …" },
        { "\302\201\302\215", "\302\201\302\215" },
        /* left alone */
        { "Ångström ± 5° ½", "Ångström ± 5° ½" },
        { "© 2020 «oui» ¿qué?", "© 2020 «oui» ¿qué?" },
        { "RÉSUMÉ À LA CARTE", "RÉSUMÉ À LA CARTE" },
        { "naïve café", "naïve café" },
        { "Ã", "Ã" },
        { "ТЕКСТ Љубав", "ТЕКСТ Љубав" },
        /* references */
        { "&lt;b&gt; &amp;amp;", "<b> &" },
        { "&EACUTE;&SZLIG;&NAPOS;&FFILIG;&NTILDE;", "ÉSS'NFFIÑ" },
        { "&hellip;&nbsp;&NotEqualTilde;", "… ≂\314\270" },
        { "<b> &eacute; &lt;", "<b> é <" },
        { "&notit; &copy 2020 &ampx", "¬it; © 2020 &x" },
        { "&#0;|&#128;|&#150;|&#xD83D;|&#x1F600;|&#59;|&#5;|&#99999999999;", "�|€|–|�|😀|;||�" },
        { "&; & &# &#x; &#xz; &nosuch;", "&; & &# &#x; &#xz; &nosuch;" },
        { "one < two\n&amp;lt; three", "one < two < three" },
        { "&CounterClockwiseContourIntegral;", "∳" },
        { "&#x26;#x26;amp;", "&" },
        /* ligatures, widths, quotes */
        { "eﬃcient ﬁlm ﬆ Ĳ ŉ ǅ", "efficient film st IJ 'n Dž" },
        { "ＬＯＵＤ\343\200\200ＮＯＩＳＥＳ\343\200\200１２", "LOUD NOISES 12" },
        { "Ｕﾀｰﾝ ｶﾞ ￥", "Uターン ガ ¥" },
        { "色调艳丽，过曝！", "色调艳丽,过曝!" },
        { "ＯＫ！ caf├⌐ cr├¿me br├╗l├⌐e", "OK! café crème brûlée" },
        { "（na├»ve）　｛d├⌐j├á｝ ～ － ＿", "(naïve) {déjà} ~ - _" },
        { "｢ﾀ｣ ､ ｡ ･ ＆amp；", "「タ」 、 。 ・ &" },
        { "‘a’ ‚b‛ “c” „d‟ ʼe", "'a' 'b' \"c\" \"d\" 'e" },
        /* lines, controls, escapes */
        { "a\r\nb\rc\342\200\250d\342\200\251e", "a b c d e" },
        { "\033[36;44mblue\033[0m \033[", "blue [" },
        { "a\013b\014c\177\357\273\277\342\201\252d￼e", "ab cde" },
        { "zero\342\200\213width\342\200\215joiner", "zero\342\200\213width\342\200\215joiner" },
        /* composition */
        { "cafe\314\201 A\314\212 n\314\203 각", "café Å ñ 각" },
        { "Å ẛ\314\243", "Å ẛ\314\243" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        char *out;
        assert_int_equal(text_clean(table[i].in, strlen(table[i].in), &out), ST_OK);
        assert_string_equal(out, table[i].want);
        free(out);
    }
}

/* What came out goes in again and stays, where no reference is left in it. */
static void cleaned_stays(void **state)
{
    static const char *const in[] = { "cafÃ© Ã\302\240 la carteâ€¦ â€œvueâ€\302\235",
                                      "ＬＯＵＤ　ＮＯＩＳＥＳ", "o√π l‚Äô√©t√©" };

    (void)state;
    for (int i = 0; i < COUNT_OF(in); i++) {
        char *once, *twice;
        assert_int_equal(text_clean(in[i], strlen(in[i]), &once), ST_OK);
        assert_int_equal(text_clean(once, strlen(once), &twice), ST_OK);
        assert_string_equal(once, twice);
        free(once);
        free(twice);
    }
}

static void refusals(void **state)
{
    static const struct {
        const char *in;
        size_t len;
        const char *message;
    } table[] = {
        { "abc\377d", 5, "prompt: byte 0xFF at byte 3 is not UTF-8" },
        { "\300\200", 2, "prompt: byte 0xC0 at byte 0 is not UTF-8" },
        { "ab\342\202", 4, "prompt: byte 0xE2 at byte 2 is not UTF-8" },
        { "\364\220\200\200", 4, "prompt: byte 0xF4 at byte 0 is not UTF-8" },
        { "\360\200\200\200", 4, "prompt: byte 0xF0 at byte 0 is not UTF-8" },
        { "ab\0c", 4, "prompt: a NUL at byte 2; a prompt is text" },
    };
    char *const longer = malloc(TEXT_CLEAN_MAX + 1);
    char *out = NULL;

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        assert_int_equal(text_clean(table[i].in, table[i].len, &out), ST_FORMAT);
        assert_string_equal(error_last()->msg, table[i].message);
    }
    assert_non_null(longer);
    memset(longer, 'a', TEXT_CLEAN_MAX + 1);
    assert_int_equal(text_clean(longer, TEXT_CLEAN_MAX + 1, &out), ST_FORMAT);
    assert_string_equal(error_last()->msg, "prompt: 16385 bytes; at most 16384 are allowed");
    assert_int_equal(text_clean(longer, TEXT_CLEAN_MAX, &out), ST_OK);
    assert_int_equal(strlen(out), TEXT_CLEAN_MAX);
    free(out);
    free(longer);
    assert_int_equal(text_clean(NULL, 0, &out), ST_OK);
    assert_string_equal(out, "");
    free(out);
}

/* Every byte of every encoding there and back. */
static void charmaps(void **state)
{
    (void)state;
    for (int m = 0; m < CODEPAGE_COUNT; m++) {
        struct codepoints all = { 0 };
        unsigned char back[256];
        for (int b = 0; b < 256; b++)
            codepoints_add(&all, codepage_decode((enum codepage)m, (unsigned char)b));
        assert_true(codepage_encode((enum codepage)m, &all, back));
        for (int b = 0; b < 256; b++) assert_int_equal(back[b], b);
        codepoints_add(&all, 0x1f3ac);
        unsigned char more[257];
        assert_false(codepage_encode((enum codepage)m, &all, more));
        codepoints_free(&all);
    }
    assert_int_equal(codepage_decode(CODEPAGE_WINDOWS_1252, 0x80), 0x20ac);
    assert_int_equal(codepage_decode(CODEPAGE_WINDOWS_1252, 0x81), 0x81);
    assert_int_equal(codepage_decode(CODEPAGE_CP437, 0xff), 0xa0);
}

static void entities(void **state)
{
    (void)state;
    assert_int_equal(html_entity_find("amp")->first, '&');
    assert_int_equal(html_entity_find("AElig")->first, 0xc6);
    assert_int_equal(html_entity_find("zwnj")->first, 0x200c);
    assert_int_equal(html_entity_find("NotEqualTilde")->second, 0x338);
    assert_null(html_entity_find("nosuch"));
    assert_true(html_entity_is_bare("amp"));
    assert_true(html_entity_is_bare("AElig"));
    assert_true(html_entity_is_bare("yuml"));
    assert_false(html_entity_is_bare("hellip"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prompts),  cmocka_unit_test(cleaned_stays), cmocka_unit_test(refusals),
        cmocka_unit_test(charmaps), cmocka_unit_test(entities),
    };
    return cmocka_run_group_tests_name("unit_text_clean", tests, NULL, NULL);
}
