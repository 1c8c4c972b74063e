/*
 * bench_recorder.c - a program: operations recorded once, with random tensors and weights in
 * the backend's memory, and run as often as wanted.
 *
 * For every operation there is a program_OP of the same name as the kern_OP it stands for. It
 * keeps the arguments and counts what the operation does: two operations per multiply-add of
 * products, attention and convolutions, and bytes read or written of the others.
 */
#include "cmd/bench/bench_internal.h"

#include <stdlib.h>
#include <string.h>

enum { PATTERN = 1 << 14 }; /* random numbers that repeat through a tensor */

static float random_number(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)((int64_t)(*state >> 33) - (1 << 30)) / (float)(1 << 30);
}

static void fill_random(void *to, enum dtype t, int64_t count)
{
    struct tensor x = { .data = to, .dtype = t };
    int64_t const first = count < PATTERN ? count : PATTERN;
    size_t const size = dtype_size(t);
    uint64_t state = 1;

    for (int64_t i = 0; i < first; i++) tensor_put(&x, i, random_number(&state));
    for (int64_t i = first; i < count; i += PATTERN)
        memcpy((unsigned char *)to + (size_t)i * size, to,
               (size_t)(count - i < PATTERN ? count - i : PATTERN) * size);
}

static status make_tensor(struct program *p, struct tensor *x, enum dtype t, int ndim,
                          const int64_t *dim)
{
    TRY(tensor_make(x, t, ndim, dim));
    void *const host = malloc(tensor_bytes(x) + 1);
    if (!host) return fail(ST_NOMEM, "bench: a tensor of %zu bytes", tensor_bytes(x));
    fill_random(host, t, tensor_count(x));
    status st = p->ctx->backend->alloc(p->ctx, tensor_bytes(x), &x->data);
    if (st == ST_OK) st = p->ctx->backend->upload(p->ctx, x, host);
    free(host);
    return st;
}

static status make_weight(struct program *p, struct kern_weight *w, int ndim, const int64_t *dim)
{
    TRY(tensor_make(&w->t, p->act, ndim, dim));
    int64_t const count = tensor_count(&w->t);
    void *const host = malloc((size_t)count * sizeof(uint16_t) + 1);
    if (!host) return fail(ST_NOMEM, "bench: a weight of %lld numbers", (long long)count);
    fill_random(host, DT_BF16, count);
    status st = p->ctx->backend->alloc(p->ctx, p->ctx->backend->packed_bytes(w), &w->t.data);
    if (st == ST_OK)
        st = kern_pack(p->ctx, &(struct kern_pack){ .w = w, .src = host, .src_dtype = DT_BF16 });
    free(host);
    return st;
}

/* The next place of a list, or the last one again once something has failed. */
static int next_slot(struct program *p, int *count, int limit)
{
    if (*count == limit && p->st == ST_OK)
        p->st = fail(ST_ARG, "bench: a program of more than %d parts", limit);
    return p->st == ST_OK ? (*count)++ : limit - 1;
}

struct tensor *program_tensor(struct program *p, enum dtype t, int ndim, const int64_t *dim)
{
    struct tensor *const x = &p->tensor[next_slot(p, &p->tensors, BENCH_TENSORS)];

    if (p->st == ST_OK) p->st = make_tensor(p, x, t, ndim, dim);
    return x;
}

struct kern_weight *program_weight(struct program *p, enum kern_use use, int ndim,
                                   const int64_t *dim)
{
    struct kern_weight *const w = &p->weight[next_slot(p, &p->weights, BENCH_TENSORS)];

    w->use = use;
    if (p->st == ST_OK) p->st = make_weight(p, w, ndim, dim);
    return w;
}

#define OP(name)                                                                                   \
    static void keep_##name(struct program *p, const struct kern_##name *args)                     \
    {                                                                                              \
        struct step *const s = &p->step[next_slot(p, &p->steps, BENCH_STEPS)];                     \
        s->op = STEP_##name;                                                                       \
        s->a.name = *args;                                                                         \
    }
KERN_OPS(OP)
#undef OP

static void count_bytes(struct program *p, const struct tensor *a, const struct tensor *b)
{
    p->bytes += (double)tensor_bytes(a) + (double)tensor_bytes(b);
}

static double product_flops(const struct tensor *x, const struct kern_weight *w)
{
    return 2.0 * (double)tensor_count(x) * (double)w->t.dim[0];
}

void program_linear(struct program *p, const struct kern_linear *a)
{
    p->flops += product_flops(a->x, a->w);
    keep_linear(p, a);
}

void program_linear_norm(struct program *p, const struct kern_linear_norm *a)
{
    p->flops += product_flops(a->linear.x, a->linear.w);
    keep_linear_norm(p, a);
}

void program_qkv(struct program *p, const struct kern_qkv *a)
{
    p->flops += (a->q.out ? product_flops(a->x, a->q.w) : 0) + product_flops(a->x, a->k.w) +
                product_flops(a->x, a->v.w);
    keep_qkv(p, a);
}

void program_attention(struct program *p, const struct kern_attention *a)
{
    int64_t keys = 0;

    for (int i = 0; i < a->segment_count; i++) keys += a->segments[i].k.dim[0];
    p->flops += 4.0 * (double)tensor_count(a->q) * (double)keys;
    keep_attention(p, a);
}

void program_conv3d(struct program *p, const struct kern_conv3d *a)
{
    double const weights = (double)tensor_count(&a->w->t) / (double)a->w->t.dim[0];

    p->flops += 2.0 * (double)tensor_count(a->out) * weights;
    keep_conv3d(p, a);
}

/* Operations bound by memory: what they read in bulk and what they write. */
#define MOVES(op, input)                                                                           \
    void program_##op(struct program *p, const struct kern_##op *a)                                \
    {                                                                                              \
        count_bytes(p, a->input, a->out);                                                          \
        keep_##op(p, a);                                                                           \
    }
MOVES(layernorm, x)
MOVES(rmsnorm, x)
MOVES(rope, x)
MOVES(channel_norm, x)
MOVES(mul, a)
MOVES(pictures, pixels)
MOVES(patchify, latent)
MOVES(unpatchify, tokens)
MOVES(axpby, x)
MOVES(quantize_e4m3, x)
MOVES(dequantize_e4m3, x)
MOVES(permute01, in)
MOVES(score_keys, k)
MOVES(sum_rows, x)
MOVES(cast, in)
MOVES(copy, in)
MOVES(merge, a)

/* Of what it gathers from, as much as it writes. */
void program_gather_rows(struct program *p, const struct kern_gather_rows *a)
{
    count_bytes(p, a->out, a->out);
    keep_gather_rows(p, a);
}

void program_zero(struct program *p, const struct kern_zero *a)
{
    p->bytes += (double)tensor_bytes(a->out);
    keep_zero(p, a);
}

void program_pack(struct program *p, const struct kern_pack *a) { keep_pack(p, a); }

static status run_step(struct kern_ctx *ctx, const struct step *s)
{
    switch (s->op) {
#define OP(op)                                                                                     \
    case STEP_##op: return kern_##op(ctx, &s->a.op);
        KERN_OPS(OP)
#undef OP
    }
    return ST_OK;
}

status program_queue(const struct program *p)
{
    if (p->st != ST_OK) return p->st;
    for (int i = 0; i < p->steps; i++) TRY(run_step(p->ctx, &p->step[i]));
    return ST_OK;
}

status program_wait(const struct program *p) { return p->ctx->backend->sync(p->ctx); }

void program_free(struct program *p)
{
    for (int i = 0; i < p->tensors; i++) p->ctx->backend->free(p->ctx, p->tensor[i].data);
    for (int i = 0; i < p->weights; i++) p->ctx->backend->free(p->ctx, p->weight[i].t.data);
    memset(p, 0, sizeof *p);
}
