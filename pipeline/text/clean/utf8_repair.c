/* utf8_repair.c - patterns of bytes that were UTF-8 before a few were changed. */
#include "base/utf8.h"
#include "pipeline/text/clean/clean_internal.h"

#include <string.h>

enum set {
    END,
    BLANK,
    LOST,
    QUERY,
    LOST_QUERY,
    LEAD2,
    LEAD2_LATIN,
    LEAD2_A0, /* where 0xA0 behind it makes a likely letter */
    LEAD3,
    LEAD3_LOW,
    LEAD3_A0,
    LEAD4,
    LEAD4_LOW,
    SURROGATE,
    HIGH_HALF,
    LOW_HALF,
    TAIL,
    TAIL_PLAIN, /* not 0xA0, nor 0x85, the ellipsis */
    TAIL_LOST,
    TAIL_ANY,
    SETS
};

enum { RANGES = 5, PATTERN = 6 };

static const unsigned char ranges[SETS][RANGES][2] = {
    [BLANK] = { { 0x20, 0x20 } },
    [LOST] = { { 0x1a, 0x1a } },
    [QUERY] = { { '?', '?' } },
    [LOST_QUERY] = { { 0x1a, 0x1a }, { '?', '?' } },
    [LEAD2] = { { 0xc2, 0xdf } },
    [LEAD2_LATIN] = { { 0xc2, 0xc3 } },
    [LEAD2_A0] = { { 0xc2, 0xc3 }, { 0xc5, 0xc5 }, { 0xce, 0xce }, { 0xd0, 0xd0 }, { 0xd9, 0xd9 } },
    [LEAD3] = { { 0xe0, 0xef } },
    [LEAD3_LOW] = { { 0xe0, 0xe3 } },
    [LEAD3_A0] = { { 0xe2, 0xe3 } },
    [LEAD4] = { { 0xf0, 0xf4 } },
    [LEAD4_LOW] = { { 0xf0, 0xf0 } },
    [SURROGATE] = { { 0xed, 0xed } },
    [HIGH_HALF] = { { 0xa0, 0xaf } },
    [LOW_HALF] = { { 0xb0, 0xbf } },
    [TAIL] = { { 0x80, 0xbf } },
    [TAIL_PLAIN] = { { 0x80, 0x84 }, { 0x86, 0x9f }, { 0xa1, 0xbf } },
    [TAIL_LOST] = { { 0x1a, 0x1a }, { 0x80, 0xbf } },
    [TAIL_ANY] = { { 0x1a, 0x1a }, { '?', '?' }, { 0x80, 0xbf } },
};

/* The first that fits counts. */
static const unsigned char altered[][PATTERN] = {
    { LEAD2_A0, BLANK },
    { LEAD3_A0, BLANK, TAIL_PLAIN },
    { LEAD3_LOW, TAIL_PLAIN, BLANK },
    { LEAD4_LOW, BLANK, TAIL, TAIL },
    { LEAD4_LOW, TAIL, BLANK, TAIL },
    { LEAD4_LOW, TAIL, TAIL, BLANK },
};
static const unsigned char lossy[][PATTERN] = {
    { LEAD2, LOST },
    { LEAD2_LATIN, QUERY },
    { SURROGATE, HIGH_HALF, LOST_QUERY, SURROGATE, LOW_HALF, TAIL_ANY },
    { SURROGATE, HIGH_HALF, TAIL_ANY, SURROGATE, LOW_HALF, LOST_QUERY },
    { LEAD3, LOST_QUERY, TAIL_LOST },
    { LEAD3, TAIL_LOST, LOST_QUERY },
    { LEAD4, LOST_QUERY, TAIL_LOST, TAIL_LOST },
    { LEAD4, TAIL_LOST, LOST_QUERY, TAIL_LOST },
    { LEAD4, TAIL_LOST, TAIL_LOST, LOST_QUERY },
    { LOST },
};

static bool is_in(unsigned char set, unsigned char byte)
{
    for (int i = 0; i < RANGES; i++)
        if (byte >= ranges[set][i][0] && byte <= ranges[set][i][1] && ranges[set][i][1])
            return true;
    return false;
}

static size_t pattern_fits(const unsigned char pattern[PATTERN], const struct strbuf *in, size_t at)
{
    size_t n = 0;

    for (; n < PATTERN && pattern[n] != END; n++)
        if (at + n >= in->len || !is_in(pattern[n], (unsigned char)in->s[at + n])) return 0;
    return n;
}

static size_t any_fits(const unsigned char (*patterns)[PATTERN], int count, const struct strbuf *in,
                       size_t at)
{
    size_t n = 0;

    for (int i = 0; i < count && !n; i++) n = pattern_fits(patterns[i], in, at);
    return n;
}

static bool starts_with(const struct strbuf *in, size_t at, const char *word)
{
    size_t const len = strlen(word);

    return at <= in->len && in->len - at >= len && !memcmp(in->s + at, word, len);
}

/* "Ã " as a word of its own is "à " that lost its 0xA0 to the blank; before the
 * rest of a Portuguese contraction it is the first letter of that word. */
static bool is_lone_a_grave(const struct strbuf *in, size_t at)
{
    static const char *const more[] = { " ", "quele", "quela", "quilo", "s " };

    if (!starts_with(in, at, "\xc3 ")) return false;
    for (int i = 0; i < COUNT_OF(more); i++)
        if (starts_with(in, at + 2, more[i])) return false;
    return true;
}

static void restore_a_grave(const struct strbuf *in, struct strbuf *out)
{
    for (size_t i = 0; i < in->len; i++) {
        strbuf_add(out, in->s + i, 1);
        if (is_lone_a_grave(in, i)) strbuf_add(out, "\xa0", 1);
    }
}

void utf8_repair_restore_a0(const struct strbuf *in, struct strbuf *out)
{
    struct strbuf words = { 0 };

    restore_a_grave(in, &words);
    for (size_t i = 0; i < words.len;) {
        size_t const n = any_fits(altered, COUNT_OF(altered), &words, i);
        size_t const end = i + (n ? n : 1);
        for (; i < end; i++) strbuf_add(out, n && words.s[i] == ' ' ? "\xa0" : words.s + i, 1);
    }
    out->failed |= words.failed;
    strbuf_free(&words);
}

void utf8_repair_replace(const struct strbuf *in, struct strbuf *out)
{
    for (size_t i = 0; i < in->len;) {
        size_t const n = any_fits(lossy, COUNT_OF(lossy), in, i);
        if (n) strbuf_add(out, "\xef\xbf\xbd", 3);
        else strbuf_add(out, in->s + i, 1);
        i += n ? n : 1;
    }
}

/* Six bytes, two surrogates: the code point they stand for; else 0. */
static uint32_t surrogate_pair(const struct strbuf *in, size_t at)
{
    static const unsigned char pair[PATTERN] = { SURROGATE, HIGH_HALF, TAIL,
                                                 SURROGATE, LOW_HALF,  TAIL };
    const unsigned char *const b = (const unsigned char *)in->s + at;

    if (!pattern_fits(pair, in, at)) return 0;
    return 0x10000u + ((b[1] & 0x0fu) << 16) + ((b[2] & 0x3fu) << 10) + ((b[4] & 0x0fu) << 6) +
           (b[5] & 0x3fu);
}

/* 0xC0 0x80; ftfy also takes 0xC0 and the newline that ends the text. */
static bool is_two_byte_zero(const struct strbuf *in, size_t at)
{
    return starts_with(in, at, "\xc0\x80") || (starts_with(in, at, "\xc0\n") && at + 2 == in->len);
}

bool utf8_repair_decode(const struct strbuf *in, struct codepoints *out)
{
    for (size_t i = 0; i < in->len;) {
        uint32_t c = surrogate_pair(in, i);
        int n = c ? 6 : 0;

        if (!c && is_two_byte_zero(in, i)) n = 2;
        if (!n) n = utf8_decode(&c, in->s + i, in->len - i);
        if (!n) return false;
        codepoints_add(out, c);
        i += (size_t)n;
    }
    return true;
}
