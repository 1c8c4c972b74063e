#include "kernels/cpu/vec.h"

const struct vec_ops *vec_best(void)
{
    const struct vec_ops *best = &vec_baseline;

    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return best;
    best = &vec_avx2;

    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return best;
    best = &vec_avx512;

    return __builtin_cpu_supports("avx512bf16") ? &vec_avx512bf16 : best;
}
