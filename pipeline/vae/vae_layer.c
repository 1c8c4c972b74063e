/*
 * vae_layer.c - the layers, and the causal cache between calls.
 *
 * The 3-D convolutions see two frames back and none ahead, so a clip of any length can be decoded
 * one or two frames at a time, with the same result as all at once, if each convolution keeps the
 * last two frames of its input: its stream. The order is always the same. The layer before writes
 * its t new frames into vae_buffer, the room behind the past; vae_causal convolves past and new
 * frames together; vae_pass makes the newest two the past. What must hold:
 *
 * - Between vae_buffer and vae_pass nothing else may use the stream's spare. Streams of one shape
 *   share one, which works because only one convolution is in work at a time.
 * - A clip begins with a past of zeros (vae_forget), which is what padding is to the reference.
 * - Where a frame becomes two (VAE_UP_TIME), and where two become one, the first frame of a clip
 *   goes alone: it has no past to be doubled with. `running` in struct vae_coder tells the two
 *   apart.
 */
#include "pipeline/vae/vae_internal.h"

#include <assert.h>
#include <math.h>

/* The run's first frame that is the past's. */
static int64_t past_offset(const struct vae_stream *s)
{
    ptrdiff_t const from = (unsigned char *)s->past.data - (unsigned char *)s->run.data;
    return (int64_t)((size_t)from / (tensor_bytes(&s->run) / VAE_RUN));
}

struct tensor vae_buffer(const struct vae_stream *s, int64_t t)
{
    assert(t >= 1 && t <= VAE_PAST);
    return s->spare ? tensor_slice(s->spare, VAE_PAST - t, t)
                    : tensor_slice(&s->run, past_offset(s) + VAE_PAST, t);
}

status vae_causal(struct kern_ctx *ctx, const struct vae_causal *a)
{
    struct tensor const x = vae_buffer(a->stream, a->t);

    return kern_conv3d(ctx, &(struct kern_conv3d){
                                .past = &a->stream->past,
                                .x = &x,
                                .w = &a->conv->w,
                                .bias = &a->conv->bias,
                                .residual = a->residual,
                                .out = a->out,
                                .pad_lo = a->pad,
                                .pad_hi = a->pad,
                            });
}

/* On over t new frames; back to the front if another pair has no room behind them. */
static status pass_run(struct kern_ctx *ctx, struct vae_stream *s, int64_t t)
{
    int64_t const at = past_offset(s) + t;

    s->past = tensor_slice(&s->run, at, VAE_PAST);
    if (at + 2 * VAE_PAST <= VAE_RUN) return ST_OK;
    struct tensor const kept = s->past;
    s->past = tensor_slice(&s->run, 0, VAE_PAST);
    return kern_copy(ctx, &(struct kern_copy){ .in = &kept, .out = &s->past });
}

status vae_pass(struct kern_ctx *ctx, struct vae_stream *s, int64_t t)
{
    struct tensor const old = s->past;

    if (!s->spare) return pass_run(ctx, s, t);
    if (t < VAE_PAST) {
        struct tensor const kept = tensor_slice(&old, t, VAE_PAST - t);
        struct tensor to = tensor_slice(s->spare, 0, VAE_PAST - t);
        TRY(kern_copy(ctx, &(struct kern_copy){ .in = &kept, .out = &to }));
    }
    s->past = *s->spare;
    *s->spare = old;
    return ST_OK;
}

static status normalise_channels(struct kern_ctx *ctx, const struct tensor *x,
                                 const struct tensor *gamma, enum kern_act act, struct tensor *out)
{
    struct tensor const g = tensor_as(gamma, DIMS(tensor_count(gamma)));

    return kern_channel_norm(
        ctx, &(struct kern_channel_norm){ .x = x, .gamma = &g, .out = out, .act = act });
}

/* Normed into the stream, convolved out of it. */
static status norm_into_conv(struct kern_ctx *ctx, const struct tensor *x,
                             const struct tensor *gamma, struct vae_stream *s,
                             const struct vae_causal *conv)
{
    struct tensor room = vae_buffer(s, conv->t);

    TRY(normalise_channels(ctx, x, gamma, KERN_ACT_SILU, &room));
    TRY(vae_causal(ctx, conv));
    return vae_pass(ctx, s, conv->t);
}

/* Frames as rows of a matrix: [t, h, w, c] -> [t*h*w, c]. */
static struct tensor as_rows(const struct tensor *t)
{
    int64_t const c = t->dim[t->ndim - 1];
    return tensor_as(t, DIMS(tensor_count(t) / c, c));
}

status vae_head(struct kern_ctx *ctx, struct vae_coder *c, const struct tensor *in)
{
    int64_t const t = in->dim[0];
    struct tensor out = tensor_slice(&c->last_out, 0, t);

    return norm_into_conv(ctx, in, &c->last_gamma, &c->last_stream,
                          &(struct vae_causal){
                              .conv = &c->last,
                              .stream = &c->last_stream,
                              .t = t,
                              .pad = 1,
                              .out = &out,
                          });
}

status vae_run_res(struct kern_ctx *ctx, struct vae_layer *l, int64_t t)
{
    bool const widens = l->cin != l->cout;
    struct tensor const in = tensor_slice(&l->in, 0, t);
    struct tensor out = tensor_slice(&l->out, 0, t), mid = tensor_slice(&l->res.mid, 0, t);
    /* Widening, in is spent once its shortcut lies in mid, and out serves for both. */
    struct tensor *const hidden = widens ? &out : &mid;
    const struct tensor *const residual = widens ? &mid : &in;
    struct tensor room = vae_buffer(&l->res.stream[0], t);

    TRY(normalise_channels(ctx, &in, &l->res.gamma[0], KERN_ACT_SILU, &room));
    if (widens) {
        struct tensor const x = as_rows(&in);
        struct tensor y = as_rows(&mid);
        TRY(kern_linear(ctx, &(struct kern_linear){
                                 .x = &x,
                                 .w = &l->res.shortcut.w,
                                 .bias = &l->res.shortcut.bias,
                                 .out = &y,
                             }));
    }
    TRY(vae_causal(ctx, &(struct vae_causal){
                            .conv = &l->res.conv[0],
                            .stream = &l->res.stream[0],
                            .t = t,
                            .pad = 1,
                            .out = hidden,
                        }));
    TRY(vae_pass(ctx, &l->res.stream[0], t));
    return norm_into_conv(ctx, hidden, &l->res.gamma[1], &l->res.stream[1],
                          &(struct vae_causal){
                              .conv = &l->res.conv[1],
                              .stream = &l->res.stream[1],
                              .t = t,
                              .pad = 1,
                              .residual = residual,
                              .out = &out,
                          });
}

status vae_run_attn(struct kern_ctx *ctx, struct vae_layer *l)
{
    const struct vae_conv *const from[3] = { &l->attn.q, &l->attn.k, &l->attn.v };
    struct tensor *const to[3] = { &l->attn.tq, &l->attn.tk, &l->attn.tv };
    struct tensor const in = tensor_slice(&l->in, 0, 1), x = as_rows(&in);
    struct tensor out = tensor_slice(&l->out, 0, 1);

    TRY(normalise_channels(ctx, &x, &l->attn.gamma, KERN_ACT_NONE, &l->attn.tmp));
    for (int i = 0; i < 3; i++)
        TRY(kern_linear(ctx, &(struct kern_linear){
                                 .x = &l->attn.tmp,
                                 .w = &from[i]->w,
                                 .bias = &from[i]->bias,
                                 .out = to[i],
                             }));
    struct kern_segment const kv = { .k = l->attn.tk, .v = l->attn.tv };
    TRY(kern_attention(ctx, &(struct kern_attention){
                                .q = &l->attn.tq,
                                .segments = &kv,
                                .segment_count = 1,
                                .out = &l->attn.tmp,
                                .heads = 1,
                                .scale = (float)(1.0 / sqrt((double)l->cin)),
                            }));
    struct tensor const attended = tensor_as(&l->attn.tmp, in.ndim, in.dim);
    return kern_conv3d(ctx, &(struct kern_conv3d){
                                .x = &attended,
                                .w = &l->attn.proj.w,
                                .bias = &l->attn.proj.bias,
                                .residual = &in,
                                .out = &out,
                            });
}

static status upsample_frames(struct kern_ctx *ctx, const struct vae_layer *l,
                              const struct tensor *x)
{
    struct tensor out = tensor_slice(&l->out, 0, x->dim[0]);

    return kern_conv3d(ctx, &(struct kern_conv3d){
                                .x = x,
                                .w = &l->scale.space.w,
                                .bias = &l->scale.space.bias,
                                .out = &out,
                                .pad_lo = 1,
                                .pad_hi = 1,
                                .upsample = 2,
                            });
}

status vae_run_up(struct kern_ctx *ctx, struct vae_layer *l, int64_t t)
{
    struct tensor const x = tensor_slice(&l->in, 0, t);
    return upsample_frames(ctx, l, &x);
}

status vae_run_up_time(struct kern_ctx *ctx, struct vae_layer *l, int64_t f)
{
    struct tensor const x = tensor_slice(&l->in, f, 1);
    struct tensor room = vae_buffer(&l->scale.stream, 1);

    TRY(kern_copy(ctx, &(struct kern_copy){ .in = &x, .out = &room }));
    for (int i = 0; i < 2; i++) {
        struct tensor half = tensor_slice(&l->scale.pair, i, 1);
        TRY(vae_causal(ctx, &(struct vae_causal){
                                .conv = &l->scale.time[i],
                                .stream = &l->scale.stream,
                                .t = 1,
                                .out = &half,
                            }));
    }
    TRY(vae_pass(ctx, &l->scale.stream, 1));
    return upsample_frames(ctx, l, &l->scale.pair);
}

static status downsample_frames(struct kern_ctx *ctx, const struct vae_layer *l, int64_t t,
                                struct tensor *out)
{
    struct tensor const x = tensor_slice(&l->in, 0, t);

    return kern_conv3d(ctx, &(struct kern_conv3d){
                                .x = &x,
                                .w = &l->scale.space.w,
                                .bias = &l->scale.space.bias,
                                .out = out,
                                .stride = 2,
                                .pad_hi = 1,
                            });
}

/* held[0] is the frame before the pair held[1], held[2]. */
static status join_pair(struct kern_ctx *ctx, struct vae_layer *l)
{
    struct tensor const before = tensor_slice(&l->scale.held, 0, 1);
    struct tensor const pair = tensor_slice(&l->scale.held, 1, 2);
    struct tensor const newest = tensor_slice(&l->scale.held, 2, 1);
    struct tensor oldest = before, out = tensor_slice(&l->out, 0, 1);

    TRY(kern_conv3d(ctx, &(struct kern_conv3d){
                             .past = &before,
                             .x = &pair,
                             .w = &l->scale.time[0].w,
                             .bias = &l->scale.time[0].bias,
                             .out = &out,
                             .stride_t = 2,
                         }));
    return kern_copy(ctx, &(struct kern_copy){ .in = &newest, .out = &oldest });
}

status vae_run_down(struct kern_ctx *ctx, struct vae_layer *l, bool first, int64_t *t)
{
    if (l->kind == VAE_DOWN) {
        struct tensor out = tensor_slice(&l->out, 0, *t);
        return downsample_frames(ctx, l, *t, &out);
    }
    if (first) {
        struct tensor oldest = tensor_slice(&l->scale.held, 0, 1);
        struct tensor out = tensor_slice(&l->out, 0, 1);
        l->scale.filled = 0;
        TRY(downsample_frames(ctx, l, 1, &oldest));
        return kern_copy(ctx, &(struct kern_copy){ .in = &oldest, .out = &out });
    }
    struct tensor fresh = tensor_slice(&l->scale.held, 1 + l->scale.filled, *t);
    TRY(downsample_frames(ctx, l, *t, &fresh));
    l->scale.filled += (int)*t;
    *t = l->scale.filled / 2;
    if (l->scale.filled < 2) return ST_OK;
    l->scale.filled = 0;
    return join_pair(ctx, l);
}
