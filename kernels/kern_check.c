/*
 * kern_check.c - what every backend refuses, said once.
 *
 * Each check is the contract of kern.h as conditions, in the order in which one makes sense
 * after the other; the message is the condition itself and the shape that was given. No backend
 * may be asked to guess: whatever passes here it has to compute.
 */
#include "kernels/kern_internal.h"

static bool is_act(const struct tensor *t)
{
    return t && (t->dtype == DT_F32 || t->dtype == DT_BF16);
}

static bool is_f32(const struct tensor *t) { return t && t->dtype == DT_F32; }

static bool is_matrix(const struct tensor *t, int64_t rows, int64_t cols)
{
    return t->ndim == 2 && t->dim[0] == rows && t->dim[1] == cols;
}

static bool is_vector(const struct tensor *t, int64_t n)
{
    return is_f32(t) && t->ndim == 1 && t->dim[0] == n;
}

/* [groups, n] F32 with groups dividing rows */
static bool is_grouped(const struct tensor *t, int64_t rows, int64_t n)
{
    return is_f32(t) && t->ndim == 2 && t->dim[1] == n && t->dim[0] > 0 && rows % t->dim[0] == 0;
}

#define NEED(op, cond, t)                                                                          \
    do {                                                                                           \
        if (!(cond)) return refuse_tensor(op, #cond, t);                                           \
    } while (0)

static status refuse_tensor(const char *op, const char *cond, const struct tensor *t)
{
    char shape[SHAPE_TEXT];
    if (!t) return fail(ST_ARG, "%s: needs %s", op, cond);
    return fail(ST_ARG, "%s: needs %s; got %s %s", op, cond, dtype_name(t->dtype),
                tensor_shape(t, shape));
}

struct pixels_layout kern_pictures_layout(const struct kern_pictures *a)
{
    return pixels_layout((int)a->pixels->dim[2], (int)a->pixels->dim[1], a->formats);
}

status kern_check_pack(const struct kern_pack *a)
{
    const struct tensor *const w = &a->w->t;
    int const want = kern_is_linear(a->w->use) ? 2 : 5;

    NEED("pack", w->ndim == want, w);
    NEED("pack",
         a->w->use != KERN_CONV_DOUBLED || (w->dim[2] == 1 && w->dim[3] == 3 && w->dim[4] == 3), w);
    NEED("pack", is_act(&a->w->t), &a->w->t);
    NEED("pack", a->src_dtype == DT_F32 || a->src_dtype == DT_BF16 || a->src_dtype == DT_F16, NULL);
    return ST_OK;
}

status kern_check_linear(const struct kern_linear *a)
{
    NEED("linear", is_act(a->x) && a->x->ndim == 2, a->x);
    NEED("linear", kern_is_linear(a->w->use) && a->w->t.dtype == a->x->dtype, &a->w->t);
    NEED("linear", a->w->t.dim[1] == a->x->dim[1], &a->w->t);

    int64_t const rows = a->x->dim[0], n = a->w->t.dim[0];
    NEED("linear", is_matrix(a->out, rows, n), a->out);
    NEED("linear", is_f32(a->out) || a->out->dtype == a->x->dtype, a->out);
    NEED("linear", !a->bias || is_vector(a->bias, n), a->bias);
    NEED("linear", !a->residual || (is_f32(a->residual) && is_matrix(a->residual, rows, n)),
         a->residual);
    NEED("linear", !a->gate || is_grouped(a->gate, rows, n), a->gate);
    NEED("linear", !a->gate || a->residual, a->gate);
    return ST_OK;
}

status kern_check_linear_norm(const struct kern_linear_norm *a)
{
    const struct kern_linear *const l = &a->linear;

    TRY(kern_check_linear(l));
    int64_t const rows = l->out->dim[0], n = l->out->dim[1];
    NEED("linear_norm", l->residual && is_f32(l->out), l->out);
    NEED("linear_norm", a->norm->dtype == l->x->dtype && is_matrix(a->norm, rows, n), a->norm);
    NEED("linear_norm", is_grouped(a->scale, rows, n), a->scale);
    NEED("linear_norm", is_grouped(a->shift, rows, n), a->shift);
    NEED("linear_norm", a->scale->dim[0] == a->shift->dim[0], a->shift);
    return ST_OK;
}

status kern_check_layernorm(const struct kern_layernorm *a)
{
    NEED("layernorm", is_f32(a->x) && a->x->ndim == 2, a->x);
    NEED("layernorm", is_act(a->out) && is_matrix(a->out, a->x->dim[0], a->x->dim[1]), a->out);
    NEED("layernorm", is_grouped(a->scale, a->x->dim[0], a->x->dim[1]), a->scale);
    NEED("layernorm", is_grouped(a->shift, a->x->dim[0], a->x->dim[1]), a->shift);
    NEED("layernorm", a->scale->dim[0] == a->shift->dim[0], a->shift);
    return ST_OK;
}

status kern_check_rmsnorm(const struct kern_rmsnorm *a)
{
    NEED("rmsnorm", is_act(a->x) && a->x->ndim == 2, a->x);
    NEED("rmsnorm", is_act(a->out) && is_matrix(a->out, a->x->dim[0], a->x->dim[1]), a->out);
    NEED("rmsnorm", is_vector(a->weight, a->x->dim[1]), a->weight);
    NEED("rmsnorm", a->x->data != a->out->data || a->x->dtype == a->out->dtype, a->out);
    return ST_OK;
}

static bool is_angles(const struct tensor *t)
{
    return is_f32(t) && t->ndim == 3 && t->dim[2] == 2;
}

static bool is_angles_of_heads(const struct tensor *t, int heads)
{
    return is_f32(t) && t->ndim == 4 && t->dim[1] == heads && t->dim[3] == 2;
}

status kern_check_rope(const struct kern_rope *a)
{
    NEED("rope", is_act(a->x) && a->x->ndim == 2, a->x);
    NEED("rope", a->out->dtype == a->x->dtype && tensor_same_shape(a->x, a->out), a->out);
    NEED("rope", is_angles(a->time) || is_angles_of_heads(a->time, a->heads), a->time);
    NEED("rope", is_angles(a->row), a->row);
    NEED("rope", is_angles(a->col), a->col);
    NEED("rope", a->x->dim[0] == a->time->dim[0] * a->row->dim[0] * a->col->dim[0], a->x);
    NEED("rope", a->heads > 0 && a->x->dim[1] % a->heads == 0, a->x);
    int64_t const pairs = kern_rope_pairs(a->time) + a->row->dim[1] + a->col->dim[1];
    NEED("rope", 2 * pairs * a->heads == a->x->dim[1], a->x);
    return ST_OK;
}

/* One of three projections of x. */
static status check_projection(const struct tensor *x, const struct kern_projection *p)
{
    TRY(kern_check_linear(
        &(struct kern_linear){ .x = x, .w = p->w, .bias = p->bias, .out = p->out }));
    NEED("qkv", p->out->dtype == x->dtype, p->out);
    NEED("qkv", !p->norm || is_vector(p->norm, p->out->dim[1]), p->norm);
    return ST_OK;
}

struct kern_rope kern_qkv_rope(const struct kern_qkv *a)
{
    return (struct kern_rope){ .x = a->q.out,
                               .time = a->time,
                               .row = a->row,
                               .col = a->col,
                               .out = a->q.out,
                               .heads = a->heads };
}

status kern_check_qkv(const struct kern_qkv *a)
{
    TRY(check_projection(a->x, &a->k));
    TRY(check_projection(a->x, &a->v));
    NEED("qkv", a->k.norm != NULL, NULL);
    NEED("qkv", a->v.norm == NULL, a->v.norm);
    NEED("qkv", tensor_same_shape(a->k.out, a->v.out), a->v.out);
    if (!a->q.out) return ST_OK;
    TRY(check_projection(a->x, &a->q));
    NEED("qkv", a->q.norm != NULL, NULL);
    NEED("qkv", tensor_same_shape(a->k.out, a->q.out), a->q.out);
    struct kern_rope const rope = kern_qkv_rope(a);
    return kern_check_rope(&rope);
}

int64_t attention_keys(const struct kern_attention *a)
{
    int64_t n = 0;
    for (int i = 0; i < a->segment_count; i++) n += a->segments[i].k.dim[0];
    return n;
}

status kern_check_attention(const struct kern_attention *a)
{
    NEED("attention", is_act(a->q) && a->q->ndim == 2, a->q);
    NEED("attention", is_f32(a->out) || a->out->dtype == a->q->dtype, a->out);
    NEED("attention", tensor_same_shape(a->q, a->out), a->out);
    NEED("attention", a->heads > 0 && a->q->dim[1] % a->heads == 0, a->q);
    NEED("attention", !a->lse || (is_f32(a->lse) && is_matrix(a->lse, a->q->dim[0], a->heads)),
         a->lse);
    NEED("attention", a->segment_count >= 1 && a->segment_count <= KERN_SEGMENTS, NULL);
    for (int i = 0; i < a->segment_count; i++) {
        const struct tensor *const k = &a->segments[i].k, *const v = &a->segments[i].v;
        NEED("attention", k->dtype == a->q->dtype && k->ndim == 2 && k->dim[1] == a->q->dim[1], k);
        NEED("attention", v->dtype == a->q->dtype && tensor_same_shape(k, v), v);
    }
    int64_t const keys = attention_keys(a);
    NEED("attention", keys > 0, NULL);
    NEED("attention",
         !a->bias || (is_f32(a->bias) && a->bias->ndim == 3 && a->bias->dim[0] == a->heads &&
                      a->bias->dim[1] == a->q->dim[0] && a->bias->dim[2] == keys),
         a->bias);
    return ST_OK;
}

status kern_check_merge(const struct kern_merge *a)
{
    NEED("merge", is_act(a->out), a->out);
    NEED("merge", is_f32(a->a) || a->a->dtype == a->out->dtype, a->a);
    NEED("merge", a->a->ndim == 2 && tensor_same_shape(a->a, a->out), a->a);
    NEED("merge", a->b->dtype == a->a->dtype && tensor_same_shape(a->a, a->b), a->b);
    NEED("merge", is_f32(a->a_lse) && a->a_lse->ndim == 2, a->a_lse);
    NEED("merge", a->a_lse->dim[0] == a->a->dim[0], a->a_lse);
    NEED("merge", a->a_lse->dim[1] > 0 && a->a->dim[1] % a->a_lse->dim[1] == 0, a->a_lse);
    NEED("merge", is_f32(a->b_lse) && tensor_same_shape(a->a_lse, a->b_lse), a->b_lse);
    return ST_OK;
}

struct conv_shape conv_shape_of(const struct kern_conv3d *a)
{
    const struct tensor *const w = &a->w->t;
    struct conv_shape s = {
        .past = a->past ? a->past->dim[0] : 0,
        .t = a->x->dim[0],
        .h = a->x->dim[1],
        .w = a->x->dim[2],
        .cin = a->x->dim[3],
        .cout = w->dim[0],
        .kt = w->dim[2],
        .kh = w->dim[3],
        .kw = w->dim[4],
        .stride_t = a->stride_t ? a->stride_t : 1,
        .stride = a->stride ? a->stride : 1,
        .upsample = a->upsample ? a->upsample : 1,
    };
    int64_t const pad = a->pad_lo + a->pad_hi;
    s.out_t = (s.past + s.t - s.kt) / s.stride_t + 1;
    s.out_h = (s.upsample * s.h + pad - s.kh) / s.stride + 1;
    s.out_w = (s.upsample * s.w + pad - s.kw) / s.stride + 1;
    return s;
}

/* What a weight for doubled pixels is for. */
static bool is_doubling(const struct kern_conv3d *a)
{
    return a->upsample == 2 && a->stride_t <= 1 && a->stride <= 1 && a->pad_lo == 1 &&
           a->pad_hi == 1;
}

status kern_check_conv3d(const struct kern_conv3d *a)
{
    NEED("conv3d", is_act(a->x) && a->x->ndim == 4, a->x);
    NEED("conv3d", !kern_is_linear(a->w->use) && a->w->t.dtype == a->x->dtype, &a->w->t);
    NEED("conv3d", a->w->use != KERN_CONV_DOUBLED || is_doubling(a), &a->w->t);
    NEED("conv3d", a->w->t.dim[1] == a->x->dim[3], &a->w->t);
    NEED("conv3d",
         !a->past || (a->past->dtype == a->x->dtype && a->past->ndim == 4 &&
                      a->past->dim[1] == a->x->dim[1] && a->past->dim[2] == a->x->dim[2] &&
                      a->past->dim[3] == a->x->dim[3]),
         a->past);
    NEED("conv3d", a->stride_t >= 0 && a->stride >= 0 && a->pad_lo >= 0 && a->pad_hi >= 0, NULL);
    NEED("conv3d", a->upsample >= 0 && a->upsample <= 2, NULL);

    struct conv_shape const s = conv_shape_of(a);
    NEED("conv3d", s.past + s.t >= s.kt, a->x);
    NEED("conv3d", s.out_h > 0 && s.out_w > 0, a->x);
    NEED("conv3d",
         a->out->ndim == 4 && a->out->dim[0] == s.out_t && a->out->dim[1] == s.out_h &&
             a->out->dim[2] == s.out_w && a->out->dim[3] == s.cout,
         a->out);
    NEED("conv3d", is_f32(a->out) || a->out->dtype == a->x->dtype, a->out);
    NEED("conv3d", !a->bias || is_vector(a->bias, s.cout), a->bias);
    NEED("conv3d",
         !a->residual ||
             (a->residual->dtype == a->x->dtype && tensor_same_shape(a->residual, a->out)),
         a->residual);
    return ST_OK;
}

status kern_check_channel_norm(const struct kern_channel_norm *a)
{
    NEED("channel_norm", is_act(a->x) && a->x->ndim >= 1, a->x);
    NEED("channel_norm", a->out->dtype == a->x->dtype && tensor_same_shape(a->x, a->out), a->out);
    NEED("channel_norm", is_vector(a->gamma, a->x->dim[a->x->ndim - 1]), a->gamma);
    NEED("channel_norm", a->act == KERN_ACT_NONE || a->act == KERN_ACT_SILU, NULL);
    return ST_OK;
}

status kern_check_mul(const struct kern_mul *a)
{
    NEED("mul", is_act(a->a), a->a);
    NEED("mul", a->b->dtype == a->a->dtype && tensor_same_shape(a->a, a->b), a->b);
    NEED("mul", a->out->dtype == a->a->dtype && tensor_same_shape(a->a, a->out), a->out);
    return ST_OK;
}

status kern_check_patchify(const struct kern_patchify *a)
{
    const struct tensor *const l = a->latent;

    NEED("patchify", is_f32(l) && l->ndim == 4, l);
    NEED("patchify", l->dim[2] % 2 == 0 && l->dim[3] % 2 == 0, l);
    NEED("patchify", is_act(a->out), a->out);
    NEED("patchify", is_matrix(a->out, l->dim[0] * l->dim[2] / 2 * l->dim[3] / 2, l->dim[1] * 4),
         a->out);
    return ST_OK;
}

status kern_check_unpatchify(const struct kern_unpatchify *a)
{
    const struct tensor *const l = a->out;

    NEED("unpatchify", is_f32(l) && l->ndim == 4, l);
    NEED("unpatchify", l->dim[2] % 2 == 0 && l->dim[3] % 2 == 0, l);
    NEED("unpatchify", is_f32(a->tokens), a->tokens);
    NEED("unpatchify",
         is_matrix(a->tokens, l->dim[0] * l->dim[2] / 2 * l->dim[3] / 2, l->dim[1] * 4), a->tokens);
    return ST_OK;
}

status kern_check_pictures(const struct kern_pictures *a)
{
    const struct tensor *const p = a->pixels;

    NEED("pictures", is_f32(p) && p->ndim == 4 && p->dim[3] == 3, p);
    NEED("pictures", p->dim[1] >= 1 && p->dim[1] <= PIXELS_SIDE, p);
    NEED("pictures", p->dim[2] >= 1 && p->dim[2] <= PIXELS_SIDE, p);
    NEED("pictures", a->formats < 1u << PIX_COUNT, NULL);

    int64_t const bytes = kern_pictures_layout(a).bytes;
    NEED("pictures", a->out->dtype == DT_U8 && is_matrix(a->out, p->dim[0], bytes), a->out);
    return ST_OK;
}

status kern_check_axpby(const struct kern_axpby *a)
{
    NEED("axpby", is_f32(a->x), a->x);
    NEED("axpby", is_f32(a->y) && tensor_same_shape(a->x, a->y), a->y);
    NEED("axpby", is_f32(a->out) && tensor_same_shape(a->x, a->out), a->out);
    return ST_OK;
}

/* What quantize_e4m3 makes of a matrix. */
static status check_quantized(const char *op, const struct tensor *wide, const struct tensor *bytes,
                              const struct tensor *scale)
{
    NEED(op, is_act(wide) && wide->ndim == 2, wide);
    NEED(op, bytes->dtype == DT_U8 && tensor_same_shape(wide, bytes), bytes);
    NEED(op, is_vector(scale, wide->dim[0]), scale);
    return ST_OK;
}

status kern_check_quantize_e4m3(const struct kern_quantize_e4m3 *a)
{
    return check_quantized("quantize_e4m3", a->x, a->out, a->scale);
}

status kern_check_dequantize_e4m3(const struct kern_dequantize_e4m3 *a)
{
    return check_quantized("dequantize_e4m3", a->out, a->x, a->scale);
}

status kern_check_permute01(const struct kern_permute01 *a)
{
    const struct tensor *const in = a->in, *const out = a->out;

    NEED("permute01", in->ndim == 3, in);
    NEED("permute01", out->dtype == in->dtype && out->ndim == 3, out);
    NEED("permute01", out->dim[0] == in->dim[1] && out->dim[1] == in->dim[0], out);
    NEED("permute01", out->dim[2] == in->dim[2], out);
    return ST_OK;
}

status kern_check_score_keys(const struct kern_score_keys *a)
{
    NEED("score_keys", is_act(a->k) && a->k->ndim == 2 && a->k->dim[1] % 2 == 0, a->k);
    NEED("score_keys", is_vector(a->w, a->k->dim[1]), a->w);
    NEED("score_keys", !a->amplitude || is_vector(a->amplitude, a->k->dim[1] / 2), a->amplitude);
    NEED("score_keys", is_vector(a->out, a->k->dim[0]), a->out);
    return ST_OK;
}

status kern_check_sum_rows(const struct kern_sum_rows *a)
{
    NEED("sum_rows", is_act(a->x) && a->x->ndim == 2, a->x);
    NEED("sum_rows", is_vector(a->out, a->x->dim[1]), a->out);
    return ST_OK;
}

status kern_check_gather_rows(const struct kern_gather_rows *a)
{
    NEED("gather_rows", a->x->ndim == 2, a->x);
    NEED("gather_rows", is_f32(a->index) && a->index->ndim == 1, a->index);
    NEED("gather_rows",
         a->out->dtype == a->x->dtype && is_matrix(a->out, a->index->dim[0], a->x->dim[1]), a->out);
    return ST_OK;
}

status kern_check_cast(const struct kern_cast *a)
{
    NEED("cast", is_act(a->in), a->in);
    NEED("cast", is_act(a->out) && tensor_count(a->in) == tensor_count(a->out), a->out);
    return ST_OK;
}

status kern_check_copy(const struct kern_copy *a)
{
    NEED("copy", a->in->dtype == a->out->dtype && tensor_count(a->in) == tensor_count(a->out),
         a->out);
    return ST_OK;
}

status kern_check_zero(const struct kern_zero *a)
{
    NEED("zero", a->out != NULL, NULL);
    return ST_OK;
}
