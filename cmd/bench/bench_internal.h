/*
 * bench_internal.h - what `rollmill bench` times: programs of operations on random data.
 *
 *   cmd_bench.c      options, timing, the table or JSON
 *   bench_cases.c    the cases, one function each
 *   bench_recorder.c  a recorded list of operations that is run again and again
 *
 * tools/bench_torch.py holds the same cases under the same names.
 */
#ifndef BENCH_INTERNAL_H
#define BENCH_INTERNAL_H

#include "kernels/kern.h"

/* Shapes of the models at one size. */
struct bench_size {
    const char *name;
    /* transformer: three latent frames of `rows` by `cols` tokens are a block;
     * a block attends to `blocks` of them */
    int64_t dim, heads, ffn, rows, cols, blocks, text_rows;
    /* text encoder: `words` real tokens */
    int64_t text_dim, text_heads, text_ffn, words;
    /* decoder: one latent frame of `h` by `w` */
    int64_t h, w;
    int64_t roof[3];            /* rows, k and n of the large product */
    int64_t latent_h, latent_w; /* of whole parts of a model */
};
extern const char bench_size_names[]; /* "small|middle|..." */

enum { BENCH_STEPS = 24, BENCH_TENSORS = 96 };

/* A list of operations and all they work on. Zero-initialise, begin, record,
 * run as often as wanted, free. */
struct program {
    struct kern_ctx *ctx;
    enum dtype act;
    double flops; /* of products, attention and convolutions: two per multiply-add */
    double bytes; /* read or written by the other operations */
    int steps, tensors;
    struct step {
        enum step_op {
#define OP(op) STEP_##op,
            KERN_OPS(OP)
#undef OP
        } op;
        union {
#define OP(op) struct kern_##op op;
            KERN_OPS(OP)
#undef OP
        } a;
    } step[BENCH_STEPS];
    struct kern_segment segments[KERN_SEGMENTS];
    struct tensor tensor[BENCH_TENSORS];
    struct kern_weight weight[BENCH_TENSORS];
    int weights;
    status st; /* the first failure while recording; later calls do nothing */
};

/* Random numbers around 0. Never NULL: after a failure, a tensor without data
 * that program_queue does not reach. */
struct tensor *program_tensor(struct program *p, enum dtype t, int ndim, const int64_t *dim);
struct kern_weight *program_weight(struct program *p, enum kern_use use, int ndim,
                                   const int64_t *dim);

/* program_linear(p, &(struct kern_linear){...}) for every operation: record it. */
#define OP(op) void program_##op(struct program *p, const struct kern_##op *a);
KERN_OPS(OP)
#undef OP

/* All steps, one after another; then wait until they have run. A processor has run them
 * when program_queue returns. */
status program_queue(const struct program *p) MUST_USE;
status program_wait(const struct program *p) MUST_USE;
void program_free(struct program *p);

struct bench_case {
    const char *name, *what;
    void (*record)(struct program *p, const struct bench_size *s);
};

extern const struct bench_case bench_cases[];
extern const int bench_case_count;

/* NULL if there is none of that name. */
const struct bench_size *bench_size_find(const char *name);

#endif /* BENCH_INTERNAL_H */
