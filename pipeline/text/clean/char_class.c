/* char_class.c - ranges of characters and their classes. */
#include "pipeline/text/clean/clean_internal.h"

#include <utf8proc.h>

/* From U+0080 on. */
static const struct {
    uint16_t first, last;
    uint32_t classes;
} table[] = {
    { 0x0080, 0x009f, CH_C1 | CH_TAIL | CH_TAIL_SURE },
    { 0x00a0, 0x00a0, CH_COMMON | CH_TAIL | CH_TAIL_SURE },
    { 0x00a1, 0x00a1, CH_OPEN | CH_TAIL | CH_TAIL_SURE },
    { 0x00a2, 0x00a3, CH_CURRENCY | CH_TAIL | CH_TAIL_SURE },
    { 0x00a4, 0x00a4, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x00a5, 0x00a5, CH_CURRENCY | CH_TAIL | CH_TAIL_SURE },
    { 0x00a6, 0x00a6, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x00a7, 0x00a7, CH_LAW | CH_TAIL | CH_TAIL_SURE },
    { 0x00a8, 0x00a8, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x00a9, 0x00a9, CH_OPEN | CH_TAIL | CH_TAIL_SURE },
    { 0x00aa, 0x00aa, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x00ab, 0x00ab, CH_OPEN | CH_TAIL | CH_TAIL_SURE },
    { 0x00ac, 0x00ac, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x00ad, 0x00ad, CH_COMMON | CH_TAIL | CH_TAIL_SURE },
    { 0x00ae, 0x00ae, CH_CLOSE | CH_TAIL | CH_TAIL_SURE },
    { 0x00af, 0x00af, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x00b0, 0x00b0, CH_FACE | CH_TAIL | CH_TAIL_SURE },
    { 0x00b1, 0x00b3, CH_NUMERIC | CH_TAIL | CH_TAIL_SURE },
    { 0x00b4, 0x00b4, CH_COMMON | CH_TAIL | CH_TAIL_SURE },
    { 0x00b5, 0x00b5, CH_NUMERIC | CH_TAIL | CH_TAIL_SURE },
    { 0x00b6, 0x00b6, CH_LAW | CH_TAIL | CH_TAIL_SURE },
    { 0x00b7, 0x00b7, CH_COMMON | CH_TAIL | CH_TAIL_SURE },
    { 0x00b8, 0x00b8, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x00b9, 0x00b9, CH_NUMERIC | CH_TAIL | CH_TAIL_SURE },
    { 0x00ba, 0x00ba, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x00bb, 0x00bb, CH_CLOSE | CH_TAIL | CH_TAIL_SURE },
    { 0x00bc, 0x00be, CH_NUMERIC | CH_TAIL | CH_TAIL_SURE },
    { 0x00bf, 0x00bf, CH_OPEN | CH_TAIL | CH_TAIL_SURE },
    { 0x00c0, 0x00c1, CH_UPPER },
    { 0x00c2, 0x00c5, CH_UPPER | CH_LEAD2 },
    { 0x00c6, 0x00c6, CH_UPPER | CH_LEAD2 | CH_TAIL | CH_TAIL_SURE },
    { 0x00c7, 0x00d1, CH_UPPER | CH_LEAD2 },
    { 0x00d2, 0x00d6, CH_FACE | CH_LEAD2 },
    { 0x00d7, 0x00d7, CH_NUMERIC | CH_LEAD2 },
    { 0x00d8, 0x00d8, CH_UPPER | CH_LEAD2 | CH_TAIL | CH_TAIL_SURE },
    { 0x00d9, 0x00db, CH_FACE | CH_LEAD2 },
    { 0x00dc, 0x00dc, CH_FACE | CH_UPPER | CH_LEAD2 },
    { 0x00dd, 0x00dd, CH_UPPER | CH_LEAD2 },
    { 0x00de, 0x00de, CH_UPPER_COMMON | CH_LEAD2 },
    { 0x00df, 0x00df, CH_LOWER | CH_LEAD2 },
    { 0x00e0, 0x00e5, CH_LOWER | CH_LEAD3 },
    { 0x00e6, 0x00e6, CH_LOWER | CH_LEAD3 | CH_TAIL | CH_TAIL_SURE },
    { 0x00e7, 0x00ef, CH_LOWER | CH_LEAD3 },
    { 0x00f0, 0x00f0, CH_LOWER | CH_LEAD4 },
    { 0x00f1, 0x00f1, CH_LOWER },
    { 0x00f2, 0x00f2, CH_FACE },
    { 0x00f3, 0x00f3, CH_FACE | CH_LEAD4 },
    { 0x00f4, 0x00f6, CH_FACE },
    { 0x00f7, 0x00f7, CH_NUMERIC },
    { 0x00f8, 0x00f8, CH_FACE | CH_TAIL | CH_TAIL_SURE },
    { 0x00f9, 0x00fb, CH_FACE },
    { 0x00fc, 0x00fc, CH_FACE | CH_LOWER },
    { 0x0100, 0x0100, CH_UPPER | CH_LEAD2 },
    { 0x0101, 0x0101, CH_LOWER | CH_LEAD3 },
    { 0x0102, 0x0102, CH_UPPER | CH_LEAD2 },
    { 0x0103, 0x0103, CH_LOWER | CH_LEAD3 },
    { 0x0104, 0x0104, CH_UPPER | CH_TAIL | CH_TAIL_SURE },
    { 0x0105, 0x0105, CH_LOWER | CH_LEAD3 | CH_TAIL | CH_TAIL_SURE },
    { 0x0106, 0x0106, CH_UPPER | CH_LEAD2 },
    { 0x0107, 0x0107, CH_LOWER | CH_LEAD3 },
    { 0x010c, 0x010c, CH_UPPER | CH_LEAD2 },
    { 0x010d, 0x010d, CH_LOWER | CH_LEAD3 },
    { 0x010e, 0x010e, CH_UPPER | CH_LEAD2 },
    { 0x010f, 0x010f, CH_LOWER | CH_LEAD3 },
    { 0x0110, 0x0110, CH_UPPER | CH_LEAD2 },
    { 0x0111, 0x0111, CH_LOWER | CH_LEAD4 },
    { 0x0112, 0x0112, CH_UPPER | CH_LEAD2 },
    { 0x0113, 0x0113, CH_LOWER | CH_LEAD3 },
    { 0x0116, 0x0116, CH_UPPER | CH_LEAD2 },
    { 0x0117, 0x0117, CH_LOWER | CH_LEAD3 },
    { 0x0118, 0x0118, CH_UPPER | CH_LEAD2 },
    { 0x0119, 0x0119, CH_LOWER | CH_LEAD3 },
    { 0x011a, 0x011a, CH_UPPER | CH_LEAD2 },
    { 0x011b, 0x011b, CH_LOWER | CH_LEAD3 },
    { 0x011e, 0x011e, CH_UPPER | CH_LEAD2 },
    { 0x011f, 0x011f, CH_LOWER | CH_LEAD4 },
    { 0x0122, 0x0122, CH_UPPER | CH_LEAD2 },
    { 0x0123, 0x0123, CH_LOWER | CH_LEAD3 },
    { 0x012a, 0x012a, CH_UPPER | CH_LEAD2 },
    { 0x012b, 0x012b, CH_LOWER | CH_LEAD3 },
    { 0x012f, 0x012f, CH_LOWER | CH_LEAD3 },
    { 0x0130, 0x0130, CH_UPPER | CH_LEAD2 },
    { 0x0136, 0x0136, CH_UPPER | CH_LEAD2 },
    { 0x0137, 0x0137, CH_LOWER | CH_LEAD3 },
    { 0x0139, 0x0139, CH_UPPER | CH_LEAD2 },
    { 0x013a, 0x013a, CH_LOWER | CH_LEAD3 },
    { 0x013b, 0x013b, CH_UPPER | CH_LEAD2 },
    { 0x013c, 0x013c, CH_LOWER | CH_LEAD3 },
    { 0x013d, 0x013d, CH_UPPER | CH_TAIL | CH_TAIL_SURE },
    { 0x013e, 0x013e, CH_LOWER | CH_TAIL | CH_TAIL_SURE },
    { 0x0141, 0x0141, CH_UPPER | CH_LEAD2 | CH_TAIL | CH_TAIL_SURE },
    { 0x0142, 0x0142, CH_LOWER | CH_TAIL | CH_TAIL_SURE },
    { 0x0143, 0x0143, CH_UPPER | CH_LEAD2 },
    { 0x0145, 0x0145, CH_UPPER | CH_LEAD2 },
    { 0x0147, 0x0147, CH_UPPER | CH_LEAD2 },
    { 0x014c, 0x014c, CH_FACE | CH_LEAD2 },
    { 0x0150, 0x0150, CH_FACE | CH_LEAD2 },
    { 0x0152, 0x0152, CH_UPPER | CH_TAIL | CH_TAIL_SURE },
    { 0x0153, 0x0153, CH_LOWER | CH_TAIL | CH_TAIL_SURE },
    { 0x0155, 0x0155, CH_LOWER | CH_LEAD3 },
    { 0x0156, 0x0157, CH_TAIL | CH_TAIL_SURE },
    { 0x0158, 0x0158, CH_UPPER | CH_LEAD2 },
    { 0x015a, 0x015a, CH_UPPER | CH_LEAD2 | CH_TAIL | CH_TAIL_SURE },
    { 0x015b, 0x015b, CH_LOWER | CH_TAIL | CH_TAIL_SURE },
    { 0x015e, 0x015e, CH_UPPER | CH_LEAD2 | CH_TAIL | CH_TAIL_SURE },
    { 0x015f, 0x015f, CH_LOWER | CH_TAIL | CH_TAIL_SURE },
    { 0x0160, 0x0160, CH_UPPER | CH_LEAD2 | CH_TAIL | CH_TAIL_SURE },
    { 0x0161, 0x0161, CH_LOWER | CH_LEAD4 | CH_TAIL | CH_TAIL_SURE },
    { 0x0162, 0x0162, CH_UPPER | CH_LEAD2 },
    { 0x0164, 0x0164, CH_UPPER | CH_TAIL | CH_TAIL_SURE },
    { 0x0165, 0x0165, CH_LOWER | CH_TAIL | CH_TAIL_SURE },
    { 0x016a, 0x016a, CH_FACE | CH_LEAD2 },
    { 0x016e, 0x016e, CH_UPPER | CH_LEAD2 },
    { 0x0170, 0x0170, CH_UPPER | CH_LEAD2 },
    { 0x0172, 0x0172, CH_FACE | CH_LEAD2 },
    { 0x0178, 0x0178, CH_UPPER | CH_TAIL | CH_TAIL_SURE },
    { 0x0179, 0x0179, CH_UPPER | CH_LEAD2 | CH_TAIL | CH_TAIL_SURE },
    { 0x017a, 0x017a, CH_LOWER | CH_LEAD3 | CH_TAIL | CH_TAIL_SURE },
    { 0x017b, 0x017b, CH_UPPER | CH_LEAD2 | CH_TAIL | CH_TAIL_SURE },
    { 0x017c, 0x017c, CH_LOWER | CH_TAIL | CH_TAIL_SURE },
    { 0x017d, 0x017d, CH_UPPER | CH_LEAD2 | CH_TAIL | CH_TAIL_SURE },
    { 0x017e, 0x017e, CH_LOWER | CH_TAIL | CH_TAIL_SURE },
    { 0x0192, 0x0192, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x02c6, 0x02c7, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x02d8, 0x02d8, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x02db, 0x02dc, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x02dd, 0x02dd, CH_CLOSE | CH_TAIL | CH_TAIL_SURE },
    { 0x0384, 0x0385, CH_OPEN | CH_TAIL | CH_TAIL_SURE },
    { 0x0386, 0x0386, CH_UPPER_COMMON | CH_TAIL | CH_TAIL_SURE },
    { 0x0388, 0x038a, CH_UPPER_COMMON | CH_TAIL | CH_TAIL_SURE },
    { 0x038c, 0x038c, CH_UPPER_COMMON | CH_TAIL | CH_TAIL_SURE },
    { 0x038e, 0x038f, CH_UPPER_COMMON | CH_TAIL | CH_TAIL_SURE },
    { 0x0391, 0x0391, CH_UPPER_COMMON },
    { 0x0392, 0x03a1, CH_UPPER_COMMON | CH_LEAD2 },
    { 0x03a2, 0x03a2, CH_UPPER_COMMON },
    { 0x03a3, 0x03ab, CH_UPPER_COMMON | CH_LEAD2 },
    { 0x03ac, 0x03af, CH_LOWER_COMMON | CH_LEAD2 },
    { 0x03b0, 0x03bf, CH_LOWER_COMMON | CH_LEAD3 },
    { 0x03c0, 0x03c0, CH_LOWER_COMMON | CH_LEAD4 },
    { 0x03c1, 0x03c2, CH_LOWER_COMMON },
    { 0x03c3, 0x03c3, CH_LOWER_COMMON | CH_LEAD4 },
    { 0x03c4, 0x03c9, CH_LOWER_COMMON },
    { 0x0401, 0x040c, CH_UPPER_COMMON | CH_TAIL | CH_TAIL_SURE },
    { 0x040d, 0x040d, CH_UPPER_COMMON },
    { 0x040e, 0x040f, CH_UPPER_COMMON | CH_TAIL | CH_TAIL_SURE },
    { 0x0410, 0x0411, CH_UPPER_COMMON },
    { 0x0412, 0x042f, CH_UPPER_COMMON | CH_LEAD2 },
    { 0x0430, 0x043f, CH_LOWER_COMMON | CH_LEAD3 },
    { 0x0440, 0x0440, CH_LOWER_COMMON | CH_LEAD4 },
    { 0x0441, 0x0442, CH_LOWER_COMMON },
    { 0x0443, 0x0443, CH_LOWER_COMMON | CH_LEAD4 },
    { 0x0444, 0x0450, CH_LOWER_COMMON },
    { 0x0451, 0x045c, CH_LOWER_COMMON | CH_TAIL | CH_TAIL_SURE },
    { 0x045d, 0x045d, CH_LOWER_COMMON },
    { 0x045e, 0x045f, CH_LOWER_COMMON | CH_TAIL | CH_TAIL_SURE },
    { 0x0490, 0x0490, CH_UPPER | CH_TAIL | CH_TAIL_SURE },
    { 0x0491, 0x0491, CH_LOWER | CH_TAIL | CH_TAIL_SURE },
    { 0x2013, 0x2015, CH_COMMON | CH_TAIL },
    { 0x2018, 0x2018, CH_OPEN | CH_TAIL },
    { 0x2019, 0x2019, CH_COMMON | CH_TAIL },
    { 0x201a, 0x201a, CH_OPEN | CH_TAIL },
    { 0x201c, 0x201c, CH_OPEN | CH_TAIL },
    { 0x201d, 0x201d, CH_CLOSE | CH_TAIL },
    { 0x201e, 0x201e, CH_OPEN | CH_TAIL },
    { 0x2020, 0x2021, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x2022, 0x2022, CH_OPEN | CH_TAIL },
    { 0x2026, 0x2026, CH_COMMON | CH_TAIL },
    { 0x2030, 0x2030, CH_BAD | CH_TAIL | CH_TAIL_SURE },
    { 0x2039, 0x2039, CH_OPEN | CH_TAIL | CH_TAIL_SURE },
    { 0x203a, 0x203a, CH_CLOSE | CH_TAIL | CH_TAIL_SURE },
    { 0x2044, 0x2044, CH_NUMERIC },
    { 0x20a7, 0x20a7, CH_CURRENCY },
    { 0x20ac, 0x20ac, CH_CURRENCY | CH_TAIL | CH_TAIL_SURE },
    { 0x2116, 0x2116, CH_NUMERIC | CH_TAIL | CH_TAIL_SURE },
    { 0x2122, 0x2122, CH_CLOSE | CH_TAIL | CH_TAIL_SURE },
    { 0x2202, 0x2202, CH_NUMERIC },
    { 0x2206, 0x2206, CH_NUMERIC },
    { 0x220f, 0x220f, CH_NUMERIC },
    { 0x2211, 0x2211, CH_NUMERIC },
    { 0x221a, 0x221a, CH_NUMERIC },
    { 0x221e, 0x221e, CH_NUMERIC },
    { 0x2229, 0x2229, CH_NUMERIC },
    { 0x222b, 0x222b, CH_NUMERIC },
    { 0x2248, 0x2248, CH_NUMERIC },
    { 0x2260, 0x2261, CH_NUMERIC },
    { 0x2264, 0x2265, CH_NUMERIC },
    { 0x2310, 0x2310, CH_BAD },
    { 0x2502, 0x2502, CH_BOX },
    { 0x250c, 0x250c, CH_BOX },
    { 0x2510, 0x2510, CH_BOX },
    { 0x2518, 0x2518, CH_BOX },
    { 0x251c, 0x251c, CH_BOX },
    { 0x2524, 0x2524, CH_BOX },
    { 0x252c, 0x252c, CH_BOX },
    { 0x253c, 0x253c, CH_BOX },
    { 0x2550, 0x256c, CH_BOX },
    { 0x2580, 0x2580, CH_BOX },
    { 0x2584, 0x2584, CH_BOX },
    { 0x2588, 0x2588, CH_BOX },
    { 0x258c, 0x258c, CH_BOX },
    { 0x2590, 0x2593, CH_BOX },
    { 0x25ca, 0x25ca, CH_BAD },
    { 0xf8ff, 0xf8ff, CH_OPEN },
    { 0xfb01, 0xfb02, CH_LOWER },
    { 0xfffd, 0xfffd, CH_BAD },
};

static uint32_t listed_classes(uint32_t c)
{
    int low = 0, high = COUNT_OF(table);

    while (low < high) {
        int const mid = (low + high) / 2;
        if (c > table[mid].last) low = mid + 1;
        else high = mid;
    }
    return low < COUNT_OF(table) && c >= table[low].first ? table[low].classes : 0;
}

static bool is_word(uint32_t c)
{
    utf8proc_category_t const k = utf8proc_category((utf8proc_int32_t)c);
    bool const letter = k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
    bool const number = k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO;

    return letter || number;
}

static uint32_t ascii_classes(uint32_t c)
{
    bool const upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
    uint32_t classes = c == ' ' ? CH_TAIL : 0;

    if (upper) classes |= CH_ASCII_UPPER;
    if (lower) classes |= CH_ASCII_LOWER;
    if (c == '\n') classes |= CH_NEWLINE;
    if (c <= ' ' && codepoint_is_space(c)) classes |= CH_SPACE;
    if (upper || lower || (c >= '0' && c <= '9') || c == '_') classes |= CH_WORD;
    return classes | CH_ANY;
}

uint32_t char_classes(uint32_t c)
{
    if (c < 0x80) return ascii_classes(c);
    uint32_t classes = CH_ANY | listed_classes(c);
    if (codepoint_is_space(c)) classes |= CH_SPACE;
    if (is_word(c)) classes |= CH_WORD;
    return classes;
}
