#include "jobs/utf8.h"

static uint32_t code_point(const char *s, int bytes)
{
    unsigned char const lead = (unsigned char)s[0];
    uint32_t c = bytes == 1 ? lead : lead & (0xffu >> (bytes + 1));

    for (int i = 1; i < bytes; i++) c = c << 6 | ((unsigned char)s[i] & 0x3fu);
    return c;
}

int utf8_length(const char *s, size_t len)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };

    if (!len) return 0;
    unsigned char const c = (unsigned char)s[0];
    int const bytes = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if ((c >= 0x80 && c < 0xc2) || c > 0xf4 || (size_t)bytes > len) return 0;
    for (int i = 1; i < bytes; i++)
        if (((unsigned char)s[i] & 0xc0) != 0x80) return 0;
    uint32_t const point = code_point(s, bytes);
    if (point < least[bytes] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000)) return 0;
    return bytes;
}

bool utf8_printable(const char *s, int bytes)
{
    uint32_t const c = code_point(s, bytes);

    if (c < 0x20) return c == '\n' || c == '\r';
    if (c < 0xa0) return c < 0x7f || c == 0x85;
    return c != 0xfeff && c != 0xfffe && c != 0xffff;
}
