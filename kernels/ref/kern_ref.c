/*
 * kern_ref.c - the oracle: its table, and the operations on single elements and rows.
 *
 * Every other backend is right when it agrees with this one to within the rounding that kern.h
 * allows it, so this one has to be right by reading. Hence the rules of this folder: each
 * operation is its formula from kern.h with one loop per index; every sum is f64, in one order,
 * and rounded once, at the store; no vector code, no blocking, no library, no second way for a
 * special shape. Threads share out whole rows of the heavy operations and nothing finer, so the
 * bits do not depend on their number. It is slow, and nobody should make it faster at the price
 * of a line that needs explaining.
 */
#include "kernels/ref/kern_ref.h"
#include "kernels/kern_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static status open_ref(struct kern_ctx **out, const struct kern_config *config)
{
    struct ref_ctx *c = calloc(1, sizeof *c);

    *out = NULL;
    if (!c) return fail(ST_NOMEM, "ref: no memory for a context");
    status const st = pool_open(&c->pool, config->threads);
    if (st != ST_OK) {
        free(c);
        return st;
    }
    c->base = (struct kern_ctx){ .backend = &kern_ref_backend, .threads = config->threads };
    *out = &c->base;
    return ST_OK;
}

static void close_ref(struct kern_ctx **ctx)
{
    if (!*ctx) return;
    struct ref_ctx *const c = (struct ref_ctx *)*ctx;
    pool_close(&c->pool);
    free(c);
    *ctx = NULL;
}

static size_t packed_bytes_ref(const struct kern_weight *w) { return tensor_bytes(&w->t); }

static status pack_ref(struct kern_ctx *ctx, const struct kern_pack *a)
{
    (void)ctx;
    TRY(kern_check_pack(a));
    return tensor_convert(a->w->t.data, a->w->t.dtype, a->src, a->src_dtype,
                          tensor_count(&a->w->t));
}

static status layernorm_ref(struct kern_ctx *ctx, const struct kern_layernorm *a)
{
    (void)ctx;
    TRY(kern_check_layernorm(a));
    int64_t const rows = a->x->dim[0], cols = a->x->dim[1];
    int64_t const per_group = rows / a->scale->dim[0];

    for (int64_t r = 0; r < rows; r++) {
        int64_t const g = r / per_group;
        double sum = 0, square = 0;
        for (int64_t c = 0; c < cols; c++) sum += tensor_get(a->x, r * cols + c);
        double const mean = sum / (double)cols;
        for (int64_t c = 0; c < cols; c++) {
            double const d = tensor_get(a->x, r * cols + c) - mean;
            square += d * d;
        }
        double const inv = 1.0 / sqrt(square / (double)cols + (double)a->eps);
        for (int64_t c = 0; c < cols; c++) {
            double const y = (tensor_get(a->x, r * cols + c) - mean) * inv;
            double const z = y * tensor_get(a->scale, g * cols + c);
            tensor_put(a->out, r * cols + c, (float)(z + tensor_get(a->shift, g * cols + c)));
        }
    }
    return ST_OK;
}

static status rmsnorm_ref(struct kern_ctx *ctx, const struct kern_rmsnorm *a)
{
    (void)ctx;
    TRY(kern_check_rmsnorm(a));
    int64_t const rows = a->x->dim[0], cols = a->x->dim[1];

    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < cols; c++) {
            double const x = tensor_get(a->x, r * cols + c);
            sum += x * x;
        }
        double const inv = 1.0 / sqrt(sum / (double)cols + (double)a->eps);
        for (int64_t c = 0; c < cols; c++) {
            double const y = tensor_get(a->x, r * cols + c) * inv;
            tensor_put(a->out, r * cols + c, (float)(y * tensor_get(a->weight, c)));
        }
    }
    return ST_OK;
}

/* One head's pairs first..first+count-1 of row r, rotated by row `at` of an angle table. */
static void rope_pairs(const struct kern_rope *a, int64_t base, int64_t first,
                       const struct tensor *angles, int64_t at)
{
    int64_t const count = kern_rope_pairs(angles);

    for (int64_t i = 0; i < count; i++) {
        int64_t const e = base + 2 * (first + i);
        double const c = tensor_get(angles, 2 * (at * count + i));
        double const s = tensor_get(angles, 2 * (at * count + i) + 1);
        double const re = tensor_get(a->x, e), im = tensor_get(a->x, e + 1);
        tensor_put(a->out, e, (float)(re * c - im * s));
        tensor_put(a->out, e + 1, (float)(re * s + im * c));
    }
}

static status rope_ref(struct kern_ctx *ctx, const struct kern_rope *a)
{
    (void)ctx;
    TRY(kern_check_rope(a));
    int64_t const rows = a->x->dim[0], dim = a->x->dim[1], head_dim = dim / a->heads;
    int64_t const h = a->row->dim[0], w = a->col->dim[0];
    int64_t const ct = kern_rope_pairs(a->time), apart = kern_rope_heads(a->time);

    for (int64_t r = 0; r < rows; r++)
        for (int64_t head = 0; head < a->heads; head++) {
            int64_t const base = r * dim + head * head_dim;
            rope_pairs(a, base, 0, a->time, r / (h * w) * apart + head % apart);
            rope_pairs(a, base, ct, a->row, r / w % h);
            rope_pairs(a, base, ct + a->row->dim[1], a->col, r % w);
        }
    return ST_OK;
}

/* One head of one row: `hd` numbers from `at` on. */
static void merge_head(const struct kern_merge *a, int64_t at, int64_t hd, const double lse[2])
{
    double const max = lse[0] > lse[1] ? lse[0] : lse[1];
    double const wa = exp(lse[0] - max), wb = exp(lse[1] - max);

    for (int64_t i = at; i < at + hd; i++) {
        double const x = wa > 0 ? wa * (double)tensor_get(a->a, i) : 0.0;
        double const y = wb > 0 ? wb * (double)tensor_get(a->b, i) : 0.0;
        tensor_put(a->out, i, (float)((x + y) / (wa + wb)));
    }
}

static status merge_ref(struct kern_ctx *ctx, const struct kern_merge *a)
{
    (void)ctx;
    TRY(kern_check_merge(a));
    int64_t const heads = a->a_lse->dim[1], hd = a->a->dim[1] / heads;

    for (int64_t i = 0; i < tensor_count(a->a_lse); i++) {
        double const lse[2] = { tensor_get(a->a_lse, i), tensor_get(a->b_lse, i) };
        merge_head(a, i * hd, hd, lse);
    }
    return ST_OK;
}

static status channel_norm_ref(struct kern_ctx *ctx, const struct kern_channel_norm *a)
{
    (void)ctx;
    TRY(kern_check_channel_norm(a));
    int64_t const cols = a->x->dim[a->x->ndim - 1];
    int64_t const rows = cols ? tensor_count(a->x) / cols : 0;

    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < cols; c++) {
            double const x = tensor_get(a->x, r * cols + c);
            sum += x * x;
        }
        double const norm = sqrt(sum) > 1e-12 ? sqrt(sum) : 1e-12;
        for (int64_t c = 0; c < cols; c++) {
            double const y = tensor_get(a->x, r * cols + c) / norm * sqrt((double)cols);
            tensor_put(a->out, r * cols + c, (float)ref_act(y * tensor_get(a->gamma, c), a->act));
        }
    }
    return ST_OK;
}

static status mul_ref(struct kern_ctx *ctx, const struct kern_mul *a)
{
    (void)ctx;
    TRY(kern_check_mul(a));
    for (int64_t i = 0; i < tensor_count(a->out); i++)
        tensor_put(a->out, i, tensor_get(a->a, i) * tensor_get(a->b, i));
    return ST_OK;
}

status ref_patchify(struct kern_ctx *ctx, const struct kern_patchify *a)
{
    (void)ctx;
    TRY(kern_check_patchify(a));
    int64_t const frames = a->latent->dim[0], ch = a->latent->dim[1];
    int64_t const h = a->latent->dim[2], w = a->latent->dim[3];
    int64_t to = 0;

    for (int64_t f = 0; f < frames; f++)
        for (int64_t y = 0; y < h; y += 2)
            for (int64_t x = 0; x < w; x += 2)
                for (int64_t c = 0; c < ch; c++)
                    for (int64_t p = 0; p < 4; p++) {
                        int64_t const from = ((f * ch + c) * h + y + p / 2) * w + x + p % 2;
                        tensor_put(a->out, to++, tensor_get(a->latent, from));
                    }
    return ST_OK;
}

status ref_unpatchify(struct kern_ctx *ctx, const struct kern_unpatchify *a)
{
    (void)ctx;
    TRY(kern_check_unpatchify(a));
    int64_t const frames = a->out->dim[0], ch = a->out->dim[1];
    int64_t const h = a->out->dim[2], w = a->out->dim[3];
    int64_t from = 0;

    for (int64_t f = 0; f < frames; f++)
        for (int64_t y = 0; y < h; y += 2)
            for (int64_t x = 0; x < w; x += 2)
                for (int64_t p = 0; p < 4; p++)
                    for (int64_t c = 0; c < ch; c++) {
                        int64_t const to = ((f * ch + c) * h + y + p / 2) * w + x + p % 2;
                        tensor_put(a->out, to, tensor_get(a->tokens, from++));
                    }
    return ST_OK;
}

static status pictures_ref(struct kern_ctx *ctx, const struct kern_pictures *a)
{
    (void)ctx;
    TRY(kern_check_pictures(a));
    struct pixels_layout const layout = kern_pictures_layout(a);
    int64_t const values = (int64_t)layout.width * layout.height * 3;
    float *const scratch = malloc((size_t)layout.width * PIXELS_SCRATCH * sizeof *scratch);

    if (!scratch) return fail(ST_NOMEM, "pictures: no memory for a row of %d pixels", layout.width);
    for (int64_t i = 0; i < a->pixels->dim[0]; i++)
        pixels_picture(
            &(struct pixels_band){ .rgb = (const float *)a->pixels->data + i * values,
                                   .layout = &layout,
                                   .out = (unsigned char *)a->out->data + i * layout.bytes,
                                   .scratch = scratch });
    free(scratch);
    return ST_OK;
}

static status axpby_ref(struct kern_ctx *ctx, const struct kern_axpby *a)
{
    (void)ctx;
    TRY(kern_check_axpby(a));
    const float *const x = a->x->data, *const y = a->y->data;
    float *const out = a->out->data;

    for (int64_t i = 0; i < tensor_count(a->out); i++)
        out[i] = (float)(a->a * (double)x[i] + a->b * (double)y[i]);
    return ST_OK;
}

static status quantize_e4m3_ref(struct kern_ctx *ctx, const struct kern_quantize_e4m3 *a)
{
    (void)ctx;
    TRY(kern_check_quantize_e4m3(a));
    int64_t const rows = a->x->dim[0], cols = a->x->dim[1];
    uint8_t *const out = a->out->data;

    for (int64_t r = 0; r < rows; r++) {
        float most = 0;
        for (int64_t c = 0; c < cols; c++)
            most = fmaxf(most, fabsf(tensor_get(a->x, r * cols + c)));
        float const scale = e4m3_scale(most);
        tensor_put(a->scale, r, scale);
        for (int64_t c = 0; c < cols; c++)
            out[r * cols + c] = e4m3_from_f32(tensor_get(a->x, r * cols + c) / scale);
    }
    return ST_OK;
}

static status dequantize_e4m3_ref(struct kern_ctx *ctx, const struct kern_dequantize_e4m3 *a)
{
    (void)ctx;
    TRY(kern_check_dequantize_e4m3(a));
    int64_t const rows = a->x->dim[0], cols = a->x->dim[1];
    const uint8_t *const x = a->x->data;

    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = r * cols; c < (r + 1) * cols; c++)
            tensor_put(a->out, c, f32_from_e4m3(x[c]) * tensor_get(a->scale, r));
    return ST_OK;
}

status ref_permute01(struct kern_ctx *ctx, const struct kern_permute01 *a)
{
    (void)ctx;
    TRY(kern_check_permute01(a));
    int64_t const rows = a->in->dim[0], parts = a->in->dim[1];
    size_t const bytes = (size_t)a->in->dim[2] * dtype_size(a->in->dtype);
    const unsigned char *from = a->in->data;

    for (int64_t i = 0; bytes && i < rows; i++)
        for (int64_t j = 0; j < parts; j++, from += bytes)
            memcpy((unsigned char *)a->out->data + (size_t)(j * rows + i) * bytes, from, bytes);
    return ST_OK;
}

static status score_keys_ref(struct kern_ctx *ctx, const struct kern_score_keys *a)
{
    (void)ctx;
    TRY(kern_check_score_keys(a));
    int64_t const rows = a->k->dim[0], cols = a->k->dim[1];

    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < cols; c += 2) {
            double const re = tensor_get(a->k, r * cols + c);
            double const im = tensor_get(a->k, r * cols + c + 1);
            sum += re * tensor_get(a->w, c) + im * tensor_get(a->w, c + 1);
            if (a->amplitude) sum += tensor_get(a->amplitude, c / 2) * sqrt(re * re + im * im);
        }
        tensor_put(a->out, r, (float)(a->scale * sum));
    }
    return ST_OK;
}

static status sum_rows_ref(struct kern_ctx *ctx, const struct kern_sum_rows *a)
{
    (void)ctx;
    TRY(kern_check_sum_rows(a));
    int64_t const rows = a->x->dim[0], cols = a->x->dim[1];

    for (int64_t c = 0; c < cols; c++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++) sum += tensor_get(a->x, r * cols + c);
        tensor_put(a->out, c, (float)sum);
    }
    return ST_OK;
}

status ref_gather_rows(struct kern_ctx *ctx, const struct kern_gather_rows *a)
{
    (void)ctx;
    TRY(kern_check_gather_rows(a));
    size_t const bytes = (size_t)a->x->dim[1] * dtype_size(a->x->dtype);
    const float *const index = a->index->data;

    for (int64_t i = 0; bytes && i < a->out->dim[0]; i++)
        memcpy((unsigned char *)a->out->data + (size_t)i * bytes,
               (const unsigned char *)a->x->data + (size_t)index[i] * bytes, bytes);
    return ST_OK;
}

status ref_cast(struct kern_ctx *ctx, const struct kern_cast *a)
{
    (void)ctx;
    TRY(kern_check_cast(a));
    return tensor_convert(a->out->data, a->out->dtype, a->in->data, a->in->dtype,
                          tensor_count(a->in));
}

status ref_copy(struct kern_ctx *ctx, const struct kern_copy *a)
{
    (void)ctx;
    TRY(kern_check_copy(a));
    if (tensor_bytes(a->in)) memcpy(a->out->data, a->in->data, tensor_bytes(a->in));
    return ST_OK;
}

status ref_zero(struct kern_ctx *ctx, const struct kern_zero *a)
{
    (void)ctx;
    TRY(kern_check_zero(a));
    if (tensor_bytes(a->out)) memset(a->out->data, 0, tensor_bytes(a->out));
    return ST_OK;
}

static const char *kernels_ref(char buf[KERN_TEXT])
{
    snprintf(buf, KERN_TEXT, "plain C");
    return buf;
}

const struct kern_backend kern_ref_backend = {
    .name = "ref",
    .kernels = kernels_ref,
    .ops = {
        .pack = pack_ref,
        .linear = ref_linear,
        .linear_norm = kern_compose_linear_norm,
        .qkv = kern_compose_qkv,
        .layernorm = layernorm_ref,
        .rmsnorm = rmsnorm_ref,
        .rope = rope_ref,
        .attention = ref_attention,
        .merge = merge_ref,
        .conv3d = ref_conv3d,
        .channel_norm = channel_norm_ref,
        .mul = mul_ref,
        .patchify = ref_patchify,
        .unpatchify = ref_unpatchify,
        .pictures = pictures_ref,
        .axpby = axpby_ref,
        .quantize_e4m3 = quantize_e4m3_ref,
        .dequantize_e4m3 = dequantize_e4m3_ref,
        .permute01 = ref_permute01,
        .score_keys = score_keys_ref,
        .sum_rows = sum_rows_ref,
        .gather_rows = ref_gather_rows,
        .cast = ref_cast,
        .copy = ref_copy,
        .zero = ref_zero,
    },
    .absent = kern_host_absent,
    .open = open_ref,
    .close = close_ref,
    .alloc = kern_host_alloc,
    .free = kern_host_free,
    .upload = kern_host_upload,
    .download = kern_host_download,
    .sync = kern_host_sync,
    .alloc_host = kern_host_alloc,
    .free_host = kern_host_free,
    .fetch = kern_host_download,
    .await = kern_host_sync,
    .partial_dtype = kern_partial_f32,
    .packed_bytes = packed_bytes_ref,
};
