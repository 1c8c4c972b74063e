/* standin_number.h - the stand-ins for the libraries: one number of a tensor, in and out. */
#ifndef STANDIN_NUMBER_H
#define STANDIN_NUMBER_H

#include "kernels/tensor.h"

#include <math.h>

/* FP8: sign, four bits of exponent, three of mantissa; the last of all is no number. */
static inline float standin_from_e4m3(unsigned char byte)
{
    int const exponent = byte >> 3 & 15, mantissa = byte & 7;
    float const size =
        exponent ? ldexpf((float)(8 + mantissa), exponent - 10) : ldexpf((float)mantissa, -9);

    if ((byte & 127) == 127) return NAN;
    return byte & 128 ? -size : size;
}

/* To nearest even; what is larger than 448 becomes that. */
static inline unsigned char standin_to_e4m3(float v)
{
    int const sign = signbit(v) ? 128 : 0;
    int exponent, byte;

    if (isnan(v)) return (unsigned char)(sign | 127);
    if (!(fabsf(v) < 512)) return (unsigned char)(sign | 126);
    float const part = frexpf(fabsf(v), &exponent);
    if (fabsf(v) < 0x1p-6f) byte = (int)nearbyintf(ldexpf(fabsf(v), 9));
    else byte = ((exponent + 6) << 3) + (int)nearbyintf(part * 16) - 8;
    return (unsigned char)(sign | (byte < 126 ? byte : 126));
}

enum standin_type { STANDIN_F32, STANDIN_BF16, STANDIN_E4M3 };

static inline float standin_get(const void *at, enum standin_type type, int64_t i)
{
    switch (type) {
    case STANDIN_E4M3: return standin_from_e4m3(((const unsigned char *)at)[i]);
    case STANDIN_BF16: return f32_from_bf16(((const uint16_t *)at)[i]);
    default: return ((const float *)at)[i];
    }
}

static inline void standin_put(void *at, enum standin_type type, int64_t i, float v)
{
    switch (type) {
    case STANDIN_E4M3: ((unsigned char *)at)[i] = standin_to_e4m3(v); break;
    case STANDIN_BF16: ((uint16_t *)at)[i] = bf16_from_f32(v); break;
    default: ((float *)at)[i] = v;
    }
}

#endif /* STANDIN_NUMBER_H */
