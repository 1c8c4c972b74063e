/*
 * dit.h - the diffusion transformer: its shape, its weights, and the way of one or
 * several blocks through one layer.
 *
 * The forward pass is cut where ranks meet: dit_project leaves keys and values, then
 * the line exchanges them, then dit_attend and dit_finish go on. What is at hand
 * before the exchange is over dit_attend_part takes meanwhile. Nothing here knows
 * of ranks, windows or clips. Maths and names: Wan2.1 as Rolling Forcing
 * uses it.
 *
 * Letters: n tokens of a block = frames * h/2 * w/2; d dim; act = F32 or BF16.
 */
#ifndef DIT_H
#define DIT_H

#include "kernels/kern.h"
#include "pipeline/dit/schedule.h"
#include "pipeline/weights/weights.h"

struct dit_shape {
    int dim, ffn_dim, heads, layers;
    int text_dim, text_len; /* prompt embeddings: [text_len, text_dim] */
    int freq_dim;           /* of the time sinusoid */
    int channels;           /* of the latent: 16 */
    float eps;
};

/* Read config.json; or the weights themselves (weights.h), where there is none. ST_FORMAT names the
 * file, the key, and what is allowed. */
status dit_shape_read(struct dit_shape *out, const char *path) MUST_USE;

/* As far as the shapes of weights say it; a width that 128 does not divide has one head. ST_FORMAT
 * if they are no transformer's. */
status dit_shape_measure(struct dit_shape *out, const struct weights *w) MUST_USE;

struct dit;

struct dit_config {
    const char *weights;   /* see weights.h, as all of these three */
    const char *outer_key; /* or NULL */
    const struct weight_adapter *adapter;
    int adapters;
    struct dit_shape shape;
    const struct schedule *schedule; /* its entries are levels here; the one behind them is the
                                        clean pass, t = 0 */
    enum dtype act;
};

/* Load through ctx, which must outlive the model. Afterwards read-only: ranks
 * that are threads share it. On failure *out is NULL. Whoever opens, closes. */
status dit_open(struct dit **out, const struct dit_config *c, struct kern_ctx *ctx) MUST_USE;
void dit_close(struct dit **d); /* NULL is fine; sets NULL */

/* What dit_open would refuse of the files: names, shapes, dtypes, adapters. Nothing is loaded. */
status dit_check(const struct dit_config *c) MUST_USE;

/* What dit_open would keep, in bytes, from the shape alone; no file is looked at. And
 * with `hollow` not NULL a model without weights, which line_measure takes and nobody may
 * compute with; whoever measures, closes it. */
status dit_measure(size_t *bytes, struct dit **hollow, const struct dit_config *c,
                   const struct kern_backend *backend) MUST_USE;

const struct dit_shape *dit_shape_of(const struct dit *d);
enum dtype dit_act(const struct dit *d);

/* Angles for kern_rope; see rope.h. */
struct dit_angles {
    struct tensor time, row, col;
};

/* What blocks at levels `level`, `level` + 1, ... have in common where they go through
 * the transformer together: their tokens stand one block behind another, and r below is
 * all of them, blocks * n. One block at a time is the same with 1. */

/* Attention over some of the keys, before it is merged with the rest's. dtype: as the
 * backend has it best, kern_backend.partial_dtype. */
struct attn_partial {
    struct tensor x;   /* [r, d] */
    struct tensor lse; /* [r, heads] F32 */
};
status attn_partial_place(struct attn_partial *out, const struct dit_shape *s, enum dtype dtype,
                          int64_t rows, struct arena *a) MUST_USE;
struct attn_partial attn_partial_rows(const struct attn_partial *p, int64_t first, int64_t rows);

/* Scratch of one rank, whatever stages it owns. */
struct dit_scratch {
    struct tensor h;     /* [r, d] act: normed input, then attention output */
    struct tensor q;     /* [r, d] act: cross-attention queries */
    struct tensor ffn;   /* [r, ffn_dim] act */
    struct tensor patch; /* [r, 4*channels] act */
    struct tensor flow;  /* [r, 4*channels] F32 */
};
status dit_scratch_place(struct dit_scratch *out, const struct dit_shape *s, enum dtype act,
                         int64_t rows, struct arena *a) MUST_USE;

/* A view of some of its rows. The calls below need one of exactly their r. */
struct dit_scratch dit_scratch_rows(const struct dit_scratch *s, int64_t first, int64_t rows);

/* A prompt as the layers want it: keys and values of all text_len rows. */
struct cross_kv {
    struct tensor k, v;         /* [layers * text_len, d] act */
    struct tensor text, hidden; /* [text_len, text_dim], [text_len, d] act: on the way there */
};
status cross_kv_place(struct cross_kv *out, const struct dit_shape *s, enum dtype act,
                      struct arena *a) MUST_USE;

/* embeds: [text_len, text_dim] host F32, zero rows after the prompt. */
status cross_kv_fill(const struct dit *d, struct kern_ctx *ctx, struct cross_kv *c,
                     const float *embeds) MUST_USE;

/* latent: [blocks*frames, channels, h, w] F32  ->  x: [r, d] F32, the residual stream */
status dit_embed(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                 const struct tensor *latent, struct tensor *x) MUST_USE;

/* A layer's keys and values, keys without RoPE, and with q not NULL the queries,
 * roped by `at`.   k, v, q: [r, d] act */
struct dit_project {
    int layer, level, blocks;
    const struct tensor *x;
    const struct dit_angles *at; /* of the frames of all blocks, in their order */
    struct tensor *q, *k, *v;
};
status dit_project(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                   const struct dit_project *p) MUST_USE;

/* What queries attend to: keys with RoPE. */
struct dit_keys {
    struct kern_segment segment[KERN_SEGMENTS];
    int count;
};

/* Attention of q over a part of the keys. Queries and keys may be of some heads alone: as
 * many columns as these have, [r, w] for [r, d] wherever attention has it. */
status dit_attend_part(const struct dit *d, struct kern_ctx *ctx, const struct tensor *q,
                       const struct dit_keys *keys, struct attn_partial *out) MUST_USE;

/* Attention of q over the keys; merged with what it was over the others if they were
 * taken `before`. */
struct dit_attend {
    const struct tensor *q;
    const struct dit_keys *keys;
    const struct attn_partial *before; /* or NULL */
    struct attn_partial *part;         /* room beside `before` */
    const struct tensor *bias;         /* [as part->lse] F32, added to it; or NULL */
    struct tensor *out;                /* [as q] act */
};
status dit_attend(const struct dit *d, struct kern_ctx *ctx, const struct dit_attend *p) MUST_USE;

/* The rest of the layer: the scratch's h, what attention came to, onto x; then
 * cross-attention to the prompts, one call for neighbours with the same; feed-forward. */
struct dit_finish {
    int layer, level, blocks;
    const struct cross_kv *const *context; /* [blocks] */
    struct tensor *x;
};
status dit_finish(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                  const struct dit_finish *p) MUST_USE;

/* x -> flow v = noise - x0: [blocks*frames, channels, h, w] F32 */
struct dit_head {
    int level, blocks;
    const struct tensor *x;
    struct tensor *flow;
};
status dit_head(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                const struct dit_head *p) MUST_USE;

#endif /* DIT_H */
