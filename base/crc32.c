/* crc32.c - of long pieces eight bytes at a step, by tables made for the call: row k
 * holds the checksums of a byte with k zero bytes behind it. */
#include "base/crc32.h"

enum { STEP = 8, LONG_PIECE = 1 << 14 /* worth the tables */ };

/* Of half a byte. */
static const uint32_t half[16] = {
    0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
};

static uint32_t add_byte(uint32_t c, unsigned char byte)
{
    c ^= byte;
    c = c >> 4 ^ half[c & 15];
    return c >> 4 ^ half[c & 15];
}

static uint32_t load_le32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* len is a multiple of STEP. */
static uint32_t add_steps(uint32_t c, const unsigned char *p, size_t len)
{
    uint32_t t[STEP][256];

    for (int i = 0; i < 256; i++) t[0][i] = add_byte(0, (unsigned char)i);
    for (int k = 1; k < STEP; k++)
        for (int i = 0; i < 256; i++) t[k][i] = t[0][t[k - 1][i] & 0xff] ^ t[k - 1][i] >> 8;
    for (const unsigned char *const end = p + len; p < end; p += STEP) {
        uint32_t const a = c ^ load_le32(p), b = load_le32(p + 4);
        c = t[7][a & 0xff] ^ t[6][a >> 8 & 0xff] ^ t[5][a >> 16 & 0xff] ^ t[4][a >> 24] ^
            t[3][b & 0xff] ^ t[2][b >> 8 & 0xff] ^ t[1][b >> 16 & 0xff] ^ t[0][b >> 24];
    }
    return c;
}

uint32_t crc32_add(uint32_t crc, const void *bytes, size_t len)
{
    const unsigned char *p = bytes;
    size_t const steps = len < LONG_PIECE ? 0 : len / STEP * STEP;
    uint32_t c = ~crc;

    if (steps) c = add_steps(c, p, steps);
    for (size_t i = steps; i < len; i++) c = add_byte(c, p[i]);
    return ~c;
}
