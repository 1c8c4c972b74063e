/*
 * weight_format.c - packed numbers turned into float32, a block at a time.
 *
 * The layouts of the GGUF types are those of ggml's blocks: a scale for 32 numbers (Q8_0), or for
 * 256 with scales of 6 bits or 8 within it (Q4_K, Q5_K, Q6_K). All numbers come out exactly as
 * the format's own library has them: the same products in float32.
 */
#include "pipeline/weights/weights_internal.h"

#include <string.h>

static float half_at(const unsigned char *at)
{
    uint16_t h;
    float f = 0;
    struct tensor const t = { .data = &h, .dtype = DT_F16, .ndim = 1, .dim = { 1 } };

    memcpy(&h, at, sizeof h);
    f = tensor_get(&t, 0);
    return f;
}

static void read_e4m3(float *to, const unsigned char *from, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++) to[i] = f32_from_e4m3(from[i]);
}

/* e5m2 is the upper half of a float16. */
static void read_e5m2(float *to, const unsigned char *from, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++) {
        unsigned char const h[2] = { 0, from[i] };
        to[i] = half_at(h);
    }
}

static void read_i8(float *to, const unsigned char *from, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++) to[i] = (int8_t)from[i];
}

/* half d, 32 signed bytes */
static void read_q8_0(float *to, const unsigned char *from, int64_t blocks)
{
    for (; blocks; blocks--, from += 34)
        for (float const d = half_at(from), *const end = to + 32; to < end; to++)
            *to = d * (int8_t)from[34 - (end - to)];
}

/* The 6-bit scale and minimum of group j of 8, packed into 12 bytes. */
static void unpack_scale(const unsigned char *packed, int j, float *scale, float *least)
{
    if (j < 4) {
        *scale = packed[j] & 63;
        *least = packed[j + 4] & 63;
    } else {
        *scale = (float)((packed[j + 4] & 15) | (packed[j - 4] >> 6) << 4);
        *least = (float)((packed[j + 4] >> 4) | (packed[j] >> 6) << 4);
    }
}

/* half d, half m, 12 bytes of scales; Q5_K: 32 bytes of fifth bits; 128 bytes of nibbles. Group j
 * of 32 numbers is the lower or upper nibbles of 32 bytes, and bit j of the fifth bits. */
static void read_nibbles(float *to, const unsigned char *from, bool five)
{
    float const d = half_at(from), m = half_at(from + 2);
    const unsigned char *const fifth = from + 16, *const low = five ? fifth + 32 : fifth;

    for (int j = 0; j < 8; j++) {
        float scale, least;
        unpack_scale(from + 4, j, &scale, &least);
        float const step = d * scale, base = m * least;
        for (int i = 0; i < 32; i++) {
            unsigned const byte = low[j / 2 * 32 + i];
            unsigned q = j % 2 ? byte >> 4 : byte & 15;
            if (five) q |= (unsigned)(fifth[i] >> j & 1) << 4;
            *to++ = step * (float)q - base;
        }
    }
}

static void read_q4_k(float *to, const unsigned char *from, int64_t blocks)
{
    for (; blocks; blocks--, from += 144, to += 256) read_nibbles(to, from, false);
}

static void read_q5_k(float *to, const unsigned char *from, int64_t blocks)
{
    for (; blocks; blocks--, from += 176, to += 256) read_nibbles(to, from, true);
}

/* 128 bytes of nibbles, 64 of upper pairs of bits, 16 signed scales, half d. In each half of the
 * block, group j of 32 has the nibbles of bytes 32 (j % 2) .. and pair j of its 32 bytes. */
static void read_q6_k(float *to, const unsigned char *from, int64_t blocks)
{
    for (; blocks; blocks--, from += 210) {
        float const d = half_at(from + 208);
        for (int half = 0; half < 2; half++) {
            const unsigned char *const low = from + 64 * half, *const high = from + 128 + 32 * half;
            for (int j = 0; j < 4; j++)
                for (int i = 0; i < 32; i++) {
                    unsigned const byte = low[j % 2 * 32 + i];
                    unsigned const q =
                        (j < 2 ? byte & 15 : byte >> 4) | (unsigned)(high[i] >> 2 * j & 3) << 4;
                    float const scale = (int8_t)from[192 + 8 * half + 2 * j + i / 16];
                    *to++ = d * scale * (float)((int)q - 32);
                }
        }
    }
}

static const struct weight_format formats[] = {
    { "F8_E4M3", 1, 1, false, read_e4m3 },  { "F8_E5M2", 1, 1, false, read_e5m2 },
    { "I8", 1, 1, true, read_i8 },          { "Q8_0", 32, 34, false, read_q8_0 },
    { "Q4_K", 256, 144, false, read_q4_k }, { "Q5_K", 256, 176, false, read_q5_k },
    { "Q6_K", 256, 210, false, read_q6_k },
};

const struct weight_format *weight_format_find(const char *dtype)
{
    for (int i = 0; i < COUNT_OF(formats); i++)
        if (!strcmp(formats[i].dtype, dtype)) return &formats[i];
    return NULL;
}

void weight_format_read(const struct weight_format *f, const unsigned char *data, int64_t first,
                        int64_t count, float *to)
{
    float block[WEIGHT_BLOCK];
    int64_t const n = f->elements;

    while (count > 0) {
        int64_t const at = first / n, skip = first % n;
        int64_t take = count / n * n;
        if (skip || !take) { /* a part of a block */
            take = n - skip < count ? n - skip : count;
            f->read(block, data + (size_t)at * f->bytes, 1);
            memcpy(to, block + skip, (size_t)take * sizeof *to);
        } else {
            f->read(to, data + (size_t)at * f->bytes, take / n);
        }
        first += take;
        count -= take;
        to += take;
    }
}
