/*
 * random_model.h - the tensors of the three networks, by name and shape, and
 * random values for them.
 *
 * Names and shapes are the released checkpoints'. The scales are such that
 * activations stay near one through all layers: matrices by 1/sqrt(inputs), norms
 * near one, gates small. A value depends on the seed, the tensor's name and the
 * element alone.
 */
#ifndef RANDOM_MODEL_H
#define RANDOM_MODEL_H

#include "kernels/tensor.h"

struct model_size {
    const char *name;
    int dit_dim, dit_ffn, dit_heads, dit_layers, freq_dim, text_len;
    int text_dim, text_ffn, text_heads, text_layers, vocab; /* text_dim: of both */
    int vae_width;
};

enum { RANDOM_NAME = 96 };
struct random_tensor {
    char name[RANDOM_NAME];
    struct tensor t; /* shape; no data */
    float mean, spread;
};

/* Zero-initialise; random_free when done. */
struct random_list {
    struct random_tensor *at;
    int count, cap;
    bool failed; /* out of memory, or a shape too large */
};

void random_dit(struct random_list *l, const struct model_size *size, enum dtype dtype);
void random_text(struct random_list *l, const struct model_size *size); /* BF16 */
void random_vae(struct random_list *l, const struct model_size *size);  /* F32 */
void random_free(struct random_list *l);

/* Elements first .. first + count - 1 in the tensor's dtype (F32 or BF16). Roughly
 * normal: four uniform numbers summed, so never beyond 3.5 spreads. */
void random_fill(void *out, const struct random_tensor *t, uint64_t seed, int64_t first,
                 int64_t count);

#endif /* RANDOM_MODEL_H */
