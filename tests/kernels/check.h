/*
 * check.h - one operation, the same arguments, an oracle and a backend.
 *
 * A case is a set of operands. Each operand exists once per side, between
 * guards; outputs are NaN until written. case_end compares:
 *   - outputs of side 1 with those of side 0, within the operand's tolerance
 *   - outputs of side 2 with those of side 1, bit for bit: threads do not show
 *   - inputs and all guards with what they were
 *
 * Roundings below: u = 2^-24, half a step of F32 next to 1.
 */
#ifndef CHECK_H
#define CHECK_H

#include "kernels/kern.h"

enum { ORACLE, ONE_THREAD, THREE_THREADS, SIDES };
enum { OPERANDS = 96 };

struct operand {
    struct tensor view[SIDES];   /* as each side sees it */
    void *base[SIDES];           /* where it lies, guards included */
    unsigned char *image[SIDES]; /* host: guards and content before the call */
    bool written;
    double *tol; /* [elements] what computing may err by, without the store; NULL: exact */
};

struct check {
    const struct kern_backend *backend[SIDES];
    struct kern_ctx *ctx[SIDES];
    enum dtype act;   /* F32 or BF16 */
    bool small;       /* leave the model's own shapes out */
    int64_t products; /* and cases of more than so many products; 0: none for that */
    bool quiet;       /* count failures, do not print them */
    uint64_t rng;
    const char *op;

    char name[160]; /* of the case */
    struct operand operands[OPERANDS];
    int count;
    bool refused_to_run;     /* a side failed: nothing to compare */
    long judged;             /* elements of outputs, against the oracle's */
    long compared, failures; /* judged and refusals; what was wrong */
};

/* May a case of this kind take so many products? */
bool within(const struct check *k, int64_t products);

void case_begin(struct check *k, const char *fmt, ...) PRINTF_LIKE(2, 3);
void case_end(struct check *k);
void case_failed(struct check *k, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Operands of the open case; they last until case_end. Random content: numbers
 * in [-1, 1), every 64th or so 64 times larger, as real activations have; U8: finite e4m3. */
struct operand *input(struct check *k, enum dtype type, int ndim, const int64_t *dim);
struct operand *output(struct check *k, enum dtype type, int ndim, const int64_t *dim);
struct operand *in_place(struct check *k, enum dtype type, int ndim, const int64_t *dim);

/* RoPE angles: [rows, pairs, 2] F32, cosines and sines; where heads have their own, of frames. */
struct operand *angles(struct check *k, int64_t rows, int64_t pairs);
struct operand *angles_of_heads(struct check *k, int64_t frames, int64_t heads, int64_t pairs);

/* Other content for an input or in_place operand, before any call. */
void refill(struct check *k, struct operand *o, const struct tensor *content);

/* A weight of the run's precision, packed by each side from the same source. */
struct weight {
    struct operand *packed;
    struct kern_weight w[SIDES];
    float *source; /* malloc'ed; weight_free */
};
struct weight weight(struct check *k, enum kern_use use, int ndim, const int64_t *dim);
void repack(struct check *k, struct weight *w, int side, const void *src, enum dtype type);
void weight_free(struct weight *w);

/* A side's view; NULL for no operand. */
struct tensor *at(struct operand *o, int side);

/* Take note of what a call returned: it must be ST_OK, or refuse with ST_ARG. */
void ran(struct check *k, int side, status st);
void refused(struct check *k, int side, status st);

/* Zeroed tolerances for an output: computing error per element, to be filled. */
double *tolerances(struct operand *o);

/* Host copies as F32, free with free(): content before the call, or its magnitude. */
struct tensor values(const struct operand *o);
struct tensor magnitudes(const struct operand *o);

/* Rounding of a sum of n products of either sign, against the sum of their
 * magnitudes, in any order: 6 sqrt(n) u holds for all but 3e-8 of random
 * roundings (Higham and Mary 2019, lambda 6); 2 u for product and last sum. */
double sum_error(int64_t n);

/* What a product of x [rows, k] and w [n, k] may err by where the backend is low_precision and both
 * are BF16: [rows * n], free with free(); zeros where it is not.
 *
 * A number is off by at most 2^-4 of itself, or below e4m3's normal numbers by half of 2^-9
 * times its row's scale, a = 2^-10 max / 448; evenly spread, so with a deviation of that by
 * sqrt 3. Of the sum, the variance is
 *     sum (2^-8 x^2 + ax^2) / 3 w^2 + x^2 (2^-8 w^2 + aw^2) / 3 + both errors at once,
 * and six deviations are what it may err by; then 2^-8 of the sum, for its store in BF16. */
double *low_precision_errors(const struct check *k, const struct operand *x,
                             const struct weight *w);

/* The same for a product of one term, 1 times w: at most, not likely. */
double low_precision_step(const struct check *k, enum kern_use use, double w, double row_max);

/* Whether the backend computes this attention in FP8. */
bool low_precision_attends(const struct check *k, const struct kern_attention *a);

/* v as such a call brings it to FP8, in tensors of their own (same shape and dtype, which holds
 * e4m3 times a power of two; data malloc'ed), with one scale for all of them. */
void low_precision_rounded(struct tensor *out, const struct tensor *const *v, int count);

/* What it may err by against the oracle on rounded q, k and v, before the store: out
 * [nq, heads * hd], lse [nq, heads] or NULL. a: the oracle's, rounded; host memory.
 *
 * A score errs by d: its sum as attention's elsewhere does, and 2^-13 of what it sums for every
 * 32 products, which is what Hopper's FP8 sums are known to keep; the values' sum likewise. A
 * weight, at 256 times itself, is off by at most 2^-4 of it, or by a = 2^-10 / 256. With M =
 * sum w |v| that is at most 2^-4 M + a sum |v|; or, as in products, six deviations of evenly
 * spread errors and, if all weights are rounded alike, 2^-4 |out| + a |sum v|: the lesser. Last
 * out is rounded with the values' scale: 2^-4 of it, or half of 2^-9 times the scale. */
void low_precision_attention_errors(const struct kern_attention *a, double *out, double *lse);

#define OP(op) void check_##op(struct check *k);
KERN_OPS(OP)
#undef OP

/* Of closed_backend: sample by sample, in the F32 that the bytes are defined in. */
status closed_pictures(struct kern_ctx *ctx, const struct kern_pictures *a);

/* Plain formulas in long double, written apart from the oracle; small shapes only. */
struct kern_backend closed_backend(void);

#endif /* CHECK_H */
