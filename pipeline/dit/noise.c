/*
 * noise.c - Gaussian noise whose bits are the same on every machine.
 *
 * Two runs of a clip can only be compared if they start from the same noise, whichever rank draws
 * it, on whichever processor, built by whichever compiler. A counter-based generator settles the
 * integers: a word depends on seed, block, level and place alone, so there is no state to carry
 * and no order to keep. The transform to normals is the hard half, for log, sin and cos of libm
 * differ in the last bit between versions. So they are made here of +, -, *, / and sqrt on
 * doubles alone, which IEEE 754 rounds in one way. What must hold: no fused multiply-add
 * (-ffp-contract=off), no -ffast-math, the sums in this order; and NOISE_SCHEME changes whenever a
 * bit of the result would.
 */
#include "pipeline/dit/noise.h"

#include <math.h>

void noise_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < 10; round++) {
        uint64_t const p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

/* ln(x) for 0 < x <= 1: x = m * 2^e with m in [sqrt(1/2), sqrt(2)), and
 * ln m = 2 atanh((m-1)/(m+1)) as a series. libm's differs between machines. */
static double log_exact(double x)
{
    int e;
    double m = frexp(x, &e);
    if (m < 0.70710678118654752) {
        m *= 2.0;
        e--;
    }
    double const z = (m - 1.0) / (m + 1.0), z2 = z * z;
    double sum = 0.0;
    for (int k = 21; k >= 1; k -= 2) sum = sum * z2 + 1.0 / k;
    return 2.0 * z * sum + e * 0.69314718055994531;
}

/* sin and cos of 2*pi*u, 0 <= u < 1: the nearest eighth of a turn off, then Taylor. */
static void sincos_turn(double u, double *s, double *c)
{
    int const quarter = (int)(u * 4.0 + 0.5);
    double const a = (u - quarter * 0.25) * 6.2831853071795865, a2 = a * a;
    double sine = 0.0, cosine = 0.0;

    for (int k = 17; k >= 3; k -= 2) sine = (1.0 + sine) * (-a2 / (k * (k - 1)));
    for (int k = 16; k >= 2; k -= 2) cosine = (1.0 + cosine) * (-a2 / (k * (k - 1)));
    sine = a * (1.0 + sine);
    cosine = 1.0 + cosine;
    switch (quarter & 3) {
    case 0: *s = sine, *c = cosine; break;
    case 1: *s = cosine, *c = -sine; break;
    case 2: *s = -sine, *c = -cosine; break;
    default: *s = -cosine, *c = sine; break;
    }
}

/* Two uniform words to two normals (Box and Muller). */
static void normal_pair(uint32_t a, uint32_t b, float out[2])
{
    double const r = sqrt(-2.0 * log_exact(((double)a + 1.0) * 0x1p-32));
    double s, c;

    sincos_turn((double)b * 0x1p-32, &s, &c);
    out[0] = (float)(r * c);
    out[1] = (float)(r * s);
}

void noise_fill(float *out, int64_t count, uint64_t seed, int64_t block, int level)
{
    uint32_t const key[2] = { (uint32_t)seed, (uint32_t)(seed >> 32) };

    for (int64_t i = 0; i < count; i += 4) {
        uint32_t const counter[4] = { (uint32_t)(i / 4), (uint32_t)level, (uint32_t)block,
                                      (uint32_t)((uint64_t)block >> 32) };
        uint32_t word[4];
        float z[4];
        noise_philox(word, counter, key);
        normal_pair(word[0], word[1], z);
        normal_pair(word[2], word[3], z + 2);
        for (int j = 0; j < 4 && i + j < count; j++) out[i + j] = z[j];
    }
}
