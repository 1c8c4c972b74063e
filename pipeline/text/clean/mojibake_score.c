/* mojibake_score.c - rules over neighbouring characters; one that fits makes a text bad. */
#include "pipeline/text/clean/clean_internal.h"

#include <uchar.h>

enum {
    LETTER = CH_ASCII_UPPER | CH_ASCII_LOWER,
    ACCENTED = CH_LOWER | CH_UPPER,
    QUOTED = CH_OPEN | CH_CLOSE,
    FORM = CH_CURRENCY | CH_NUMERIC | CH_LAW,
    CLUE = CH_C1 | CH_BAD | QUOTED | CH_CURRENCY,
    ARABIC_TAIL = CH_COMMON | CH_CURRENCY | CH_BAD | CH_NUMERIC | CH_OPEN,
};

/* One character of a sequence: of any of the classes, or one of the string.
 * `other` turns it round: anything else. All unset: the sequence ends here. */
struct cell {
    uint32_t is;
    const char16_t *or_in;
    bool other;
};

enum { CELLS = 8 };

static const struct rule {
    bool at_start; /* of the text */
    struct cell cell[CELLS];
} rules[] = {
    { .cell = { { .is = CH_C1 } } },

    /* Classes that do not stand beside each other. */
    { .cell = { { .is = CH_BAD | ACCENTED | CH_BOX | QUOTED | FORM }, { .is = CH_BAD } } },
    { .cell = { { .is = CH_BAD }, { .is = ACCENTED | CH_BOX | QUOTED | FORM } } },
    { .cell = { { .is = LETTER }, { .is = CH_LOWER_COMMON | CH_UPPER_COMMON }, { .is = CH_BAD } } },
    { .cell = { { .is = CH_LOWER | CH_LOWER_COMMON | CH_BOX | CH_CLOSE | CH_CURRENCY | CH_NUMERIC },
                { .is = CH_UPPER } } },
    { .cell = { { .is = CH_BOX | CH_CLOSE | CH_CURRENCY | CH_NUMERIC }, { .is = CH_LOWER } } },
    { .cell = { { .is = CH_LOWER | CH_BOX | CH_CLOSE }, { .is = CH_CURRENCY } } },
    { .cell = { { .is = CH_SPACE }, { .is = CH_UPPER }, { .is = CH_CURRENCY } } },
    { .cell = { { .is = CH_UPPER | CH_BOX }, { .is = CH_NUMERIC | CH_LAW } } },
    { .cell = { { .is = ACCENTED | CH_BOX | CH_CURRENCY | CH_CLOSE },
                { .is = CH_OPEN },
                { .is = CH_NUMERIC } } },
    { .cell = { { .is = ACCENTED | FORM | CH_BOX }, { .is = CH_CLOSE }, { .is = CH_OPEN } } },
    { .cell = { { .is = CH_CURRENCY | CH_NUMERIC | CH_BOX }, { .is = CH_OPEN } } },
    { .cell = { { .is = CH_ASCII_LOWER }, { .is = CH_UPPER }, { .is = CH_OPEN | CH_CURRENCY } } },
    { .cell = { { .is = CH_BOX }, { .is = CH_FACE | CH_CLOSE } } },
    { .cell = { { .is = ACCENTED | FORM | QUOTED }, { .is = CH_BOX } } },
    { .cell = { { .is = ACCENTED }, { .is = QUOTED }, { .is = CH_WORD } } },

    /* Latin letters of Windows-1252 and signs they hardly precede. */
    { .cell = { { .or_in = u"Œœ" }, { .is = LETTER, .other = true } } },
    { .cell = { { .is = CH_UPPER }, { .or_in = u"°" } } },
    { .cell = { { .or_in = u"ÂÃÎÐ" },
                { .is = QUOTED, .or_in = u"€œŠš¢£Ÿž\u00a0\u00ad®©°·»–—´" } } },
    { .cell = { { .or_in = u"×" }, { .or_in = u"²³" } } },
    { .cell = { { .or_in = u"ØÙ" },
                { .is = ARABIC_TAIL, .or_in = u"ŸŠ®°µ»" },
                { .or_in = u"ØÙ" },
                { .is = ARABIC_TAIL, .or_in = u"ŸŠ®°µ»" } } },
    { .cell = { { .or_in = u"à" }, { .or_in = u"²µ¹¼½¾" } } },
    { .cell = { { .or_in = u"Ã" }, { .or_in = u"\u00a0¡" } } },
    { .cell = { { .is = CH_ASCII_LOWER }, { .or_in = u"ÃÂ" }, { .or_in = u" " } } },
    { .cell = { { .is = CH_ASCII_LOWER },
                { .is = CH_SPACE },
                { .or_in = u"ÃÂ" },
                { .or_in = u" " } } },
    { .at_start = true, .cell = { { .or_in = u"ÃÂ" }, { .or_in = u" " } } },
    { .cell = { { .is = CH_ASCII_LOWER | CH_CLOSE, .or_in = u".,?!" },
                { .or_in = u"Â" },
                { .is = QUOTED, .or_in = u" " } } },

    /* MacRoman */
    { .cell = { { .or_in = u"√" }, { .or_in = u"±∂†≠®™´≤≥¥µø" } } },
    { .cell = { { .or_in = u"≈" }, { .or_in = u"°¢" } } },
    { .cell = { { .or_in = u"‚" }, { .or_in = u"Ä" }, { .or_in = u"ìîïòôúùû†°¢π" } } },
    { .cell = { { .or_in = u"‚" }, { .or_in = u"âó" }, { .or_in = u"àä°ê" } } },

    /* Windows-1251; these letters are Cyrillic */
    { .cell = { { .or_in = u"в" }, { .or_in = u"Ђ" } } },
    { .cell = { { .or_in = u"ВГРС" }, { .is = CLUE, .or_in = u"°µ" }, { .or_in = u"ВГРС" } } },
    { .cell = { { .or_in = u"Г" },
                { .or_in = u"ў" },
                { .or_in = u"В" },
                { .or_in = u"Ђ" },
                { .or_in = u"В" },
                { .is = CH_NEWLINE, .other = true },
                { .is = LETTER, .or_in = u" " } } },

    /* Windows-1253; these letters are Greek */
    { .cell = { { .or_in = u"β" }, { .or_in = u"€" }, { .or_in = u"™\u00a0Ά\u00ad®°" } } },
    { .cell = { { .or_in = u"ΒΓΞΟ" }, { .is = CLUE, .or_in = u"°" }, { .or_in = u"ΒΓΞΟ" } } },

    /* Windows-1257 */
    { .cell = { { .or_in = u"ā" }, { .or_in = u"€" } } },
};

static bool is_end(const struct cell *c) { return !c->is && !c->or_in; }

static bool cell_fits(const struct cell *c, uint32_t codepoint, uint32_t classes)
{
    bool in = classes & c->is;

    for (const char16_t *s = c->or_in; s && *s && !in; s++) in = *s == codepoint;
    return in != c->other;
}

static bool rule_fits(const struct rule *r, const struct codepoints *text, const uint32_t *classes,
                      int64_t at)
{
    if (r->at_start && at) return false;
    for (int i = 0; i < CELLS && !is_end(&r->cell[i]); i++, at++)
        if (at == text->count || !cell_fits(&r->cell[i], text->at[at], classes[at])) return false;
    return true;
}

static bool any_rule_fits(const struct codepoints *text, const uint32_t *classes, int64_t at)
{
    int r = 0;

    while (r < COUNT_OF(rules) && !rule_fits(&rules[r], text, classes, at)) r++;
    return r < COUNT_OF(rules);
}

/* No rule fits where three characters are ASCII. */
static bool is_ascii(const struct codepoints *text, int64_t at)
{
    int64_t const end = at + 3 < text->count ? at + 3 : text->count;

    while (at < end && text->at[at] < 0x80) at++;
    return at == end;
}

bool badness_found(struct codepoints *text)
{
    struct codepoints classes = { 0 };
    bool found = false;

    for (int64_t i = 0; i < text->count; i++) codepoints_add(&classes, char_classes(text->at[i]));
    for (int64_t i = 0; !classes.failed && i < text->count && !found; i++)
        if (!is_ascii(text, i)) found = any_rule_fits(text, classes.at, i);
    text->failed |= classes.failed;
    codepoints_free(&classes);
    return found;
}
