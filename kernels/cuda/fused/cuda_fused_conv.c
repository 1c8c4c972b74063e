/*
 * cuda_fused_conv.c - level 2's convolution: frames in one piece, the plan's graphs, and what
 * cuDNN leaves to do.
 *
 * A convolution is one graph, or four for doubled pixels (cuda_fused_conv_plan.h says why). The
 * graphs share one layout of scratch: frames that had to be gathered, F32 sums where the output
 * cannot be written directly, the bias in BF16, and cuDNN's workspace behind them.
 */
#include "kernels/cuda/cuda_dev.h"
#include "kernels/cuda/cuda_launch_plan.h"
#include "kernels/cuda/fused/cuda_fused.h"
#include "kernels/cuda/fused/cuda_fused_conv_plan.h"
#include "kernels/cuda/fused/cuda_fused_kernels.h"
#include "kernels/cuda/plain/cuda_plain.h"
#include "kernels/kern_internal.h"

#include <stdlib.h>

/* ---- weights ------------------------------------------------------------- */

size_t cuda_fused_conv_bytes(const struct kern_weight *w)
{
    return cuda_conv_packs(w) ? cuda_conv_packed_bytes(w) : cuda_plain_bytes(w);
}

static status pack_for_cudnn(struct kern_ctx *ctx, const struct kern_pack *a)
{
    const struct kern_weight *const w = a->w;
    int64_t const n = tensor_count(&w->t);
    size_t const bytes = cuda_conv_packed_bytes(w);
    float *const src = malloc((size_t)n * sizeof *src + 1);
    uint16_t *const packed = malloc(bytes + 1);
    struct cuda_ctx *c;
    status st = ST_OK;

    if (!src || !packed) TRY_OUT(fail(ST_NOMEM, "pack: no memory for %lld weights", (long long)n));
    TRY_OUT(cuda_enter(ctx, &c));
    TRY_OUT(tensor_convert(src, DT_F32, a->src, a->src_dtype, n));
    cuda_conv_pack(packed, w, src);
    TRY_OUT(cuda_dev_upload(w->t.data, packed, bytes, c->stream));
out:
    free(src);
    free(packed);
    return st;
}

status cuda_fused_conv_pack(struct kern_ctx *ctx, const struct kern_pack *a)
{
    TRY(kern_check_pack(a));
    return cuda_conv_packs(a->w) ? pack_for_cudnn(ctx, a) : cuda_plain_pack(ctx, a);
}

/* ---- the operation ------------------------------------------------------- */

struct conv {
    struct cuda_ctx *c;
    const struct kern_conv3d *a;
    struct cuda_conv_plan plan;
    size_t gathered; /* bytes of frames in scratch; 0: they lie in one piece */
    size_t sums_at, bias_at, workspace_at; /* in scratch, behind them */
};

static size_t pixels_factor(const struct conv *v) { return v->plan.doubles ? 4 : 1; }

/* Scratch holds frames, sums, a bias, workspace. */
static void place_scratch(struct conv *v, bool gathers)
{
    const struct tensor *const past = v->a->past;
    size_t const frames = tensor_bytes(v->a->x) + (past ? tensor_bytes(past) : 0);

    v->gathered = v->plan.doubles || gathers ? frames * pixels_factor(v) : 0;
    v->workspace_at = 0;
    cuda_scratch_take(&v->workspace_at, v->gathered);
    v->sums_at = cuda_scratch_take(&v->workspace_at, v->plan.sums);
    v->bias_at = cuda_scratch_take(&v->workspace_at, (size_t)v->plan.wide * sizeof(uint16_t));
}

size_t cuda_fused_conv3d_scratch(const struct kern_conv3d *a)
{
    struct conv v = { .a = a };
    struct cuda_few_plan few;

    if (!cuda_conv_packs(a->w) || !tensor_count(a->out) || cuda_few_plan(&few, a)) return 0;
    cuda_conv_plan(&v.plan, a);
    place_scratch(&v, a->past);
    return v.workspace_at + v.plan.workspace;
}

static status plan_graphs(struct conv *v)
{
    size_t workspace = 0;

    cuda_conv_plan(&v->plan, v->a);
    place_scratch(v, v->a->past && !tensor_follows(v->a->past, v->a->x));
    for (int i = 0; i < v->plan.graphs; i++) {
        struct cuda_dnn_facts facts;
        TRY(cuda_dnn_plan(v->c->dnn, &v->plan.graph[i].g, &facts));
        if (facts.workspace > workspace) workspace = facts.workspace;
    }
    return cuda_scratch(v->c, v->workspace_at + workspace);
}

status cuda_fused_conv3d_prepare(struct cuda_ctx *c, const struct kern_conv3d *a)
{
    struct conv v = { .c = c, .a = a };
    struct cuda_few_plan few;

    if (!cuda_conv_packs(a->w) || !tensor_count(a->out) || cuda_few_plan(&few, a)) return ST_OK;
    return plan_graphs(&v);
}

static void *bytes_behind(void *at, size_t bytes) { return (unsigned char *)at + bytes; }

static status put_frames(const struct conv *v, const struct tensor *frames, void *to)
{
    if (v->plan.doubles) return cuda_fused_launch_double_pixels(frames, to, v->c->stream);
    return cuda_dev_copy(to, frames->data, tensor_bytes(frames), v->c->stream);
}

/* [past | x] in one piece. */
static status join_frames(const struct conv *v, void **out)
{
    const struct tensor *const past = v->a->past, *const x = v->a->x;
    void *to = v->c->scratch;

    *out = past ? past->data : x->data;
    if (!v->gathered) return ST_OK;
    *out = to;
    if (past) {
        TRY(put_frames(v, past, to));
        to = bytes_behind(to, tensor_bytes(past) * pixels_factor(v));
    }
    return put_frames(v, x, to);
}

static status run_graphs(const struct conv *v)
{
    const struct cuda_conv_plan *const p = &v->plan;
    void *const sums = bytes_behind(v->c->scratch, v->sums_at);
    void *const bias = bytes_behind(v->c->scratch, v->bias_at);
    void *const y = p->direct ? v->a->out->data : sums, *x;

    TRY(join_frames(v, &x));
    if (p->bias) TRY(cuda_fused_launch_round_bias(v->a->bias, bias, p->wide, v->c->stream));
    for (int i = 0; i < p->graphs; i++) {
        const struct cuda_conv_graph *const g = &p->graph[i];
        struct cuda_dnn_data data = { .workspace = bytes_behind(v->c->scratch, v->workspace_at) };
        data.at[p->x] = x;
        data.at[p->w] = bytes_behind(v->a->w->t.data, g->w);
        data.at[p->y] = bytes_behind(y, g->y);
        if (p->bias) data.at[p->bias] = bias;
        if (p->residual) data.at[p->residual] = bytes_behind(v->a->residual->data, g->y);
        TRY(cuda_dnn_run(v->c->dnn, &g->g, &data));
    }
    if (p->direct) return ST_OK;
    return cuda_fused_launch_conv_finish(v->a, sums, p->wide, v->c->stream);
}

status cuda_fused_conv3d(struct kern_ctx *ctx, const struct kern_conv3d *a)
{
    struct conv v = { .a = a };
    struct cuda_few_plan few;

    TRY(kern_check_conv3d(a));
    if (!tensor_count(a->out)) return ST_OK;
    if (!cuda_conv_packs(a->w)) return cuda_plain_conv3d(ctx, a);
    TRY(cuda_enter(ctx, &v.c));
    if (cuda_few_plan(&few, a)) return cuda_fused_launch_conv_few(a, &few, v.c->stream);
    TRY(plan_graphs(&v));
    return run_graphs(&v);
}
