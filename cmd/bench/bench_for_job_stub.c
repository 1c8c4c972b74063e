/* bench_for_job_stub.c - in place of bench_for_job.c in a build with MEDIA=0. */
#include "cmd/bench/bench_internal.h"

status bench_for_job(const struct bench_for *r)
{
    return fail(ST_ARG, "bench --for %s: this program was built with MEDIA=0, without jobs",
                r->job);
}
