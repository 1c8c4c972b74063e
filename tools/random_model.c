#include "tools/random_model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What add() needs beside the name. */
struct shape {
    float mean, spread;
    int ndim;
    int64_t dim[TENSOR_DIMS];
};

struct adder {
    struct random_list *l;
    enum dtype dtype;
    const char *prefix;
};

PRINTF_LIKE(3, 4)
static void add(const struct adder *a, struct shape s, const char *fmt, ...)
{
    struct random_list *const l = a->l;
    va_list ap;

    if (l->count == l->cap && !l->failed) {
        int const cap = l->cap ? l->cap * 2 : 256;
        struct random_tensor *const more = realloc(l->at, (size_t)cap * sizeof *more);
        l->failed = !more;
        if (more) {
            l->at = more;
            l->cap = cap;
        }
    }
    if (l->failed) return;

    struct random_tensor *const t = &l->at[l->count++];
    int const n = snprintf(t->name, sizeof t->name, "%s", a->prefix);
    va_start(ap, fmt);
    vsnprintf(t->name + n, sizeof t->name - (size_t)n, fmt, ap);
    va_end(ap);
    t->mean = s.mean;
    t->spread = s.spread;
    if (tensor_make(&t->t, a->dtype, s.ndim, s.dim) != ST_OK) l->failed = true;
}

void random_free(struct random_list *l)
{
    free(l->at);
    *l = (struct random_list){ 0 };
}

static struct shape vector(int64_t n, float mean, float spread)
{
    return (struct shape){ mean, spread, 1, { n } };
}

static struct shape matrix(int64_t n, int64_t k, float gain)
{
    return (struct shape){ 0, gain / sqrtf((float)k), 2, { n, k } };
}

static void linear(const struct adder *a, const char *name, int64_t n, int64_t k, float gain)
{
    add(a, matrix(n, k, gain), "%s.weight", name);
    add(a, vector(n, 0, 0.02f), "%s.bias", name);
}

/* ---- the diffusion transformer ------------------------------------------------------ */

static void dit_attention(const struct adder *a, int block, const char *kind, int dim)
{
    static const char *const part[] = { "q", "k", "v", "o" };
    char name[RANDOM_NAME];

    for (int i = 0; i < COUNT_OF(part); i++) {
        snprintf(name, sizeof name, "blocks.%d.%s.%s", block, kind, part[i]);
        linear(a, name, dim, dim, i < 3 ? 1 : 0.5f);
    }
    add(a, vector(dim, 1, 0.05f), "blocks.%d.%s.norm_q.weight", block, kind);
    add(a, vector(dim, 1, 0.05f), "blocks.%d.%s.norm_k.weight", block, kind);
}

static void dit_block(const struct adder *a, int i, const struct model_size *z)
{
    char name[RANDOM_NAME];

    add(a, (struct shape){ 0, 0.1f, 3, { 1, 6, z->dit_dim } }, "blocks.%d.modulation", i);
    dit_attention(a, i, "self_attn", z->dit_dim);
    add(a, vector(z->dit_dim, 1, 0.05f), "blocks.%d.norm3.weight", i);
    add(a, vector(z->dit_dim, 0, 0.02f), "blocks.%d.norm3.bias", i);
    dit_attention(a, i, "cross_attn", z->dit_dim);
    snprintf(name, sizeof name, "blocks.%d.ffn.0", i);
    linear(a, name, z->dit_ffn, z->dit_dim, 1);
    snprintf(name, sizeof name, "blocks.%d.ffn.2", i);
    linear(a, name, z->dit_dim, z->dit_ffn, 1);
}

void random_dit(struct random_list *l, const struct model_size *z, enum dtype dtype)
{
    struct adder const a = { l, dtype, "" };
    int const dim = z->dit_dim;

    add(&a, (struct shape){ 0, 0.125f, 5, { dim, 16, 1, 2, 2 } }, "patch_embedding.weight");
    add(&a, vector(dim, 0, 0.02f), "patch_embedding.bias");
    linear(&a, "text_embedding.0", dim, z->text_dim, 1);
    linear(&a, "text_embedding.2", dim, dim, 1);
    linear(&a, "time_embedding.0", dim, z->freq_dim, 1);
    linear(&a, "time_embedding.2", dim, dim, 1);
    linear(&a, "time_projection.1", 6 * (int64_t)dim, dim, 0.5f);
    for (int i = 0; i < z->dit_layers; i++) dit_block(&a, i, z);
    add(&a, (struct shape){ 0, 0.1f, 3, { 1, 2, dim } }, "head.modulation");
    linear(&a, "head.head", 64, dim, 1);
}

/* ---- the text encoder ---------------------------------------------------------------- */

void random_text(struct random_list *l, const struct model_size *z)
{
    struct adder const a = { l, DT_BF16, "" };
    int64_t const dim = z->text_dim, ffn = z->text_ffn;
    float const keep = 0.5f; /* of what a layer adds */
    float const soft =
        1 / sqrtf((float)dim / (float)z->text_heads); /* no 1/sqrt(d) at the product */

    add(&a, (struct shape){ 0, 1, 2, { z->vocab, dim } }, "token_embedding.weight");
    for (int i = 0; i < z->text_layers; i++) {
        add(&a, vector(dim, 1, 0.05f), "blocks.%d.norm1.weight", i);
        add(&a, matrix(dim, dim, soft), "blocks.%d.attn.q.weight", i);
        add(&a, matrix(dim, dim, 1), "blocks.%d.attn.k.weight", i);
        add(&a, matrix(dim, dim, 1), "blocks.%d.attn.v.weight", i);
        add(&a, matrix(dim, dim, keep), "blocks.%d.attn.o.weight", i);
        add(&a, vector(dim, 1, 0.05f), "blocks.%d.norm2.weight", i);
        add(&a, matrix(ffn, dim, 1), "blocks.%d.ffn.gate.0.weight", i);
        add(&a, matrix(ffn, dim, 1), "blocks.%d.ffn.fc1.weight", i);
        add(&a, matrix(dim, ffn, keep), "blocks.%d.ffn.fc2.weight", i);
        add(&a, (struct shape){ 0, 0.5f, 2, { 32, z->text_heads } },
            "blocks.%d.pos_embedding.embedding.weight", i);
    }
    add(&a, vector(dim, 1, 0.05f), "norm.weight");
}

/* ---- the VAE --------------------------------------------------------------------------- */

enum { LATENT = 16 };

static void conv(const struct adder *a, const char *name, struct shape s)
{
    int64_t inputs = 1;

    for (int i = 1; i < s.ndim; i++) inputs *= s.dim[i];
    s.mean = 0;
    s.spread = 1 / sqrtf((float)inputs);
    add(a, s, "%s.weight", name);
    add(a, vector(s.dim[0], 0, 0.02f), "%s.bias", name);
}

#define KERNEL(out, in, ...)                                                                       \
    (struct shape)                                                                                 \
    {                                                                                              \
        .ndim = 2 + COUNT_OF(((int[]){ __VA_ARGS__ })), .dim = { out, in, __VA_ARGS__ }            \
    }

static void gamma_of(const struct adder *a, const char *name, int64_t c, int ndim)
{
    add(a, (struct shape){ 1, 0.05f, ndim, { c, 1, 1, 1 } }, "%s.gamma", name);
}

static void residual(const struct adder *a, const char *name, int in, int out)
{
    char at[RANDOM_NAME];

    snprintf(at, sizeof at, "%s.residual.0", name);
    gamma_of(a, at, in, 4);
    snprintf(at, sizeof at, "%s.residual.2", name);
    conv(a, at, KERNEL(out, in, 3, 3, 3));
    snprintf(at, sizeof at, "%s.residual.3", name);
    gamma_of(a, at, out, 4);
    snprintf(at, sizeof at, "%s.residual.6", name);
    conv(a, at, KERNEL(out, out, 3, 3, 3));
    if (in == out) return;
    snprintf(at, sizeof at, "%s.shortcut", name);
    conv(a, at, KERNEL(out, in, 1, 1, 1));
}

static void middle(const struct adder *a, int c)
{
    residual(a, "middle.0", c, c);
    gamma_of(a, "middle.1.norm", c, 3);
    conv(a, "middle.1.to_qkv", KERNEL(3 * c, c, 1, 1));
    conv(a, "middle.1.proj", KERNEL(c, c, 1, 1));
    residual(a, "middle.2", c, c);
}

static void vae_encoder(const struct adder *a, int width)
{
    static const int in[] = { 1, 1, 2, 4 }, out[] = { 1, 2, 4, 4 };
    char name[RANDOM_NAME];
    int n = 0;

    conv(a, "conv1", KERNEL(width, 3, 3, 3, 3));
    for (int stage = 0; stage < 4; stage++) {
        int const c = out[stage] * width;
        for (int i = 0; i < 2; i++) {
            snprintf(name, sizeof name, "downsamples.%d", n++);
            residual(a, name, i ? c : in[stage] * width, c);
        }
        if (stage == 3) break;
        snprintf(name, sizeof name, "downsamples.%d.resample.1", n);
        conv(a, name, KERNEL(c, c, 3, 3));
        snprintf(name, sizeof name, "downsamples.%d.time_conv", n++);
        if (stage) conv(a, name, KERNEL(c, c, 3, 1, 1));
    }
    middle(a, 4 * width);
    gamma_of(a, "head.0", 4 * width, 4);
    conv(a, "head.2", KERNEL(2 * LATENT, 4 * width, 3, 3, 3));
}

/* Each resampling halves the channels, so that a stage begins with half of what
 * the one before ended with. */
static void vae_decoder(const struct adder *a, int width)
{
    static const int in[] = { 4, 2, 2, 1 }, out[] = { 4, 4, 2, 1 };
    char name[RANDOM_NAME];
    int n = 0;

    conv(a, "conv1", KERNEL(4 * width, LATENT, 3, 3, 3));
    middle(a, 4 * width);
    for (int stage = 0; stage < 4; stage++) {
        int const c = out[stage] * width;
        for (int i = 0; i < 3; i++) {
            snprintf(name, sizeof name, "upsamples.%d", n++);
            residual(a, name, i ? c : in[stage] * width, c);
        }
        if (stage == 3) break;
        snprintf(name, sizeof name, "upsamples.%d.resample.1", n);
        conv(a, name, KERNEL(c / 2, c, 3, 3));
        snprintf(name, sizeof name, "upsamples.%d.time_conv", n++);
        if (stage < 2) conv(a, name, KERNEL(2 * c, c, 3, 1, 1));
    }
    gamma_of(a, "head.0", width, 4);
    conv(a, "head.2", KERNEL(3, width, 3, 3, 3));
}

void random_vae(struct random_list *l, const struct model_size *z)
{
    struct adder a = { l, DT_F32, "encoder." };

    vae_encoder(&a, z->vae_width);
    a.prefix = "";
    conv(&a, "conv1", KERNEL(2 * LATENT, 2 * LATENT, 1, 1, 1));
    conv(&a, "conv2", KERNEL(LATENT, LATENT, 1, 1, 1));
    a.prefix = "decoder.";
    vae_decoder(&a, z->vae_width);
}

/* ---- values ------------------------------------------------------------------------------ */

/* splitmix64: Steele, Lea, Flood 2014. */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t name_key(const char *name, uint64_t seed)
{
    uint64_t h = mix(seed);

    for (; *name; name++) h = mix(h ^ (unsigned char)*name);
    return h;
}

void random_fill(void *out, const struct random_tensor *t, uint64_t seed, int64_t first,
                 int64_t count)
{
    uint64_t const key = name_key(t->name, seed);
    /* Four 16-bit numbers sum to 2*65535 +- sqrt(4/12)*65536. */
    float const scale = t->spread / (65536 * sqrtf(1.0f / 3));
    struct tensor to = { .data = out, .dtype = t->t.dtype };

    for (int64_t i = 0; i < count; i++) {
        uint64_t const r = mix(key + (uint64_t)(first + i) * 0xd1342543de82ef95u);
        uint32_t const sum = (uint32_t)(r & 0xffff) + (uint32_t)(r >> 16 & 0xffff) +
                             (uint32_t)(r >> 32 & 0xffff) + (uint32_t)(r >> 48);
        tensor_put(&to, i, t->mean + scale * ((float)sum - 131070.0f));
    }
}
