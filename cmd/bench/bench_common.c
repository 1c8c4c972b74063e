#include "cmd/bench/bench_null_io.h"

static int64_t context_id(void *arg, int clip, int64_t block)
{
    (void)arg, (void)clip, (void)block;
    return 0;
}

static status finished(void *arg, int clip, int64_t block, const float *x0)
{
    (void)arg, (void)clip, (void)block, (void)x0;
    return ST_OK;
}

struct line_io bench_silent_io(struct line_io own)
{
    own.context_id = context_id;
    own.finished = finished;
    return own;
}
