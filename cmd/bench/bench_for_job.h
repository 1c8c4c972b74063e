/* bench_for_job.h - `bench --for JOB.yaml`: what `plan --bench` wants to know of one job. */
#ifndef BENCH_FOR_JOB_H
#define BENCH_FOR_JOB_H

#include "cmd/backend.h"

struct bench_for {
    char *job; /* path */
    const struct backend *backend;
    const char *precision; /* "job", "f32", "bf16" */
    int threads;           /* of a rank */
    bool json;
};

/* Measures and prints. ST_ARG in a build without jobs (MEDIA=0). */
status bench_for(const struct bench_for *r) MUST_USE;

#endif /* BENCH_FOR_JOB_H */
