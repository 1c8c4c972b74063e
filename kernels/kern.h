/*
 * kern.h - every operation the models need, as one table of functions, and the
 * backends that fill it.
 *
 *      pipeline/  (transformer, text encoder, VAE: sees only this header)
 *           |
 *      struct kern_ops
 *       /       |        \
 *     ref      cpu      cuda-1 .. cuda-4
 *
 *     plain C, f64 sums, the oracle | oneDNN | a card (kernels/cuda/cuda_backend.h says which level
 *     is what)
 *
 * Rules that hold for every operation:
 *   - `act` below is the run's precision: DT_F32 or DT_BF16; all tensors marked
 *     act in one call have the same one. Vectors (biases, norm weights,
 *     modulation) and the residual stream are always F32.
 *   - inputs are const and left as they were; out may alias an input only
 *     where the operation says so
 *   - a row's result depends on that row's inputs and the shapes alone: not on
 *     the number of threads, nor on what else is computed. The one exception are
 *     attentions in 8 bits (kern_backend.low_precision_attention), where other rows and
 *     keys of the same call may show; the same call has the same bits there too
 *   - work is queued on ctx's stream; a CPU backend has run before it returns.
 *     Before the host reads a result: backend->sync
 *   - ST_ARG if a shape or a dtype does not fit, found before any work;
 *     zero rows are fine and do nothing
 *   - sums are carried in f32 or wider and rounded once, at the store; with act BF16
 *     a backend may round a linear's bias to it first, where out is BF16 too
 */
#ifndef KERN_H
#define KERN_H

#include "kernels/memory.h"
#include "kernels/tensor.h"

/* One rank's place to compute: its threads or stream, scratch, cached plans.
 * Backends extend it. One thread uses it at a time. */
struct kern_ctx {
    const struct kern_backend *backend;
    int threads;
    const struct memory *memory; /* where its tensors lie; NULL: in the host's */
};

struct kern_config {
    int threads; /* >= 1: this rank's share of the processor */
    int device;  /* number of the card, from 0; a backend that has none takes no notice */
    bool strict; /* every rank must come to the same bits: nothing is chosen by timing */
};

/* A weight matrix in the form its backend likes best. `t` is the logical shape
 * in the compute dtype; t.data points to packed bytes only the backend reads. */
enum kern_use {
    KERN_LINEAR, /* [n, k], as torch.nn.Linear stores it */
    /* The same, where low precision is enough: what a backend does that is `low_precision`. */
    KERN_LINEAR_LOW_PRECISION,
    KERN_CONV, /* [cout, cin, kt, kh, kw], as torch.nn.Conv3d stores it */
    /* The same, [cout, cin, 1, 3, 3], for doubled pixels alone: a convolution with
     * upsample 2 and 1 pixel of padding all round. Taps that meet the same pixel may be
     * added when packed: four 2x2 kernels, a sum of taps rounded once to the dtype. */
    KERN_CONV_DOUBLED,
};
struct kern_weight {
    enum kern_use use;
    struct tensor t;
};
static inline bool kern_is_linear(enum kern_use use)
{
    return use == KERN_LINEAR || use == KERN_LINEAR_LOW_PRECISION;
}

enum kern_act { KERN_ACT_NONE, KERN_ACT_SILU, KERN_ACT_GELU_TANH };

/* Fill w from src: host memory, plain layout as kern_use says, F32, BF16 or F16.
 * w->t has its place already (kern_weight_place). */
struct kern_pack {
    struct kern_weight *w;
    const void *src;
    enum dtype src_dtype;
};

/* y[r, n] = act(sum_k x[r, k] * w[n, k] + bias[n])
 * out[r, n] = y,  or with `residual`:  residual[r, n] + gate[r / (rows/groups), n] * y
 * x: [rows, k] act   w: [n, k] act   bias: [n] or NULL
 * out: [rows, n] act or F32          residual: [rows, n] F32 or NULL; out may be residual
 * gate: [groups, n] or NULL (= 1); groups divides rows */
struct kern_linear {
    const struct tensor *x, *bias, *residual, *gate;
    const struct kern_weight *w;
    struct tensor *out;
    enum kern_act act;
};

/* out[r, c] = (x[r, c] - mean_c) / sqrt(var_c + eps) * scale[g, c] + shift[g, c]
 * with g = r / (rows/groups).   x: [rows, c] F32   scale, shift: [groups, c]
 * out: [rows, c] act */
struct kern_layernorm {
    const struct tensor *x, *scale, *shift;
    struct tensor *out;
    float eps;
};

/* out[r, c] = x[r, c] / sqrt(mean_c(x[r, :]^2) + eps) * weight[c]
 * x: [rows, c] F32 or act   weight: [c]   out: [rows, c] act; may be x if same dtype */
struct kern_rmsnorm {
    const struct tensor *x, *weight;
    struct tensor *out;
    float eps;
};

/* A linear with a residual, and the LayerNorm of what comes out:
 * linear.out = residual + gate * y, then
 * norm[r, c] = (out[r, c] - mean_c) / sqrt(var_c + eps) * scale[g, c] + shift[g, c]
 * linear: as kern_linear says, with residual, out F32   scale, shift: [groups, n]
 * norm: [rows, n] act, the dtype of linear.x; may be linear.x if same shape */
struct kern_linear_norm {
    struct kern_linear linear;
    const struct tensor *scale, *shift;
    struct tensor *norm;
    float eps;
};

/* Rotate pairs (2i, 2i+1) of every head by the angle of the row's frame, row or
 * column. Rows stand in the order frame, row, column.
 * x, out: [frames*h*w, heads*head_dim] act; out may be x
 * time: [frames, ct, 2], row: [h, cr, 2], col: [w, cc, 2], each (cos, sin) F32;
 * ct + cr + cc = head_dim/2: first ct pairs by frame, then row, then column.
 * time may be [frames, heads, ct, 2]: each head by angles of its own */
struct kern_rope {
    const struct tensor *x, *time, *row, *col;
    struct tensor *out;
    int heads;
};

/* Of a table of angles: pairs of a head. Of time: 1, or heads that have their own. */
static inline int64_t kern_rope_pairs(const struct tensor *t) { return t->dim[t->ndim - 2]; }
static inline int64_t kern_rope_heads(const struct tensor *t)
{
    return t->ndim > 3 ? t->dim[1] : 1;
}

/* Queries, keys and values of self attention from one x:
 *   k.out = rmsnorm(x k.w^T + k.bias, k.norm)     v.out = x v.w^T + v.bias
 *   q.out = rope(rmsnorm(x q.w^T + q.bias, q.norm))
 * as linear, rmsnorm and rope say; what lies between them, and between a product and
 * its bias, is act or wider.
 * x: [rows, n_in] act   w: [dim, n_in] act   bias: [dim] or NULL   norm: [dim]
 * out: [rows, dim] act. q.out NULL: no queries, and q, heads and the angles are not read.
 * v.norm is NULL. time, row, col, heads: as rope says.
 * Best, not needed: weights q, k, v right behind one another in memory, and biases. */
struct kern_projection {
    const struct kern_weight *w;
    const struct tensor *bias, *norm;
    struct tensor *out;
};
struct kern_qkv {
    const struct tensor *x;
    struct kern_projection q, k, v;
    const struct tensor *time, *row, *col;
    int heads;
    float eps;
};

/* out = softmax(scale * q k^T + bias) v, per head, over the keys of all segments
 * in their order, as if they were one. A head's columns are [h*hd, (h+1)*hd).
 * lse = log(sum over keys of exp(scale * q k + bias)), natural: with it the result is
 * a partial one, for kern_merge; out is then best of dtype backend->partial_dtype(act), which
 * keeps it as exact as the backend has it. A bias that leaves out every key
 * of a row gives lse -INFINITY, and out is then no number.
 * q: [nq, heads*hd] act   k, v: [n_i, heads*hd] act, one pair per segment
 * out: [nq, heads*hd] act or F32   lse: [nq, heads] F32 or NULL
 * bias: [heads, nq, sum n_i] F32 or NULL.   At least one key. */
enum { KERN_SEGMENTS = 32 };
struct kern_segment {
    struct tensor k, v;
};
struct kern_attention {
    const struct tensor *q, *bias;
    const struct kern_segment *segments;
    int segment_count; /* 1..KERN_SEGMENTS */
    struct tensor *out, *lse;
    int heads;
    float scale;
    bool low_precision; /* is enough: what a backend does by its low_precision_attention */
};

/* Attention over all keys from its results a and b over two parts of them: per head,
 * out = (wa * a + wb * b) / (wa + wb), w = exp(lse - max(a_lse, b_lse)). A side whose
 * lse is -INFINITY takes no part; at most one may be.
 * a, b: [nq, heads*hd], both F32 or both act   a_lse, b_lse: [nq, heads] F32
 * out: [nq, heads*hd] act */
struct kern_merge {
    const struct tensor *a, *a_lse, *b, *b_lse;
    struct tensor *out;
};

/* 3-D convolution over [past | x] in time without padding there (a causal
 * stream keeps its own past), zero padding in space. With upsample 2 every
 * pixel is first doubled in height and width (nearest).
 * past: [p, h, w, cin] act or NULL   x: [t, h, w, cin] act
 * w: [cout, cin, kt, kh, kw] act     bias: [cout] or NULL; in bf16 it may be rounded to it
 *      one packed as KERN_CONV_DOUBLED: strides 1, pads 1, upsample 2 only
 * out: [(p+t-kt)/stride_t + 1, h', w', cout] act or F32,
 *      h' = (upsample*h + pad_lo + pad_hi - kh)/stride + 1, w' alike
 * residual: like out, act, or NULL: added; out may be residual */
struct kern_conv3d {
    const struct tensor *past, *x, *bias, *residual;
    const struct kern_weight *w;
    struct tensor *out;
    int stride_t, stride; /* 0 means 1 */
    int pad_lo, pad_hi;   /* pixels at top and left | bottom and right */
    int upsample;         /* 0 or 1: none; 2 */
};

/* out[r, c] = act(x[r, c] / max(||x[r, :]||_2, 1e-12) * sqrt(C) * gamma[c])
 * x, out: [..., C] act; out may be x.   gamma: [C].   act: none or SiLU */
struct kern_channel_norm {
    const struct tensor *x, *gamma;
    struct tensor *out;
    enum kern_act act;
};

/* out = a * b, element by element; all the same shape, act; out may be a or b */
struct kern_mul {
    const struct tensor *a, *b;
    struct tensor *out;
};

/* Latent -> tokens: out[(f, y, x), (c, py, px)] = latent[f, c, 2y+py, 2x+px]
 * latent: [frames, c, h, w] F32, h and w even   out: [frames*h/2*w/2, c*4] act */
struct kern_patchify {
    const struct tensor *latent;
    struct tensor *out;
};

/* Tokens -> latent: out[f, c, 2y+py, 2x+px] = tokens[(f, y, x), (py, px, c)]
 * tokens: [frames*h/2*w/2, 4*c] F32   out: [frames, c, h, w] F32 */
struct kern_unpatchify {
    const struct tensor *tokens;
    struct tensor *out;
};

/* Pictures as bytes: pixels.h says which, to the bit, on every backend.
 * pixels: [t, h, w, 3] F32, -1 (black) to 1, clipped   formats: a set of enum pix
 * out: [t, bytes of pixels_layout(w, h, formats)] U8; what nobody owns is left as it is
 * Takes no scratch that would have to be reserved. */
struct kern_pictures {
    const struct tensor *pixels;
    unsigned formats;
    struct tensor *out;
};

/* out = a*x + b*y, element by element, taken in f64: both the step to x0
 * (1, -sigma) and re-noising (1 - sigma, sigma). F32, same shape; out may be x or y */
struct kern_axpby {
    const struct tensor *x, *y;
    struct tensor *out;
    double a, b;
};

/* Rows in 8 bits, e4m3, with a scale each. Every step is rounded to nearest even and in F32,
 * so that all backends come to the same bits:
 *   scale[r] = max(max_c |x[r, c]|, 2^-100) / 448
 *   out[r, c] = e4m3(x[r, c] / scale[r]), at most 448 either way; of NaN 0x7f, NaN
 * x: [rows, cols] act   out: [rows, cols] U8   scale: [rows] F32 */
struct kern_quantize_e4m3 {
    const struct tensor *x;
    struct tensor *out, *scale;
};

/* And back: out[r, c] = x[r, c] * scale[r], the product in F32; all backends alike.
 * x: [rows, cols] U8, e4m3   scale: [rows] F32   out: [rows, cols] act */
struct kern_dequantize_e4m3 {
    const struct tensor *x, *scale;
    struct tensor *out;
};

/* Rows of parts side by side to the same parts one behind another, and back:
 * out[j, i, :] = in[i, j, :], byte for byte
 * in: [a, b, c]   out: [b, a, c] of the same dtype, whichever; no overlap */
struct kern_permute01 {
    const struct tensor *in;
    struct tensor *out;
};

/* What every key of a set is worth: out[r] = scale * (sum_c k[r, c] * w[c] + sum_p a[p] * |k_p|),
 * k_p being columns 2p and 2p + 1 as a complex number.
 * k: [rows, cols] act   w: [cols] F32   amplitude: a [cols/2] F32, or NULL: 0   out: [rows] F32 */
struct kern_score_keys {
    const struct tensor *k, *w, *amplitude;
    struct tensor *out;
    float scale;
};

/* out[c] = sum_r x[r, c]   x: [rows, cols] act   out: [cols] F32; no rows: 0 */
struct kern_sum_rows {
    const struct tensor *x;
    struct tensor *out;
};

/* out[i, :] = x[index[i], :], byte for byte; no overlap. index: whole numbers in F32; whoever calls
 * has seen to it that they are rows of x.
 * x: [n, cols]   index: [rows] F32   out: [rows, cols] of the same dtype, whichever */
struct kern_gather_rows {
    const struct tensor *x, *index;
    struct tensor *out;
};

/* out = in in another precision, rounded to nearest even; same count, each F32 or BF16 */
struct kern_cast {
    const struct tensor *in;
    struct tensor *out;
};

/* out = in, byte for byte; same dtype and count, no overlap */
struct kern_copy {
    const struct tensor *in;
    struct tensor *out;
};

/* out = 0 */
struct kern_zero {
    struct tensor *out;
};

/* One line per operation. The table, the completeness test and the kernel
 * checker are all made from this list, so none of them can forget one. */
#define KERN_OPS(OP)                                                                               \
    OP(pack)                                                                                       \
    OP(linear)                                                                                     \
    OP(linear_norm)                                                                                \
    OP(qkv)                                                                                        \
    OP(layernorm)                                                                                  \
    OP(rmsnorm)                                                                                    \
    OP(rope)                                                                                       \
    OP(attention)                                                                                  \
    OP(merge)                                                                                      \
    OP(conv3d)                                                                                     \
    OP(channel_norm)                                                                               \
    OP(mul)                                                                                        \
    OP(patchify)                                                                                   \
    OP(unpatchify)                                                                                 \
    OP(pictures)                                                                                   \
    OP(axpby)                                                                                      \
    OP(quantize_e4m3)                                                                              \
    OP(dequantize_e4m3)                                                                            \
    OP(permute01)                                                                                  \
    OP(score_keys)                                                                                 \
    OP(sum_rows)                                                                                   \
    OP(gather_rows)                                                                                \
    OP(cast)                                                                                       \
    OP(copy)                                                                                       \
    OP(zero)

enum kern_op {
#define OP(op) KERN_OP_##op,
    KERN_OPS(OP)
#undef OP
        KERN_OP_COUNT
};

struct kern_ops {
#define OP(op) status (*op)(struct kern_ctx *, const struct kern_##op *);
    KERN_OPS(OP)
#undef OP
};

enum { KERN_TEXT = 128 };
struct kern_backend {
    const char *name; /* "ref", "cpu" */
    bool on_cards;    /* its memory is a card's; else the processor computes */
    int level;        /* of several of one kind, from 1; 0: there is one */

    /* What decides its bits on this machine, in words: libraries, instructions. Ranks that
     * share work must agree on it. */
    const char *(*kernels)(char buf[KERN_TEXT]);
    struct kern_ops ops;
    bool batches; /* few large calls are so much faster here that a user wants them rather than
                     the same bits for any ranks */

    /* Products with a BF16 weight for KERN_LINEAR_LOW_PRECISION are of 8 bits: each row of x and of
     * w times a scale of its own, such that its largest magnitude is 448, is rounded to FP8
     * (e4m3); the sum is rounded to BF16 before bias, activation, gate and residual. */
    bool low_precision;

    /* Which attentions that are marked low_precision are of 8 bits, from shapes and dtypes alone;
     * NULL: none. In these each
     * of q, all keys and all values of the call is rounded to e4m3 with one scale: the least
     * power of two, from 2^-100 on, such that the largest magnitude is at most 448 (all zeros:
     * 1). Then weights w = exp(scale q k - their largest), before or after they are divided by
     * their sum, are rounded to e4m3 at 256 w, and out to e4m3 with the values' scale; lse and
     * the sum are of weights not rounded. Numbers below 2^-13 of the largest lose digits to
     * that, all others are rounded alike whatever else is in the call. */
    bool (*low_precision_attention)(const struct kern_attention *);

    /* conv3d is faster where x lies right behind past in memory. */
    bool joins;

    /* Why this backend cannot compute on this machine; NULL: it can. */
    const char *(*absent)(void);

    /* ST_DEVICE if it is absent. Whoever opens, closes. */
    status (*open)(struct kern_ctx **out, const struct kern_config *c);
    void (*close)(struct kern_ctx **); /* NULL is fine; sets NULL */

    /* Memory the operations work on; aligned to ARENA_ALIGN, not initialised. */
    status (*alloc)(struct kern_ctx *, size_t bytes, void **at);
    void (*free)(struct kern_ctx *, void *at);
    status (*upload)(struct kern_ctx *, const struct tensor *to, const void *host);
    status (*download)(struct kern_ctx *, void *host, const struct tensor *from);
    status (*sync)(struct kern_ctx *); /* all queued work has run */

    /* Memory of the host that fetch writes to; not initialised. */
    status (*alloc_host)(struct kern_ctx *, size_t bytes, void **at);
    void (*free_host)(struct kern_ctx *, void *at);

    /* Download behind all work queued so far, into memory of alloc_host; what is queued
     * from here on runs beside it. One at a time: until await has returned nothing writes
     * `from`, nothing reads the host's copy, and there is no other fetch. */
    status (*fetch)(struct kern_ctx *, void *host, const struct tensor *from);
    status (*await)(struct kern_ctx *); /* the fetch, if there is one, is through */

    /* The dtype in which attention best leaves a partial result for merge: F32, or act
     * where the backend has no more to give. */
    enum dtype (*partial_dtype)(enum dtype act);

    /* Bytes of a packed weight of this logical shape and dtype. */
    size_t (*packed_bytes)(const struct kern_weight *w);

    /* Memory of the backend that open takes. What its libraries keep for themselves (their
     * code on a card) is not in it: that is the driver's, of each card and process. */
    size_t context_bytes;

    /* Bytes that an operation takes of its context's scratch, at most: from the shapes,
     * dtypes and flags of its struct kern_OP alone, so that data may be NULL everywhere
     * and no device is asked. NULL: no more than a caller need not know of. */
    size_t (*scratch_bytes)(enum kern_op op, const void *args);

    /* Have that much scratch: operations that take no more allocate nothing from now on.
     * NULL where scratch_bytes is. */
    status (*reserve)(struct kern_ctx *, size_t bytes);

    /* Have ready what an operation's libraries make when they first meet its shapes: a kernel
     * is compiled or chosen, and loaded. args: as the operation will get them. What its inputs
     * hold does not matter; its out is overwritten, and scratch must be reserved. Cheap where
     * all is there already. NULL: there is nothing to make. */
    status (*prepare)(struct kern_ctx *, enum kern_op op, const void *args);
};

/* The backends of this build, the oracle first; NULL behind the last. */
const struct kern_backend *kern_backend_at(int i);

/* NULL if this build has no backend of that name. */
const struct kern_backend *kern_backend_find(const char *name);

/* The one that computes on cards at this level, 1 to 4; NULL if this build has none. */
const struct kern_backend *kern_backend_of_cards(int level);

/* ST_ARG if it does not compute with activations of this dtype: one that does products in FP8
 * has them beside BF16 alone. Names the command line's options that go together. */
status kern_backend_supports(const struct kern_backend *backend, enum dtype act) MUST_USE;

/* "ref|cpu", for messages. */
enum { KERN_NAMES = 64 };
const char *kern_backend_names(char text[KERN_NAMES]);

/* kern_linear(ctx, &(struct kern_linear){...}) for every operation of the list. */
#define OP(op)                                                                                     \
    static inline MUST_USE status kern_##op(struct kern_ctx *ctx, const struct kern_##op *args)    \
    {                                                                                              \
        return ctx->backend->ops.op(ctx, args);                                                    \
    }
KERN_OPS(OP)
#undef OP

/* Give a weight its shape and its place. t.data stays NULL in a measuring arena. */
status kern_weight_place(struct kern_weight *out, const struct kern_backend *backend,
                         struct arena *a, enum kern_use use, enum dtype dtype, int ndim,
                         const int64_t *dim) MUST_USE;

#endif /* KERN_H */
