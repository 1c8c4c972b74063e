/* rope.c - angles of the rotary embedding, in f64 from the position itself. */
#include "pipeline/dit/rope.h"
#include "pipeline/dit/noise.h"

#include <math.h>

static double const usual_base = 10000.0;

struct rope_split rope_split_of(int head_dim)
{
    int const pairs = head_dim / 2, third = pairs / 3;
    return (struct rope_split){ .time = pairs - 2 * third, .row = third, .col = third };
}

void rope_angles_of_base(float *out, int pairs, double base, int64_t first, int count)
{
    for (int p = 0; p < count; p++)
        for (int i = 0; i < pairs; i++) {
            double const angle = (double)(first + p) * pow(base, -(double)i / pairs);
            *out++ = (float)cos(angle);
            *out++ = (float)sin(angle);
        }
}

void rope_angles(float *out, int pairs, int64_t first, int count)
{
    rope_angles_of_base(out, pairs, usual_base, first, count);
}

double rope_jittered_base(double sigma, uint32_t seed, int head)
{
    uint32_t const counter[4] = { (uint32_t)head, UINT32_MAX, 0, 0 }, key[2] = { seed, 0 };
    uint32_t word[4];

    noise_philox(word, counter, key);
    return usual_base * (1 + sigma * (((double)word[0] * 2 + 1) * 0x1p-32 - 1));
}
