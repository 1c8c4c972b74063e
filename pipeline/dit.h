/*
 * dit.h - the diffusion transformer: its shape, its weights, and one block's way
 * through one layer.
 *
 * The forward pass is cut where ranks meet: dit_project leaves a block's keys and
 * values, then the line exchanges them, then dit_attend goes on. What is at hand
 * before the exchange is over dit_attend_part takes meanwhile. Nothing here knows
 * of ranks, windows or clips. Maths and names: Wan2.1 as Rolling Forcing
 * uses it.
 *
 * Letters: n tokens of a block = frames * h/2 * w/2; d dim; act = F32 or BF16.
 */
#ifndef DIT_H
#define DIT_H

#include "kernels/kern.h"
#include "pipeline/schedule.h"

struct dit_shape {
    int dim, ffn_dim, heads, layers;
    int text_dim, text_len; /* prompt embeddings: [text_len, text_dim] */
    int freq_dim;           /* of the time sinusoid */
    int channels;           /* of the latent: 16 */
    float eps;
};

/* Read config.json. ST_FORMAT names the file, the key, and what is allowed. */
status dit_shape_read(struct dit_shape *out, const char *path) MUST_USE;

struct dit;

struct dit_config {
    const char *weights;   /* file */
    const char *outer_key; /* NULL: see weights.h */
    struct dit_shape shape;
    const struct schedule *schedule; /* levels 0..W-1; level W is the clean pass, t = 0 */
    enum dtype act;
};

/* Load through ctx, which must outlive the model. Afterwards read-only: ranks
 * that are threads share it. On failure *out is NULL. Whoever opens, closes. */
status dit_open(struct dit **out, const struct dit_config *c, struct kern_ctx *ctx) MUST_USE;
void dit_close(struct dit **d); /* NULL is fine; sets NULL */

/* What dit_open would keep, in bytes, from the shape alone; no file is looked at. And
 * with `hollow` not NULL a model without weights, which line_measure takes and nobody may
 * compute with; whoever measures, closes it. */
status dit_measure(size_t *bytes, struct dit **hollow, const struct dit_config *c,
                   const struct kern_backend *backend) MUST_USE;

const struct dit_shape *dit_shape_of(const struct dit *d);
enum dtype dit_act(const struct dit *d);
const char *dit_weights_hash(const struct dit *d); /* SHA-256 of the file, hex */

/* Angles for kern_rope; see rope.h. */
struct dit_angles {
    struct tensor time, row, col;
};

/* A block's attention over some of its keys, before it is merged with the rest's. */
struct dit_part {
    struct tensor x;   /* [n, d] F32 */
    struct tensor lse; /* [n, heads] F32 */
};
status dit_part_place(struct dit_part *out, const struct dit_shape *s, int64_t tokens,
                      struct arena *a) MUST_USE;

/* Scratch of one rank, whatever stages it owns. */
struct dit_scratch {
    struct tensor h;      /* [n, d] act: normed input, then attention output */
    struct tensor q;      /* [n, d] act: cross-attention queries */
    struct tensor ffn;    /* [n, ffn_dim] act */
    struct tensor patch;  /* [n, 4*channels] act */
    struct tensor flow;   /* [n, 4*channels] F32 */
    struct dit_part part; /* of the attention in two parts; not placed where there is none */
};
status dit_scratch_place(struct dit_scratch *out, const struct dit_shape *s, enum dtype act,
                         int64_t tokens, struct arena *a) MUST_USE;

/* A prompt as the layers want it: keys and values of all text_len rows. */
struct dit_context {
    struct tensor k, v;         /* [layers * text_len, d] act */
    struct tensor text, hidden; /* [text_len, text_dim], [text_len, d] act: on the way there */
};
status dit_context_place(struct dit_context *out, const struct dit_shape *s, enum dtype act,
                         struct arena *a) MUST_USE;

/* embeds: [text_len, text_dim] host F32, zero rows after the prompt. */
status dit_context_fill(const struct dit *d, struct kern_ctx *ctx, struct dit_context *c,
                        const float *embeds) MUST_USE;

/* latent: [frames, channels, h, w] F32  ->  x: [n, d] F32, the residual stream */
status dit_embed(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                 const struct tensor *latent, struct tensor *x) MUST_USE;

/* Layer's keys and values of a block at `level`, keys without RoPE, and with q
 * not NULL its queries, turned by `at`.   k, v, q: [n, d] act */
struct dit_project {
    int layer, level;
    const struct tensor *x;
    const struct dit_angles *at;
    struct tensor *q, *k, *v;
};
status dit_project(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                   const struct dit_project *p) MUST_USE;

/* What queries attend to: keys with RoPE. */
struct dit_keys {
    struct kern_segment segment[KERN_SEGMENTS];
    int count;
};

/* Attention of q over a part of the keys. */
status dit_attend_part(const struct dit *d, struct kern_ctx *ctx, const struct tensor *q,
                       const struct dit_keys *keys, struct dit_part *out) MUST_USE;

/* The rest of the layer: attention of q over the keys, merged with what it was over
 * the others if they were taken `before`; cross-attention to the prompt, feed-forward.
 * x is updated. */
struct dit_attend {
    int layer, level;
    const struct tensor *q;
    const struct dit_keys *keys;
    const struct dit_part *before; /* or NULL; needs the scratch's part */
    const struct dit_context *context;
    struct tensor *x;
};
status dit_attend(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s,
                  const struct dit_attend *p) MUST_USE;

/* x -> flow v = noise - x0: [frames, channels, h, w] F32 */
status dit_head(const struct dit *d, struct kern_ctx *ctx, struct dit_scratch *s, int level,
                const struct tensor *x, struct tensor *flow) MUST_USE;

#endif /* DIT_H */
