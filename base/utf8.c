/* utf8.c - UTF-8, one character at a time, strict and with lone surrogates let through. */
#include "base/utf8.h"

int utf8_decode_lax(uint32_t *out, const char *s, size_t len)
{
    static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
    const unsigned char *const b = (const unsigned char *)s;

    if (!len) return 0;
    int const n = b[0] < 0x80 ? 1 : b[0] < 0xc0 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
    uint32_t c = n == 1 ? b[0] : b[0] & (0x7fu >> n);

    if (!n || (size_t)n > len || b[0] > 0xf4) return 0;
    for (int i = 1; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (b[i] & 0x3f);
    }
    if (c < least[n] || c > 0x10ffff) return 0;
    *out = c;
    return n;
}

int utf8_decode(uint32_t *out, const char *s, size_t len)
{
    uint32_t c;
    int const n = utf8_decode_lax(&c, s, len);

    if (!n || (c >= 0xd800 && c <= 0xdfff)) return 0;
    *out = c;
    return n;
}

int utf8_encode(char out[4], uint32_t c)
{
    int const n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = { 0, 0, 0xc0, 0xe0, 0xf0 };

    for (int i = n - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[n] | c);
    return n;
}

bool utf8_printable(uint32_t c)
{
    if (c < 0x20) return c == '\n' || c == '\r';
    if (c < 0xa0) return c < 0x7f || c == 0x85;
    return c != 0xfeff && c != 0xfffe && c != 0xffff;
}

bool utf8_valid(const char *s, size_t len)
{
    uint32_t character;

    while (len) {
        int const n = utf8_decode(&character, s, len);
        if (!n) return false;
        s += n;
        len -= (size_t)n;
    }
    return true;
}
