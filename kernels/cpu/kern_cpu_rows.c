/* kern_cpu_rows.c - the operations on rows and single elements. */
#include "kernels/cpu/cpu_internal.h"
#include "kernels/ref/kern_ref.h"

#include <math.h>

/* Numbers one task handles: enough to be worth handing out. */
enum { TASK_NUMBERS = 1 << 15 };

/* Rows of one task, and the number of tasks. */
static int64_t rows_per_task(int64_t cols)
{
    return cols < TASK_NUMBERS ? TASK_NUMBERS / (cols ? cols : 1) : 1;
}

static int64_t tasks_of(int64_t rows, int64_t per_task) { return (rows + per_task - 1) / per_task; }

static unsigned char *element_at(const struct tensor *t, int64_t numbers)
{
    return (unsigned char *)t->data + (size_t)numbers * dtype_size(t->dtype);
}

/* `count` rows from `first` on, as the vector code takes them. */
static struct vec_rows rows_span(const struct tensor *x, const struct tensor *out, int64_t cols,
                                 int64_t first, int64_t count)
{
    return (struct vec_rows){
        .x = element_at(x, first * cols),
        .out = element_at(out, first * cols),
        .x_dtype = x->dtype,
        .out_dtype = out->dtype,
        .rows = count,
        .cols = cols,
    };
}

/* What every task of one call sees. */
struct rows_call {
    const struct cpu_ctx *c;
    const void *a; /* the operation's arguments */
    int64_t rows, cols, per_task;
};

static int64_t rows_of_task(const struct rows_call *j, int64_t task)
{
    int64_t const left = j->rows - task * j->per_task;
    return left < j->per_task ? left : j->per_task;
}

static status run_rows(struct kern_ctx *ctx, const void *a, int64_t rows, int64_t cols,
                       pool_task task)
{
    struct cpu_ctx *const c = (struct cpu_ctx *)ctx;
    struct rows_call j = { c, a, rows, cols, rows_per_task(cols) };

    if (!rows || !cols) return ST_OK;
    return pool_run(c->pool, tasks_of(rows, j.per_task), task, &j);
}

static status layernorm_rows(void *arg, int64_t task, int worker)
{
    const struct rows_call *const j = arg;
    const struct kern_layernorm *const a = j->a;
    int64_t const per_group = j->rows / a->scale->dim[0];
    int64_t r = task * j->per_task;
    int64_t const end = r + rows_of_task(j, task);

    (void)worker;
    while (r < end) {
        int64_t const group = r / per_group, group_end = (group + 1) * per_group;
        int64_t const count = (end < group_end ? end : group_end) - r;
        struct vec_rows const rows = rows_span(a->x, a->out, j->cols, r, count);
        j->c->vec->layernorm(&rows, (const float *)a->scale->data + group * j->cols,
                             (const float *)a->shift->data + group * j->cols, a->eps);
        r += count;
    }
    return ST_OK;
}

status cpu_layernorm(struct kern_ctx *ctx, const struct kern_layernorm *a)
{
    TRY(kern_check_layernorm(a));
    return run_rows(ctx, a, a->x->dim[0], a->x->dim[1], layernorm_rows);
}

static status rmsnorm_rows(void *arg, int64_t task, int worker)
{
    const struct rows_call *const j = arg;
    const struct kern_rmsnorm *const a = j->a;
    struct vec_rows const rows =
        rows_span(a->x, a->out, j->cols, task * j->per_task, rows_of_task(j, task));

    (void)worker;
    j->c->vec->rmsnorm(&rows, a->weight->data, a->eps);
    return ST_OK;
}

status cpu_rmsnorm(struct kern_ctx *ctx, const struct kern_rmsnorm *a)
{
    TRY(kern_check_rmsnorm(a));
    return run_rows(ctx, a, a->x->dim[0], a->x->dim[1], rmsnorm_rows);
}

static status channel_norm_rows(void *arg, int64_t task, int worker)
{
    const struct rows_call *const j = arg;
    const struct kern_channel_norm *const a = j->a;
    struct vec_rows const rows =
        rows_span(a->x, a->out, j->cols, task * j->per_task, rows_of_task(j, task));

    (void)worker;
    j->c->vec->channel_norm(&rows, a->gamma->data, a->act);
    return ST_OK;
}

status cpu_channel_norm(struct kern_ctx *ctx, const struct kern_channel_norm *a)
{
    TRY(kern_check_channel_norm(a));
    int64_t const cols = a->x->dim[a->x->ndim - 1];
    return run_rows(ctx, a, cols ? tensor_count(a->x) / cols : 0, cols, channel_norm_rows);
}

/* Angles [count, 2] of one row of a table, each twice, the sine negated at even places. */
static int64_t spread_angles(const struct tensor *angles, int64_t row, float *cos, float *sin)
{
    int64_t const count = kern_rope_pairs(angles);
    const float *const cs = (const float *)angles->data + row * count * 2;

    for (int64_t i = 0; i < count; i++) {
        cos[2 * i] = cos[2 * i + 1] = cs[2 * i];
        sin[2 * i] = -cs[2 * i + 1];
        sin[2 * i + 1] = cs[2 * i + 1];
    }
    return 2 * count;
}

/* Where heads have angles of their own, a head of a token is a row, and a row has one head. */
static status rope_rows(void *arg, int64_t task, int worker)
{
    const struct rows_call *const j = arg;
    const struct kern_rope *const a = j->a;
    int64_t const h = a->row->dim[0], w = a->col->dim[0];
    int64_t const apart = kern_rope_heads(a->time), heads = a->heads / apart;
    float *const cos = j->c->scratch[worker], *const sin = cos + j->cols / heads;

    for (int64_t i = 0; i < rows_of_task(j, task); i++) {
        int64_t const at = task * j->per_task + i, r = at / apart;
        struct vec_rows const row = rows_span(a->x, a->out, j->cols, at, 1);
        int64_t n = spread_angles(a->time, r / (h * w) * apart + at % apart, cos, sin);
        n += spread_angles(a->row, r / w % h, cos + n, sin + n);
        spread_angles(a->col, r % w, cos + n, sin + n);
        j->c->vec->rope(&row, heads, cos, sin);
    }
    return ST_OK;
}

status cpu_rope(struct kern_ctx *ctx, const struct kern_rope *a)
{
    TRY(kern_check_rope(a));
    int64_t const cols = a->x->dim[1], apart = kern_rope_heads(a->time);
    TRY(cpu_scratch((struct cpu_ctx *)ctx, 2 * (size_t)(cols / a->heads) * sizeof(float)));
    return run_rows(ctx, a, a->x->dim[0] * apart, cols / apart, rope_rows);
}

static status mul_numbers(void *arg, int64_t task, int worker)
{
    const struct rows_call *const j = arg;
    const struct kern_mul *const a = j->a;
    int64_t const first = task * j->per_task;

    (void)worker;
    j->c->vec->mul(element_at(a->out, first), element_at(a->a, first), element_at(a->b, first),
                   a->out->dtype, rows_of_task(j, task));
    return ST_OK;
}

status cpu_mul(struct kern_ctx *ctx, const struct kern_mul *a)
{
    TRY(kern_check_mul(a));
    return run_rows(ctx, a, tensor_count(a->out), 1, mul_numbers);
}

static status axpby_numbers(void *arg, int64_t task, int worker)
{
    const struct rows_call *const j = arg;
    const struct kern_axpby *const a = j->a;
    int64_t const first = task * j->per_task;
    double const ab[2] = { a->a, a->b };

    (void)worker;
    j->c->vec->axpby((float *)a->out->data + first, (const float *)a->x->data + first,
                     (const float *)a->y->data + first, ab, rows_of_task(j, task));
    return ST_OK;
}

status cpu_axpby(struct kern_ctx *ctx, const struct kern_axpby *a)
{
    TRY(kern_check_axpby(a));
    return run_rows(ctx, a, tensor_count(a->out), 1, axpby_numbers);
}

/* Numbers `first` on of an act tensor, `count` of them, in F32: where they are, or in `to`. */
static const float *wide_numbers(const struct tensor *x, int64_t first, int64_t count, float *to)
{
    const uint16_t *const from = (const uint16_t *)x->data + first;

    if (x->dtype == DT_F32) return (const float *)x->data + first;
    for (int64_t i = 0; i < count; i++) to[i] = f32_from_bf16(from[i]);
    return to;
}

static double score_row(const struct kern_score_keys *a, const float *k, int64_t cols)
{
    const float *const w = a->w->data, *const amplitude = a->amplitude ? a->amplitude->data : NULL;
    double sum = 0;

    for (int64_t c = 0; c < cols; c++) sum += (double)k[c] * (double)w[c];
    for (int64_t p = 0; amplitude && p < cols / 2; p++)
        sum += (double)amplitude[p] * sqrt((double)k[2 * p] * (double)k[2 * p] +
                                           (double)k[2 * p + 1] * (double)k[2 * p + 1]);
    return sum;
}

static status score_key_rows(void *arg, int64_t task, int worker)
{
    const struct rows_call *const j = arg;
    const struct kern_score_keys *const a = j->a;
    float *const room = j->c->scratch[worker];

    for (int64_t i = 0; i < rows_of_task(j, task); i++) {
        int64_t const r = task * j->per_task + i;
        const float *const k = wide_numbers(a->k, r * j->cols, j->cols, room);
        ((float *)a->out->data)[r] = (float)(a->scale * score_row(a, k, j->cols));
    }
    return ST_OK;
}

status cpu_score_keys(struct kern_ctx *ctx, const struct kern_score_keys *a)
{
    TRY(kern_check_score_keys(a));
    int64_t const cols = a->k->dim[1];
    if (!cols) return ref_zero(ctx, &(struct kern_zero){ .out = a->out });
    TRY(cpu_scratch((struct cpu_ctx *)ctx, (size_t)cols * sizeof(float)));
    return run_rows(ctx, a, a->k->dim[0], cols, score_key_rows);
}

/* A task has some columns of all rows, so that a sum's order is that of the rows. */
enum { SUM_COLUMNS = 64 };

static status sum_columns(void *arg, int64_t task, int worker)
{
    const struct kern_sum_rows *const a = ((const struct rows_call *)arg)->a;
    int64_t const rows = a->x->dim[0], cols = a->x->dim[1], first = task * SUM_COLUMNS;
    int64_t const count = cols - first < SUM_COLUMNS ? cols - first : SUM_COLUMNS;
    double sum[SUM_COLUMNS] = { 0 };
    float room[SUM_COLUMNS];

    (void)worker;
    for (int64_t r = 0; r < rows; r++) {
        const float *const x = wide_numbers(a->x, r * cols + first, count, room);
        for (int64_t c = 0; c < count; c++) sum[c] += (double)x[c];
    }
    for (int64_t c = 0; c < count; c++) ((float *)a->out->data)[first + c] = (float)sum[c];
    return ST_OK;
}

status cpu_sum_rows(struct kern_ctx *ctx, const struct kern_sum_rows *a)
{
    struct cpu_ctx *const c = (struct cpu_ctx *)ctx;
    struct rows_call j = { .c = c, .a = a };

    TRY(kern_check_sum_rows(a));
    return pool_run(c->pool, tasks_of(a->x->dim[1], SUM_COLUMNS), sum_columns, &j);
}

/* What side a of one head weighs, of 1. */
static double weight_of_side(double a_lse, double b_lse)
{
    double const max = a_lse > b_lse ? a_lse : b_lse;
    double const wa = exp(a_lse - max), wb = exp(b_lse - max);
    return wa / (wa + wb);
}

static status merge_rows(void *arg, int64_t task, int worker)
{
    const struct rows_call *const j = arg;
    const struct kern_merge *const a = j->a;
    const float *const x_lse = a->a_lse->data, *const y_lse = a->b_lse->data;
    int64_t const heads = a->a_lse->dim[1], head_dim = j->cols / heads;
    int64_t const first = task * j->per_task * heads;

    (void)worker;
    for (int64_t i = first; i < first + rows_of_task(j, task) * heads; i++) {
        float const share = (float)weight_of_side((double)x_lse[i], (double)y_lse[i]);
        float const other = (float)weight_of_side((double)y_lse[i], (double)x_lse[i]);
        /* A side without weight is not read: it may hold no numbers. */
        j->c->vec->blend(&(struct vec_blend){
            .a = element_at(share != 0 ? a->a : a->b, i * head_dim),
            .b = element_at(other != 0 ? a->b : a->a, i * head_dim),
            .dtype = a->a->dtype,
            .out = element_at(a->out, i * head_dim),
            .out_dtype = a->out->dtype,
            .a_share = share,
            .b_share = other,
            .count = head_dim,
        });
    }
    return ST_OK;
}

status cpu_merge(struct kern_ctx *ctx, const struct kern_merge *a)
{
    TRY(kern_check_merge(a));
    return run_rows(ctx, a, a->a->dim[0], a->a->dim[1], merge_rows);
}

static float number_at(const void *row, enum dtype dtype, int64_t c)
{
    return dtype == DT_F32 ? ((const float *)row)[c] : f32_from_bf16(((const uint16_t *)row)[c]);
}

static status quantize_rows(void *arg, int64_t task, int worker)
{
    const struct rows_call *const j = arg;
    const struct kern_quantize_e4m3 *const a = j->a;
    enum dtype const dtype = a->x->dtype;
    int64_t const first = task * j->per_task;

    (void)worker;
    for (int64_t r = first; r < first + rows_of_task(j, task); r++) {
        const void *const x = element_at(a->x, r * j->cols);
        unsigned char *const out = element_at(a->out, r * j->cols);
        float most = 0;
        for (int64_t c = 0; c < j->cols; c++) {
            float const size = fabsf(number_at(x, dtype, c));
            most = size > most ? size : most;
        }
        float const scale = e4m3_scale(most);
        ((float *)a->scale->data)[r] = scale;
        for (int64_t c = 0; c < j->cols; c++)
            out[c] = e4m3_from_f32(number_at(x, dtype, c) / scale);
    }
    return ST_OK;
}

/* Rows without columns have a scale too. */
static status scale_empty_rows(const struct kern_quantize_e4m3 *a)
{
    for (int64_t r = 0; r < a->x->dim[0]; r++) ((float *)a->scale->data)[r] = e4m3_scale(0);
    return ST_OK;
}

status cpu_quantize_e4m3(struct kern_ctx *ctx, const struct kern_quantize_e4m3 *a)
{
    TRY(kern_check_quantize_e4m3(a));
    if (!a->x->dim[1]) return scale_empty_rows(a);
    return run_rows(ctx, a, a->x->dim[0], a->x->dim[1], quantize_rows);
}

static status dequantize_rows(void *arg, int64_t task, int worker)
{
    const struct rows_call *const j = arg;
    const struct kern_dequantize_e4m3 *const a = j->a;
    int64_t const first = task * j->per_task;

    (void)worker;
    for (int64_t r = first; r < first + rows_of_task(j, task); r++) {
        const unsigned char *const x = element_at(a->x, r * j->cols);
        float const scale = ((const float *)a->scale->data)[r];
        for (int64_t c = 0; c < j->cols; c++)
            tensor_put(a->out, r * j->cols + c, f32_from_e4m3(x[c]) * scale);
    }
    return ST_OK;
}

status cpu_dequantize_e4m3(struct kern_ctx *ctx, const struct kern_dequantize_e4m3 *a)
{
    TRY(kern_check_dequantize_e4m3(a));
    return run_rows(ctx, a, a->x->dim[0], a->x->dim[1], dequantize_rows);
}
