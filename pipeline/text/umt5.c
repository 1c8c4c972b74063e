/*
 * umt5.c - the encoder's forward pass, a layer at a time over all prompts.
 *
 * The weights pass through the memory of one layer, so the loop over layers is outside and the one
 * over prompts inside. Attention has no 1/sqrt(d) and its position bias is each layer's own, as
 * in the model.
 */
#include "pipeline/text/umt5.h"
#include "kernels/kern_dry_run.h"
#include "pipeline/text/text_internal.h"

#include <math.h>
#include <stdlib.h>

#define EPS 1e-6f

struct umt5 {
    struct umt5_config config;
    struct umt5_shape shape;
};

/* All that one call works on. */
struct pass {
    const struct umt5 *u;
    const struct umt5_prompt *prompts;
    int n; /* of these */
    struct kern_ctx *ctx;
    struct umt5_layer layer;
    struct tensor norm;
    struct tensor x;                /* [all tokens, dim] F32 */
    struct tensor y, gate, wide;    /* [longest prompt, ...] act */
    struct tensor h, q, k, v, attn; /* [longest, ...] F32 */
    struct tensor bias;             /* [heads, longest, longest] F32 */
    struct tensor out;              /* [longest, dim] F32 */
    float *host;                    /* as large as x or bias */
    float *positions;               /* of the layer, on the host */
};

/* ---- weights ----------------------------------------------------------------- */

static status load_layer(struct pass *p, int i)
{
    struct bind_list list = { 0 };
    status st;

    umt5_list_layer(&list, &p->layer, &p->u->shape, i, p->u->config.precision);
    TRY_OUT(bind_load(&list, p->u->config.weights, p->ctx));
    TRY_OUT(p->u->config.backend->download(p->ctx, p->positions, &p->layer.positions));
    TRY_OUT(p->u->config.backend->sync(p->ctx));
out:
    bind_free(&list);
    return st;
}

static status load_norm(struct pass *p)
{
    struct bind_list list = { 0 };

    umt5_list_norm(&list, &p->norm, &p->u->shape);
    status const st = bind_load(&list, p->u->config.weights, p->ctx);
    bind_free(&list);
    return st;
}

/* ---- memory ------------------------------------------------------------------ */

struct extent {
    int64_t tokens, longest; /* of all prompts; of one */
};

static status place_pass(struct pass *p, struct arena *a, struct extent e)
{
    const struct umt5_shape *const s = &p->u->shape;
    enum dtype const act = p->u->config.precision;
    struct bind_list list = { 0 };

    umt5_list_layer(&list, &p->layer, s, 0, act);
    umt5_list_norm(&list, &p->norm, &p->u->shape);
    status const st = bind_place(&list, p->u->config.backend, a);
    bind_free(&list);
    TRY(st);
    TRY(tensor_place(&p->x, a, DT_F32, DIMS(e.tokens, s->dim)));
    TRY(tensor_place(&p->y, a, act, DIMS(e.longest, s->dim)));
    TRY(tensor_place(&p->h, a, DT_F32, DIMS(e.longest, s->dim)));
    TRY(tensor_place(&p->q, a, DT_F32, DIMS(e.longest, s->dim_attn)));
    TRY(tensor_place(&p->k, a, DT_F32, DIMS(e.longest, s->dim_attn)));
    TRY(tensor_place(&p->v, a, DT_F32, DIMS(e.longest, s->dim_attn)));
    TRY(tensor_place(&p->attn, a, DT_F32, DIMS(e.longest, s->dim_attn)));
    TRY(tensor_place(&p->gate, a, act, DIMS(e.longest, s->ffn)));
    TRY(tensor_place(&p->wide, a, act, DIMS(e.longest, s->ffn)));
    TRY(tensor_place(&p->bias, a, DT_F32, DIMS(s->heads, e.longest, e.longest)));
    TRY(tensor_place(&p->out, a, DT_F32, DIMS(e.longest, s->dim)));
    return ST_OK;
}

static status make_host(struct pass *p)
{
    size_t const x = tensor_bytes(&p->x), bias = tensor_bytes(&p->bias);

    p->host = malloc(x > bias ? x : bias);
    p->positions = malloc(tensor_bytes(&p->layer.positions));
    if (p->host && p->positions) return ST_OK;
    return fail(ST_NOMEM, "UMT5: no memory for %zu bytes on the host", x > bias ? x : bias);
}

/* ---- the forward pass -------------------------------------------------------- */

int umt5_bucket(int64_t distance, int buckets)
{
    int const half = buckets / 2, exact = half / 2;
    int const side = distance > 0 ? half : 0;
    int64_t const d = distance < 0 ? -distance : distance;

    if (d < exact) return side + (int)d;
    float const far = logf((float)d / (float)exact) /
                      (float)log((double)UMT5_MAX_DISTANCE / exact) * (float)(half - exact);
    int const bucket = far < (float)half ? exact + (int)far : half - 1;
    return side + (bucket < half ? bucket : half - 1);
}

static status embed_tokens(struct pass *p)
{
    struct weights *const w = p->u->config.weights;
    int const at = weights_find(w, "token_embedding.weight");
    int64_t const dim = p->u->shape.dim;
    float *to = p->host;

    for (int i = 0; i < p->n; i++)
        for (int t = 0; t < p->prompts[i].count; t++, to += dim)
            TRY(weights_read(w, at, p->prompts[i].ids[t] * dim, dim, to));
    TRY(p->u->config.backend->upload(p->ctx, &p->x, p->host));
    return p->u->config.backend->sync(p->ctx);
}

/* [heads, n, n] at the start of p->bias. */
static struct tensor bias_of(const struct pass *p, int64_t n)
{
    return (struct tensor){
        .data = p->bias.data, .dtype = DT_F32, .ndim = 3, .dim = { p->u->shape.heads, n, n }
    };
}

static status fill_bias(struct pass *p, int64_t n)
{
    const struct umt5_shape *const s = &p->u->shape;
    struct tensor const bias = bias_of(p, n);

    for (int64_t distance = 1 - n; distance < n; distance++) {
        const float *const value = p->positions + umt5_bucket(distance, (int)s->buckets) * s->heads;
        int64_t const first = distance < 0 ? -distance : 0;
        int64_t const end = distance < 0 ? n : n - distance;
        for (int64_t h = 0; h < s->heads; h++)
            for (int64_t i = first; i < end; i++)
                p->host[(h * n + i) * n + i + distance] = value[h];
    }
    TRY(p->u->config.backend->upload(p->ctx, &bias, p->host));
    return p->u->config.backend->sync(p->ctx);
}

static status multiply_weight(struct pass *p, const struct tensor *x, const struct kern_weight *w,
                              struct tensor *out)
{
    return kern_linear(p->ctx, &(struct kern_linear){ .x = x, .w = w, .out = out });
}

static status multiply_add(struct pass *p, const struct tensor *y, const struct kern_weight *w,
                           struct tensor *x)
{
    return kern_linear(p->ctx, &(struct kern_linear){ .x = y, .w = w, .residual = x, .out = x });
}

static status normalise_rows(struct pass *p, const struct tensor *x, const struct tensor *weight,
                             struct tensor *out)
{
    return kern_rmsnorm(p->ctx,
                        &(struct kern_rmsnorm){ .x = x, .weight = weight, .out = out, .eps = EPS });
}

/* Its bias is there. */
static status attend_prompt(struct pass *p, struct tensor *x)
{
    int64_t const n = x->dim[0];
    struct tensor h = tensor_slice(&p->h, 0, n), q = tensor_slice(&p->q, 0, n);
    struct tensor const bias = bias_of(p, n);
    struct tensor out = tensor_slice(&p->attn, 0, n);
    struct kern_segment own = { .k = tensor_slice(&p->k, 0, n), .v = tensor_slice(&p->v, 0, n) };

    TRY(normalise_rows(p, x, &p->layer.norm1, &h));
    TRY(multiply_weight(p, &h, &p->layer.q, &q));
    TRY(multiply_weight(p, &h, &p->layer.k, &own.k));
    TRY(multiply_weight(p, &h, &p->layer.v, &own.v));
    TRY(kern_attention(p->ctx, &(struct kern_attention){ .q = &q,
                                                         .bias = &bias,
                                                         .segments = &own,
                                                         .segment_count = 1,
                                                         .out = &out,
                                                         .heads = (int)p->u->shape.heads,
                                                         .scale = 1.0f }));
    return multiply_add(p, &out, &p->layer.o, x);
}

static status feed_prompt(struct pass *p, struct tensor *x)
{
    int64_t const n = x->dim[0];
    struct tensor y = tensor_slice(&p->y, 0, n), gate = tensor_slice(&p->gate, 0, n);
    struct tensor wide = tensor_slice(&p->wide, 0, n);

    TRY(normalise_rows(p, x, &p->layer.norm2, &y));
    TRY(kern_linear(p->ctx,
                    &(struct kern_linear){
                        .x = &y, .w = &p->layer.gate, .out = &gate, .act = KERN_ACT_GELU_TANH }));
    TRY(multiply_weight(p, &y, &p->layer.fc1, &wide));
    TRY(kern_mul(p->ctx, &(struct kern_mul){ .a = &wide, .b = &gate, .out = &wide }));
    return multiply_add(p, &wide, &p->layer.fc2, x);
}

static status finish_prompt_rows(struct pass *p, const struct tensor *x,
                                 const struct umt5_prompt *prompt)
{
    struct tensor out = tensor_slice(&p->out, 0, x->dim[0]);

    TRY(normalise_rows(p, x, &p->norm, &out));
    TRY(p->u->config.backend->download(p->ctx, prompt->embeds, &out));
    return p->u->config.backend->sync(p->ctx);
}

static status check_rows(const struct pass *p, const struct umt5_prompt *prompt)
{
    for (int64_t i = 0; i < prompt->count * p->u->shape.dim; i++)
        if (!isfinite(prompt->embeds[i]))
            return fail(ST_MISMATCH, "%s: a prompt's embedding is %g at token %lld",
                        weights_path(p->u->config.weights), (double)prompt->embeds[i],
                        (long long)(i / p->u->shape.dim));
    return ST_OK;
}

static status check_stop(const struct pass *p)
{
    const struct umt5_config *const c = &p->u->config;
    return c->stop && c->stop(c->stop_arg) ? fail(ST_CANCELED, "UMT5: stopped") : ST_OK;
}

static status run_pass(struct pass *p)
{
    const struct umt5_prompt *const prompts = p->prompts;

    TRY(make_host(p));
    TRY(embed_tokens(p));
    for (int layer = 0; layer < p->u->shape.layers; layer++) {
        TRY(load_layer(p, layer));
        for (int64_t i = 0, at = 0; i < p->n; at += prompts[i++].count) {
            struct tensor x = tensor_slice(&p->x, at, prompts[i].count);
            TRY(check_stop(p));
            TRY(fill_bias(p, prompts[i].count));
            TRY(attend_prompt(p, &x));
            TRY(feed_prompt(p, &x));
        }
    }
    TRY(load_norm(p));
    for (int64_t i = 0, at = 0; i < p->n; at += prompts[i++].count) {
        struct tensor const x = tensor_slice(&p->x, at, prompts[i].count);
        TRY(finish_prompt_rows(p, &x, &prompts[i]));
    }
    for (int i = 0; i < p->n; i++) TRY(check_rows(p, &prompts[i]));
    return ST_OK;
}

/* A layer of a dry run; p is laid out in a measuring arena. */
static status run_layer(struct kern_ctx *dry, void *arg)
{
    struct pass *const p = arg;

    p->ctx = dry;
    for (int i = 0; i < p->n; i++) {
        struct tensor x = tensor_slice(&p->x, 0, p->prompts[i].count);
        TRY(attend_prompt(p, &x));
        TRY(feed_prompt(p, &x));
    }
    return ST_OK;
}

static status check_ids(const struct umt5 *u, const struct umt5_prompt *prompts, int n,
                        struct extent *e)
{
    for (int i = 0; i < n; i++) {
        if (prompts[i].count < 1)
            return fail(ST_ARG, "UMT5: a prompt of %d tokens; at least 1 is needed",
                        prompts[i].count);
        for (int t = 0; t < prompts[i].count; t++)
            if (prompts[i].ids[t] < 0 || prompts[i].ids[t] >= u->shape.vocab)
                return fail(ST_ARG, "UMT5: token %d; 0 to %lld are allowed", prompts[i].ids[t],
                            (long long)u->shape.vocab - 1);
        e->tokens += prompts[i].count;
        if (prompts[i].count > e->longest) e->longest = prompts[i].count;
    }
    return ST_OK;
}

status umt5_encode(struct umt5 *u, const struct umt5_prompt *prompts, int n)
{
    const struct kern_backend *const backend = u->config.backend;
    struct pass p = { .u = u, .prompts = prompts, .n = n };
    struct extent extent = { 0 };
    struct arena a;
    void *memory = NULL;
    size_t scratch;
    status st = ST_OK;

    TRY(check_ids(u, prompts, n, &extent));
    if (!n) return ST_OK;
    arena_measure(&a, "umt5");
    TRY(place_pass(&p, &a, extent));
    size_t const bytes = a.used;
    TRY(kern_dry_run_size(&scratch, backend, run_layer, &p));
    TRY(backend->open(&p.ctx, &(struct kern_config){ .threads = u->config.threads,
                                                     .device = u->config.device,
                                                     .strict = true }));
    if (backend->reserve) TRY_OUT(backend->reserve(p.ctx, scratch));
    TRY_OUT(backend->alloc(p.ctx, bytes, &memory));
    arena_over(&a, "umt5", memory, bytes);
    TRY_OUT(place_pass(&p, &a, extent));
    TRY_OUT(run_pass(&p));
out:
    if (memory) backend->free(p.ctx, memory);
    backend->close(&p.ctx);
    free(p.host);
    free(p.positions);
    return st;
}

/* ---- open and close ---------------------------------------------------------- */

status umt5_open(struct umt5 **out, const struct umt5_config *config)
{
    struct umt5 u = { .config = *config };

    *out = NULL;
    if (config->precision != DT_F32 && config->precision != DT_BF16)
        return fail(ST_ARG, "UMT5: precision %s; F32 and BF16 are allowed",
                    dtype_name(config->precision));
    TRY(umt5_read_shape(&u.shape, config->weights));
    *out = malloc(sizeof **out);
    if (!*out) return fail(ST_NOMEM, "%s: no memory for UMT5", weights_path(config->weights));
    **out = u;
    return ST_OK;
}

void umt5_close(struct umt5 **u)
{
    free(*u);
    *u = NULL;
}

const struct umt5_shape *umt5_shape(const struct umt5 *u) { return &u->shape; }
