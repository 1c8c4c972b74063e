/*
 * cpu_tile.h - what computes one tile or a few rows, on the calling thread alone.
 *
 *      kern_cpu_*     shares a tensor out into tiles over its pool
 *           |
 *      cpu_tile.h     one tile, one thread
 *       /   |   \
 *    dnn   amx   vec
 *
 *   dnn   matrix products and convolutions by oneDNN
 *   amx   products of BF16 tiles on the matrix unit (AMX) of x86 processors: own code where it
 *         beats the library's tiles
 *   vec   what is done to single rows, sixteen numbers at a time
 *
 * Nothing here knows of other threads, so what a tile gives cannot depend on how many there
 * are. No function checks shapes: the operations above have. Private to kernels/cpu/ and its
 * tests.
 */
#ifndef CPU_TILE_H
#define CPU_TILE_H

#include "kernels/kern.h"

/* ---- dnn.c: oneDNN ----------------------------------------------------------------
 *
 * oneDNN's own threads are switched off. Needs a oneDNN built with OpenMP (as distributions
 * ship it) or without threads. dnn_v2.c and dnn_v3.c are the calls that differ between
 * oneDNN 2 and 3.
 */

/*
 * A tile's shape. The result y is F32 and dense; x is dense.
 *   product      y[m, n] = x[m, k] w[n, k]^T
 *   convolution  y[oh, ow, n] = x[h, w, k] * w[n, k, kh, kw], no padding,
 *                oh = (h - kh)/stride + 1, ow alike
 * With `add` the result is added to y.
 */
enum dnn_kind { DNN_PRODUCT, DNN_CONV };
struct dnn_shape {
    enum dnn_kind kind;
    enum dtype dtype;             /* of x and w: F32 or BF16 */
    bool add, w_by_k;             /* w_by_k: dnn_pack reads w as [k, n] (products only) */
    int64_t m, n, k;              /* k: input channels, n: output channels; m: products only */
    int64_t h, w, kh, kw, stride; /* convolutions only */
};

struct dnn;      /* an engine, what each worker needs, and the plans made so far */
struct dnn_plan; /* a compiled tile; borrowed from its dnn */

/* `workers` threads may run plans at once, each under its own number. Whoever
 * opens, closes. */
status dnn_open(struct dnn **out, int workers) MUST_USE;
void dnn_close(struct dnn **d); /* NULL is fine; sets NULL */

/* True if this machine multiplies BF16 faster than F32; if not, tiles had
 * better be F32. One answer for the life of the process. */
bool dnn_bf16_is_fast(void);

/* False if the library was told (ONEDNN_MAX_CPU_ISA) to do without the matrix
 * unit; our own code then does without it too. */
bool dnn_amx_is_allowed(void);

/* The library's version, and as it numbers them the instructions that it goes up to: they
 * decide what a tile gives. */
unsigned dnn_version(int version[3]);

/* The plan of a shape, from the cache if it was asked for before. One thread,
 * while none runs. */
status dnn_plan(struct dnn *d, const struct dnn_shape *s, const struct dnn_plan **out) MUST_USE;

/* The form of packed weights depends on kind, dtype, n, k, kh and kw, never on
 * m, h, w, stride or add. For some picture tiles the library would want
 * another form and only has slow code for this one: then false. */
bool dnn_plan_is_fast(const struct dnn_plan *p);

/* Bytes of packed weights, with a plan at hand and without one. */
size_t dnn_plan_packed_bytes(const struct dnn_plan *p);
status dnn_packed_bytes(const struct dnn_shape *s, size_t *out) MUST_USE;

/* Pack dense weights, in the shape's dtype and layout, into `to`. */
status dnn_pack(const struct dnn_plan *p, int worker, const void *w, void *to) MUST_USE;

/* Compute one tile. No allocation; threads may run the same plan at once. */
status dnn_run(const struct dnn_plan *p, int worker, const void *x, const void *packed,
               float *y) MUST_USE;

/* ---- amx.c: the matrix unit --------------------------------------------------------
 *
 * Large matrix products, whose x is read where it lies, and attention, whose scores and
 * probabilities stay in the nearest cache.
 *
 * Scores are computed transposed: keys down, queries across. So a row of keys is
 * taken as it lies in memory, the softmax of sixteen queries is one vector, and
 * its result is in the form the next product wants.
 */

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

/* ---- vec.c: rows ---------------------------------------------------------------------
 *
 * One source, vec.c, is compiled once per instruction set; vec_best picks the widest this
 * machine has. Sums are carried in sixteen F32 lanes that are added in a fixed order.
 */

/* `rows` rows of `cols` numbers, dense. x and out are F32 or BF16; out may be x
 * if the dtypes agree. */
struct vec_rows {
    const void *x;
    void *out;
    enum dtype x_dtype, out_dtype;
    int64_t rows, cols;
};

/* out = residual + gate * act(y + bias), row by row; what is NULL takes no part.
 * y: F32, rows y_step apart   out, residual: rows out_step numbers apart */
struct vec_epilogue {
    const float *y, *bias, *gate;
    const void *residual;
    void *out;
    enum dtype residual_dtype, out_dtype;
    enum kern_act act;
    int64_t rows, cols, y_step, out_step;
};

/* One chunk of keys of a softmax that runs over many: s = scale * score + bias,
 * new_max = max(max, s), p = exp(s - new_max), sum = sum * exp(max - new_max) +
 * sum p; the row of `values` found so far is multiplied by exp(max - new_max).
 * Begin with max = -INFINITY, sum = 0.
 * score: F32 [rows, step]   p: p_dtype [rows, step], written in all `step`
 * columns, zero from `cols` on   bias: rows bias_step apart, or NULL
 * max, sum: [rows]   values: F32 [rows, value_cols] */
struct vec_softmax {
    const float *score, *bias;
    void *p;
    float *max, *sum, *values;
    enum dtype p_dtype;
    float scale;
    int64_t rows, cols, step, bias_step, value_cols;
};

/* out[i] = a_share * a[i] + b_share * b[i] */
struct vec_blend {
    const void *a, *b;
    void *out;
    enum dtype dtype, out_dtype; /* of a and b: F32, or out's */
    float a_share, b_share;
    int64_t count;
};

struct vec_ops {
    const char *name; /* "baseline", "avx2", "avx512", "avx512bf16" */

    /* to[i] = from[i]; F32 and BF16 either way */
    void (*convert)(void *to, enum dtype to_dtype, const void *from, enum dtype from_dtype,
                    int64_t count);
    void (*mul)(void *out, const void *a, const void *b, enum dtype dtype, int64_t count);
    void (*axpby)(float *out, const float *x, const float *y, const double ab[2], int64_t count);
    void (*blend)(const struct vec_blend *);
    void (*epilogue)(const struct vec_epilogue *);
    void (*layernorm)(const struct vec_rows *, const float *scale, const float *shift, float eps);
    void (*rmsnorm)(const struct vec_rows *, const float *weight, float eps);
    void (*channel_norm)(const struct vec_rows *, const float *gamma, enum kern_act act);
    /* One row of `heads` heads; cos and sin: [head_dim], each pair's angle twice,
     * the sine negated at even places. */
    void (*rope)(const struct vec_rows *, int64_t heads, const float *cos, const float *sin);
    void (*softmax)(const struct vec_softmax *);
    /* out[r, :] = values[r, :] / sum[r]; rows of out are out_step numbers apart */
    void (*divide)(const struct vec_rows *, const float *sum, int64_t out_step);
};

extern const struct vec_ops vec_baseline, vec_avx2, vec_avx512, vec_avx512bf16;

const struct vec_ops *vec_best(void);

#endif /* CPU_TILE_H */
