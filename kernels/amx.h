/*
 * amx.h - products of BF16 tiles on the matrix unit (AMX) of x86 processors.
 *
 * Own code where it beats the library's tiles: attention, whose scores, softmax
 * and probabilities stay in the nearest cache here. Everything runs on the
 * calling thread. Private to kernels/.
 *
 * Scores are computed transposed: keys down, queries across. So a row of keys is
 * taken as it lies in memory, the softmax of sixteen queries is one vector, and
 * its result is in the form the next product wants.
 */
#ifndef AMX_H
#define AMX_H

#include "base/base.h"

enum {
    AMX_QUERIES = 32, /* queries of one tile */
    AMX_KEYS = 256,   /* keys of one packed chunk */
    AMX_STEP = 32,    /* head_dim and the padded keys of a chunk are multiples */
};

/* True if the processor has the unit and the system lets this process use it. */
bool amx_available(void);

/* Between amx_begin and amx_end a thread may call the functions below. */
void amx_begin(void);
void amx_end(void);

/* [rows, head_dim] -> [head_dim/2, AMX_QUERIES, 2], zeros for rows that lack.
 * q: rows q_step numbers apart */
void amx_pack_queries(uint16_t *to, const uint16_t *q, int64_t q_step, int64_t rows,
                      int64_t head_dim);

/* [AMX_KEYS, head_dim] -> [head_dim, AMX_KEYS] */
void amx_pack_values(uint16_t *to, const uint16_t *v, int64_t head_dim);

/* What one tile of queries has found so far; begin with max -INFINITY, the rest 0. */
struct amx_found {
    float *max, *sum; /* [AMX_QUERIES] */
    float *values;    /* [head_dim, AMX_QUERIES] */
};

/* Take one chunk of keys into account: scores are scale * q k.
 * q, v: as packed   k: [AMX_KEYS, head_dim], zeros from `keys` on, and v likewise
 * scores: [AMX_KEYS, AMX_QUERIES], p: [AMX_KEYS/2, AMX_QUERIES, 2], both scratch */
struct amx_chunk {
    const uint16_t *q, *k, *v;
    int64_t keys, head_dim;
    float scale;
    float *scores;
    uint16_t *p;
};
void amx_attend(const struct amx_chunk *c, const struct amx_found *f);

/* out[r, :] = values[:, r] / sum[r], rows out_step numbers apart */
void amx_finish(uint16_t *out, int64_t out_step, int64_t rows, int64_t head_dim,
                const struct amx_found *f);

#endif /* AMX_H */
