#define _DEFAULT_SOURCE
#include "kernels/cpu/amx.h"

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { XCOMP_PERM = 0x1023, TILE_DATA = 18 }; /* arch_prctl(2): ask for the tile registers */

/* Tiles, their BF16 products, and BF16 conversion of 512-bit vectors. */
static bool processor_has_it(void)
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
    return processor_has_it() && syscall(SYS_arch_prctl, XCOMP_PERM, TILE_DATA) == 0;
}
