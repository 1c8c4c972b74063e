/*
 * umt5.h - the UMT5 text encoder: token ids -> one vector per token.
 *
 * Per layer, without any bias vector and with RMS norms of eps 1e-6:
 *   x += o(softmax(q k^T + b_layer) v)        of norm1(x); no 1/sqrt(d)
 *   x += fc2(fc1(y) * gelu_tanh(gate(y)))     with y = norm2(x)
 * and a last norm. b_layer[head, i, j] depends on the bucket of j - i alone.
 *
 * Attention and its projections are F32 whatever the precision: nothing scales the
 * logits down, and a step of bf16 at a large one would show.
 *
 * The weights are far larger than one layer, so they are read layer by layer, once
 * for all prompts given together. Nothing is held between two calls.
 */
#ifndef UMT5_H
#define UMT5_H

#include "kernels/kern.h"
#include "pipeline/weights/weights.h"

struct umt5;

/* From the tensors of the file; heads and buckets from the position table. */
struct umt5_shape {
    int64_t vocab, dim, dim_attn, ffn, heads, buckets;
    int layers;
};

extern const struct umt5_shape umt5_xxl; /* of the released encoder, UMT5-XXL */

struct umt5_config {
    struct weights *weights; /* borrowed until close; the encoder alone fetches from it */
    const struct kern_backend *backend;
    int threads, device;     /* see kern_config */
    enum dtype precision;    /* of the feed-forward: DT_F32 or DT_BF16 */
    bool (*stop)(void *arg); /* asked for each layer and prompt: give up; NULL: never */
    void *stop_arg;
};

/* Reads the names and shapes only. ST_FORMAT names every tensor that is missing
 * or mis-shaped. Whoever opens, closes. */
status umt5_open(struct umt5 **out, const struct umt5_config *config) MUST_USE;
void umt5_close(struct umt5 **u); /* NULL is fine; sets NULL */
const struct umt5_shape *umt5_shape(const struct umt5 *u);

struct umt5_prompt {
    const int32_t *ids;
    int count;     /* real tokens, at least 1; nothing else is computed */
    float *embeds; /* [count, dim], set */
};

/* A prompt's result does not depend on the others. ST_FORMAT if a weight is not finite;
 * ST_MISMATCH if a result is not: then all are set. ST_CANCELED if `stop` said so. */
status umt5_encode(struct umt5 *u, const struct umt5_prompt *prompts, int n) MUST_USE;

/* The bucket of a key `distance` tokens after the query (negative: before):
 * exact near by, then logarithmic up to 128, in halves for before and after. */
int umt5_bucket(int64_t distance, int buckets);

#endif /* UMT5_H */
