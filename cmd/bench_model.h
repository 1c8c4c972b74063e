/*
 * bench_model.h - whole parts of a model, timed on files in release form.
 *
 * tools/bench_model.py times the same rows, with the same sizes and the same
 * count of operations, in PyTorch.
 */
#ifndef BENCH_MODEL_H
#define BENCH_MODEL_H

#include "kernels/kern.h"

struct bench_model_config {
    const char *dir; /* what make_model wrote */
    const struct kern_backend *backend;
    int threads;
    enum dtype precision;
};

struct bench_row {
    const char *name, *what;
    /* Open, run once uncounted, then `runs` times: seconds of each; flop of one. */
    status (*time)(const struct bench_model_config *c, double *seconds, int runs, double *flop);
};

extern const struct bench_row bench_rows[];
extern const int bench_row_count;

#endif /* BENCH_MODEL_H */
