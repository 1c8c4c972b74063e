/* bench_cases.c - the cases: single operations, then the layers made of them. */
#include "cmd/bench/bench_internal.h"

#include <math.h>
#include <string.h>

const char bench_size_names[] = "tiny|small|middle|full";

/* What two sizes have in common. */
#define TEXT_XXL                                                                                   \
    .text_rows = 512, .text_dim = 4096, .text_heads = 64, .text_ffn = 10240, .words = 128
#define DIT_1_3B        .dim = 1536, .heads = 12, .ffn = 8960, .blocks = 7
#define HALF_RESOLUTION .latent_h = 30, .latent_w = 52, .roof = { 2048, 1024, 2048 }

static const struct bench_size sizes[] = {
    { .name = "tiny",
      .dim = 128,
      .heads = 2,
      .ffn = 256,
      .blocks = 3,
      .rows = 2,
      .cols = 4,
      .h = 4,
      .w = 6,
      .text_rows = 8,
      .text_dim = 64,
      .text_heads = 4,
      .text_ffn = 128,
      .words = 8,
      .latent_h = 4,
      .latent_w = 8,
      .roof = { 64, 64, 64 } },
    { .name = "small",
      .dim = 512,
      .heads = 8,
      .ffn = 2048,
      .blocks = 7,
      .rows = 12,
      .cols = 20,
      .h = 24,
      .w = 40,
      .text_rows = 512,
      .text_dim = 1024,
      .text_heads = 16,
      .text_ffn = 2816,
      .words = 48,
      HALF_RESOLUTION },
    { .name = "middle",
      DIT_1_3B,
      TEXT_XXL,
      HALF_RESOLUTION,
      .rows = 20,
      .cols = 26,
      .h = 40,
      .w = 52 },
    { .name = "full", /* 1.3B at 832x480 */
      DIT_1_3B,
      TEXT_XXL,
      .rows = 30,
      .cols = 52,
      .h = 60,
      .w = 104,
      .latent_h = 60,
      .latent_w = 104,
      .roof = { 8192, 8192, 8192 } },
};

const struct bench_size *bench_size_find(const char *name)
{
    for (int i = 0; i < COUNT_OF(sizes); i++)
        if (!strcmp(sizes[i].name, name)) return &sizes[i];
    return NULL;
}

enum { FRAMES = 3, STAGES = 6 };

static int64_t block_tokens(const struct bench_size *s) { return FRAMES * s->rows * s->cols; }

#define ACT(...) program_tensor(p, p->act, DIMS(__VA_ARGS__))
#define F32(...) program_tensor(p, DT_F32, DIMS(__VA_ARGS__))

/* ---- parts --------------------------------------------------------------------- */

/* x w for x [rows, k], in the transformer's layers (low_precision) with a bias */
static struct tensor *record_linear(struct program *p, enum kern_use use, const struct tensor *x,
                                    int64_t n, enum kern_act act)
{
    struct tensor *const out = ACT(x->dim[0], n);

    program_linear(p, &(struct kern_linear){
                          .x = x,
                          .w = program_weight(p, use, DIMS(n, x->dim[1])),
                          .bias = use == KERN_LINEAR_LOW_PRECISION ? F32(n) : NULL,
                          .out = out,
                          .act = act,
                      });
    return out;
}

/* residual += gate * (x w + bias), the gate one row per frame, or none */
static void record_linear_add(struct program *p, enum kern_use use, const struct tensor *x,
                              struct tensor *residual, int64_t gates)
{
    int64_t const n = residual->dim[1];

    program_linear(p, &(struct kern_linear){
                          .x = x,
                          .w = program_weight(p, use, DIMS(n, x->dim[1])),
                          .bias = F32(n),
                          .residual = residual,
                          .gate = gates ? F32(gates, n) : NULL,
                          .out = residual,
                      });
}

static struct tensor *record_modulate(struct program *p, const struct tensor *x, int64_t groups)
{
    struct tensor *const out = ACT(x->dim[0], x->dim[1]);

    program_layernorm(p, &(struct kern_layernorm){
                             .x = x,
                             .scale = F32(groups, x->dim[1]),
                             .shift = F32(groups, x->dim[1]),
                             .out = out,
                             .eps = 1e-6f,
                         });
    return out;
}

static struct tensor *record_norm(struct program *p, const struct tensor *x)
{
    struct tensor *const out = ACT(x->dim[0], x->dim[1]);

    program_rmsnorm(
        p, &(struct kern_rmsnorm){ .x = x, .weight = F32(x->dim[1]), .out = out, .eps = 1e-6f });
    return out;
}

static void record_ffn(struct program *p, const struct bench_size *s, struct tensor *x)
{
    record_linear_add(p, KERN_LINEAR_LOW_PRECISION,
                      record_linear(p, KERN_LINEAR_LOW_PRECISION, record_modulate(p, x, FRAMES),
                                    s->ffn, KERN_ACT_GELU_TANH),
                      x, FRAMES);
}

static void record_rope(struct program *p, const struct bench_size *s, struct tensor *x)
{
    int64_t const pairs = s->dim / s->heads / 2, third = pairs / 3;

    program_rope(p, &(struct kern_rope){
                        .x = x,
                        .time = F32(FRAMES, pairs - 2 * third, 2),
                        .row = F32(s->rows, third, 2),
                        .col = F32(s->cols, third, 2),
                        .out = x,
                        .heads = (int)s->heads,
                    });
}

/* One block of queries over `blocks` of keys, each a segment. */
static struct tensor *record_attention(struct program *p, const struct tensor *q, int64_t heads,
                                       int64_t blocks, int64_t keys)
{
    struct tensor *const out = ACT(q->dim[0], q->dim[1]);

    int64_t const head_dim = q->dim[1] / heads;
    for (int64_t i = 0; i < blocks; i++) {
        p->segments[i].k = *ACT(keys, q->dim[1]);
        p->segments[i].v = *ACT(keys, q->dim[1]);
    }
    program_attention(p, &(struct kern_attention){
                             .q = q,
                             .segments = p->segments,
                             .segment_count = (int)blocks,
                             .out = out,
                             .heads = (int)heads,
                             .scale = 1.0f / sqrtf((float)head_dim),
                             .low_precision = true,
                         });
    return out;
}

/* A causal convolution of t frames with the two before them. */
static struct tensor *record_causal_conv(struct program *p, const struct tensor *x, int64_t cout,
                                         const struct tensor *residual)
{
    struct tensor *const out = ACT(x->dim[0], x->dim[1], x->dim[2], cout);

    program_conv3d(p, &(struct kern_conv3d){
                          .past = ACT(2, x->dim[1], x->dim[2], x->dim[3]),
                          .x = x,
                          .w = program_weight(p, KERN_CONV, DIMS(cout, x->dim[3], 3, 3, 3)),
                          .bias = F32(cout),
                          .residual = residual,
                          .out = out,
                          .pad_lo = 1,
                          .pad_hi = 1,
                      });
    return out;
}

static struct tensor *record_silu_norm(struct program *p, const struct tensor *x)
{
    struct tensor *const out = program_tensor(p, x->dtype, x->ndim, x->dim);

    program_channel_norm(
        p, &(struct kern_channel_norm){
               .x = x, .gamma = F32(x->dim[x->ndim - 1]), .out = out, .act = KERN_ACT_SILU });
    return out;
}

static void record_residual_block(struct program *p, int64_t t, int64_t h, int64_t w, int64_t c)
{
    struct tensor *const x = ACT(t, h, w, c);
    struct tensor *const y = record_causal_conv(p, record_silu_norm(p, x), c, NULL);
    record_causal_conv(p, record_silu_norm(p, y), c, x);
}

static void record_upsample(struct program *p, int64_t t, int64_t h, int64_t w, int64_t c)
{
    program_conv3d(p, &(struct kern_conv3d){
                          .x = ACT(t, h, w, c),
                          .w = program_weight(p, KERN_CONV, DIMS(c / 2, c, 1, 3, 3)),
                          .bias = F32(c / 2),
                          .out = ACT(t, 2 * h, 2 * w, c / 2),
                          .pad_lo = 1,
                          .pad_hi = 1,
                          .upsample = 2,
                      });
}

/* ---- cases --------------------------------------------------------------------- */

static void case_roof(struct program *p, const struct bench_size *s)
{
    record_linear(p, KERN_LINEAR, ACT(s->roof[0], s->roof[1]), s->roof[2], KERN_ACT_NONE);
}

static void case_dit_modulate(struct program *p, const struct bench_size *s)
{
    record_modulate(p, F32(block_tokens(s), s->dim), FRAMES);
}

static void case_dit_project(struct program *p, const struct bench_size *s)
{
    record_linear(p, KERN_LINEAR_LOW_PRECISION, ACT(block_tokens(s), s->dim), s->dim,
                  KERN_ACT_NONE);
}

static void case_dit_norm_rope(struct program *p, const struct bench_size *s)
{
    record_rope(p, s, record_norm(p, ACT(block_tokens(s), s->dim)));
}

static void case_dit_attention(struct program *p, const struct bench_size *s)
{
    record_attention(p, ACT(block_tokens(s), s->dim), s->heads, s->blocks, block_tokens(s));
}

/* Six blocks of queries, as a rank that has all stages: noise stages and the clean one. */
static void case_dit_attention_all(struct program *p, const struct bench_size *s)
{
    record_attention(p, ACT(STAGES * block_tokens(s), s->dim), s->heads, s->blocks,
                     block_tokens(s));
}

static void case_dit_cross(struct program *p, const struct bench_size *s)
{
    record_attention(p, ACT(block_tokens(s), s->dim), s->heads, 1, s->text_rows);
}

static void case_dit_output(struct program *p, const struct bench_size *s)
{
    record_linear_add(p, KERN_LINEAR_LOW_PRECISION, ACT(block_tokens(s), s->dim),
                      F32(block_tokens(s), s->dim), FRAMES);
}

static void case_dit_ffn(struct program *p, const struct bench_size *s)
{
    record_ffn(p, s, F32(block_tokens(s), s->dim));
}

static void case_dit_layer(struct program *p, const struct bench_size *s)
{
    struct tensor *const x = F32(block_tokens(s), s->dim);
    struct tensor *const in = record_modulate(p, x, FRAMES);
    struct tensor *const q =
        record_norm(p, record_linear(p, KERN_LINEAR_LOW_PRECISION, in, s->dim, KERN_ACT_NONE));
    struct tensor *const k =
        record_norm(p, record_linear(p, KERN_LINEAR_LOW_PRECISION, in, s->dim, KERN_ACT_NONE));

    record_linear(p, KERN_LINEAR_LOW_PRECISION, in, s->dim, KERN_ACT_NONE);
    record_rope(p, s, q);
    record_rope(p, s, k);
    record_linear_add(p, KERN_LINEAR_LOW_PRECISION,
                      record_attention(p, q, s->heads, s->blocks, block_tokens(s)), x, FRAMES);
    record_ffn(p, s, x);
}

static void case_vae_conv_deep(struct program *p, const struct bench_size *s)
{
    record_causal_conv(p, ACT(1, s->h, s->w, 384), 384, NULL);
}

static void case_vae_conv_half(struct program *p, const struct bench_size *s)
{
    record_causal_conv(p, ACT(4, 4 * s->h, 4 * s->w, 192), 192, NULL);
}

static void case_vae_conv_full(struct program *p, const struct bench_size *s)
{
    record_causal_conv(p, ACT(4, 8 * s->h, 8 * s->w, 96), 96, NULL);
}

static void case_vae_norm(struct program *p, const struct bench_size *s)
{
    record_silu_norm(p, ACT(4, 8 * s->h, 8 * s->w, 96));
}

static void case_vae_residual(struct program *p, const struct bench_size *s)
{
    record_residual_block(p, 4, 4 * s->h, 4 * s->w, 192);
}

static void case_vae_double(struct program *p, const struct bench_size *s)
{
    record_upsample(p, 4, 2 * s->h, 2 * s->w, 192);
}

static void case_vae_time(struct program *p, const struct bench_size *s)
{
    program_conv3d(p, &(struct kern_conv3d){
                          .past = ACT(2, s->h, s->w, 384),
                          .x = ACT(1, s->h, s->w, 384),
                          .w = program_weight(p, KERN_CONV, DIMS(768, 384, 3, 1, 1)),
                          .bias = F32(768),
                          .out = ACT(1, s->h, s->w, 768),
                      });
}

static void case_vae_attention(struct program *p, const struct bench_size *s)
{
    record_attention(p, ACT(s->h * s->w, 384), 1, 1, s->h * s->w);
}

static void case_vae_head(struct program *p, const struct bench_size *s)
{
    record_causal_conv(p, ACT(4, 8 * s->h, 8 * s->w, 96), 3, NULL);
}

static struct tensor *record_text_attention(struct program *p, const struct bench_size *s,
                                            const struct tensor *q)
{
    struct tensor *const out = ACT(s->words, s->text_dim);

    p->segments[0].k = *ACT(s->words, s->text_dim);
    p->segments[0].v = *ACT(s->words, s->text_dim);
    program_attention(p, &(struct kern_attention){
                             .q = q,
                             .bias = F32(s->text_heads, s->words, s->words),
                             .segments = p->segments,
                             .segment_count = 1,
                             .out = out,
                             .heads = (int)s->text_heads,
                             .scale = 1.0f,
                         });
    return out;
}

static void case_text_attention(struct program *p, const struct bench_size *s)
{
    record_text_attention(p, s, ACT(s->words, s->text_dim));
}

static void case_text_layer(struct program *p, const struct bench_size *s)
{
    struct tensor *const x = F32(s->words, s->text_dim);
    struct tensor *const in = record_norm(p, x);
    struct tensor *const q = record_linear(p, KERN_LINEAR, in, s->text_dim, KERN_ACT_NONE);

    record_linear(p, KERN_LINEAR, in, s->text_dim, KERN_ACT_NONE);
    record_linear(p, KERN_LINEAR, in, s->text_dim, KERN_ACT_NONE);
    record_linear_add(p, KERN_LINEAR, record_text_attention(p, s, q), x, 0);
    struct tensor *const again = record_norm(p, x);
    struct tensor *const gate =
        record_linear(p, KERN_LINEAR, again, s->text_ffn, KERN_ACT_GELU_TANH);
    struct tensor *const up = record_linear(p, KERN_LINEAR, again, s->text_ffn, KERN_ACT_NONE);
    program_mul(p, &(struct kern_mul){ .a = gate, .b = up, .out = up });
    record_linear_add(p, KERN_LINEAR, up, x, 0);
}

const struct bench_case bench_cases[] = {
    { "roof", "a large product", case_roof },
    { "dit.modulate", "layer norm, scale, shift", case_dit_modulate },
    { "dit.project", "q, k or v projection", case_dit_project },
    { "dit.norm-rope", "RMS norm and RoPE of q", case_dit_norm_rope },
    { "dit.attention", "block over 7 blocks", case_dit_attention },
    { "dit.attention-all", "six blocks over 7 blocks", case_dit_attention_all },
    { "dit.cross", "block over text", case_dit_cross },
    { "dit.output", "projection, gate, residual", case_dit_output },
    { "dit.ffn", "norm, two products, GELU", case_dit_ffn },
    { "dit.layer", "self-attention and FFN", case_dit_layer },
    { "vae.conv-384", "3x3x3, latent size", case_vae_conv_deep },
    { "vae.conv-192", "3x3x3, half size, 4 frames", case_vae_conv_half },
    { "vae.conv-96", "3x3x3, full size, 4 frames", case_vae_conv_full },
    { "vae.norm-silu", "96 channels, full size", case_vae_norm },
    { "vae.residual", "192 channels, half size", case_vae_residual },
    { "vae.double", "2x nearest, then 3x3", case_vae_double },
    { "vae.time", "3x1x1, 384 to 768", case_vae_time },
    { "vae.attention", "one head of 384", case_vae_attention },
    { "vae.head", "3x3x3, 96 to 3", case_vae_head },
    { "text.attention", "with position bias", case_text_attention },
    { "text.layer", "one layer of the encoder", case_text_layer },
};
const int bench_case_count = COUNT_OF(bench_cases);
