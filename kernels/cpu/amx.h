/*
 * amx.h - products of BF16 tiles on the matrix unit (AMX) of x86 processors.
 *
 * Own code where it beats the library's tiles: large matrix products, whose x is
 * read where it lies, and attention, whose scores and probabilities stay in the
 * nearest cache. Everything runs on the calling thread. Private to kernels/.
 *
 * Scores are computed transposed: keys down, queries across. So a row of keys is
 * taken as it lies in memory, the softmax of sixteen queries is one vector, and
 * its result is in the form the next product wants.
 */
#ifndef AMX_H
#define AMX_H

#include "base/base.h"

enum {
    AMX_STEP = 32,    /* rows, columns and sums come in multiples of it */
    AMX_QUERIES = 32, /* queries of one tile */
    AMX_KEYS = 256,   /* keys of one packed chunk */
};

/* True if the processor has the unit and the system lets this process use it. */
bool amx_available(void);

/* Between amx_begin and amx_end a thread may call the functions below. */
void amx_begin(void);
void amx_end(void);

/* The second factor of a product: [rows, k] -> [k/2, AMX_STEP, 2], zeros for
 * rows that lack.   w: rows w_step numbers apart   k: a multiple of AMX_STEP */
void amx_pack(uint16_t *to, const uint16_t *w, int64_t w_step, int64_t rows, int64_t k);

/* y[rows, cols] = x w^T, as blocks of AMX_STEP each way: y [rows/32, cols/32, 32, 32].
 * x: rows k numbers apart   w: cols/32 packed pieces, one after the other */
void amx_product(float *y, const uint16_t *x, const uint16_t *w, int64_t rows, int64_t cols,
                 int64_t k);

/* [AMX_KEYS, head_dim] -> [head_dim, AMX_KEYS] */
void amx_pack_values(uint16_t *to, const uint16_t *v, int64_t head_dim);

/* What one tile of queries has found so far; begin with max -INFINITY, the rest 0. */
struct amx_found {
    float *max, *sum; /* [AMX_QUERIES] */
    float *values;    /* [head_dim, AMX_QUERIES] */
};

/* Take one chunk of keys into account: scores are scale * q k + bias.
 * q: by amx_pack   v: by amx_pack_values   k: [AMX_KEYS, head_dim]; k, v: zeros from `keys` on
 * bias: [rows, keys], rows bias_step apart, or NULL
 * scores: [AMX_KEYS, AMX_QUERIES], p: [AMX_KEYS/2, AMX_QUERIES, 2], both scratch */
struct amx_chunk {
    const uint16_t *q, *k, *v;
    const float *bias;
    int64_t rows, bias_step;
    int64_t keys, head_dim;
    float scale;
    float *scores;
    uint16_t *p;
};
void amx_attend(const struct amx_chunk *c, const struct amx_found *f);

/* at[r, :] = values[:, r] / sum[r], rows `step` numbers apart: F32 if wide, else BF16 */
struct amx_out {
    void *at;
    int64_t step, rows, head_dim;
    bool wide;
};
void amx_finish(const struct amx_out *o, const struct amx_found *f);

#endif /* AMX_H */
