/* bench_common.c - what operations, parts of a model and jobs are timed with. */
#include "cmd/bench/bench_internal.h"
#include "kernels/kern_device.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    double const x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *s, int n)
{
    qsort(s, (size_t)n, sizeof *s, by_size);
    return s[n / 2];
}

status bench_card_bytes(const struct backend *backend, uint64_t *bytes)
{
    struct kern_device d;

    *bytes = 0;
    if (!backend->devices) return ST_OK;
    TRY(kern_device_about(&d, 0));
    *bytes = d.memory - d.free;
    return ST_OK;
}

static int64_t get_context_id(void *arg, int clip, int64_t block)
{
    (void)arg, (void)clip, (void)block;
    return 0;
}

static status drop_block(void *arg, int clip, int64_t block, const float *x0)
{
    (void)arg, (void)clip, (void)block, (void)x0;
    return ST_OK;
}

struct line_io bench_null_io(struct line_io own)
{
    own.context_id = get_context_id;
    own.finished = drop_block;
    return own;
}
