/* rng.h - random numbers for tests: the same on every machine for a seed. */
#ifndef RNG_H
#define RNG_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* splitmix64. Any state is a good seed. */
static inline uint64_t rng_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* 0..n-1 */
static inline int rng_below(uint64_t *state, int n) { return (int)(rng_next(state) % (uint64_t)n); }

/* [-1, 1), a multiple of 2^-23 */
static inline float rng_unit(uint64_t *state)
{
    return (float)((int32_t)(rng_next(state) >> 40) - 0x800000) * 0x1p-23f;
}

/* The number behind an option, or another. */
static inline uint64_t rng_option(int argc, char **argv, const char *option, uint64_t other)
{
    for (int i = 1; i + 1 < argc; i++)
        if (!strcmp(argv[i], option)) return strtoull(argv[i + 1], NULL, 10);
    return other;
}

/* The number behind `--seed`, else SEED of the environment (make check gives one, so that it
 * looks at the same cases each time), else one from the clock. The caller prints it. */
static inline uint64_t rng_seed(int argc, char **argv)
{
    const char *const given = getenv("SEED");
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t const other =
        given ? strtoull(given, NULL, 10) : (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 20;
    return rng_option(argc, argv, "--seed", other);
}

#endif /* RNG_H */
