/*
 * cpu_features.c - what this machine's processor can do, asked once per context.
 *
 * The answers choose code by what is there, not by a build option: one program runs on every
 * x86-64. Ranks on unlike machines may so come to other bits; kern_backend.kernels says in words
 * what was chosen, and ranks that share work compare it.
 */
#define _DEFAULT_SOURCE
#include "kernels/cpu/cpu_tile.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { XCOMP_PERM = 0x1023, TILE_DATA = 18 }; /* arch_prctl(2): ask for the tile registers */

/* Tiles, their BF16 products, and BF16 conversion of 512-bit vectors. */
static bool cpu_has_tiles(void)
{
    unsigned a, b, c, d, a1, unused;

    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
        return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    if (!__get_cpuid_count(7, 1, &a1, &unused, &unused, &unused)) return false;
    return (d & (1u << 24)) && (d & (1u << 22)) && (a1 & (1u << 5));
}

bool amx_available(void)
{
    return cpu_has_tiles() && syscall(SYS_arch_prctl, XCOMP_PERM, TILE_DATA) == 0;
}

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
