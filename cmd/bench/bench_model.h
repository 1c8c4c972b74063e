/*
 * bench_model.h - whole parts of a model, timed on files in release form.
 *
 * tools/bench_model.py times the same rows, with the same sizes and the same
 * count of operations, in PyTorch.
 */
#ifndef BENCH_MODEL_H
#define BENCH_MODEL_H

#include "cmd/backend.h"

struct bench_model_config {
    const char *dir; /* what make_model wrote */
    const struct backend *backend;
    int threads;
    enum dtype precision;
    int64_t latent_h, latent_w; /* pixels / 8; even */
};

enum { BENCH_ROW_RUNS = 3 };
struct bench_result {
    double seconds[BENCH_ROW_RUNS]; /* of each run */
    double flop;                    /* of one; 0: not counted */
    uint64_t card; /* bytes of the card's memory that were taken, by whomever, while all of it was
                                       open; 0: no card */
};

struct bench_row {
    const char *name, *what;
    /* Open, run at least once uncounted, then BENCH_ROW_RUNS times. */
    status (*time)(const struct bench_model_config *c, struct bench_result *out);
};

extern const struct bench_row bench_rows[];
extern const int bench_row_count;

#endif /* BENCH_MODEL_H */
