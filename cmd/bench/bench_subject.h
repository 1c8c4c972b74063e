/* bench_subject.h - what `bench --for` times, one function each. Private to cmd/bench_*.c. */
#ifndef BENCH_SUBJECT_H
#define BENCH_SUBJECT_H

#include "pipeline/engine/workload.h"
#include "pipeline/line/line.h"

enum { BENCH_RUNS = 5 };

struct bench_subject {
    const struct workload *model;
    const struct kern_backend *backend;
    struct line_mode mode;
    const struct dit *dit; /* loaded; NULL for the text */
    int threads, device;   /* see kern_config */
    double (*clock)(void); /* seconds that count */
    bool alone;            /* a card: one copy at a time */
};

/* Seconds of one, [0]; of a pass also of one with no keys but the block's own, [1].
 * Several may run at once. */
typedef status (*bench_part)(const struct bench_subject *b, double seconds[2]);

/* bench_passes.c: stage 0 and the clean stage of a line with a rank for each stage. */
status bench_noise(const struct bench_subject *b, double seconds[2]) MUST_USE;
status bench_clean(const struct bench_subject *b, double seconds[2]) MUST_USE;

/* bench_pictures.c: a block to pictures; pictures of a block into the job's files. */
status bench_decode(const struct bench_subject *b, double seconds[2]) MUST_USE;
status bench_encode(const struct bench_subject *b, double *seconds) MUST_USE;

/* bench_link.c: the first prompt, its encoder's weights read and all. */
status bench_text(const struct bench_subject *b, double *seconds) MUST_USE;

double bench_median(double *s, int n);

#endif /* BENCH_SUBJECT_H */
