/* rope.c - angles of the rotary embedding, in f64 from the position itself. */
#include "pipeline/dit/rope.h"

#include <math.h>

struct rope_split rope_split_of(int head_dim)
{
    int const pairs = head_dim / 2, third = pairs / 3;
    return (struct rope_split){ .time = pairs - 2 * third, .row = third, .col = third };
}

void rope_angles(float *out, int pairs, int64_t first, int count)
{
    for (int p = 0; p < count; p++)
        for (int i = 0; i < pairs; i++) {
            double const angle = (double)(first + p) * pow(10000.0, -(double)i / pairs);
            *out++ = (float)cos(angle);
            *out++ = (float)sin(angle);
        }
}
