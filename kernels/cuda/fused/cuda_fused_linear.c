/* cuda_fused_linear.c - level 2's linear, linear_norm and qkv. */
#include "kernels/cuda/cuda_ctx.h"
#include "kernels/cuda/fused/cuda_fused.h"
#include "kernels/cuda/fused/cuda_fused_kernels.h"
#include "kernels/cuda/library/cuda_lt.h"
#include "kernels/cuda/plain/cuda_plain.h"
#include "kernels/kern_internal.h"

/* How the numbers get from the sums to out. */
enum ending {
    BY_EPILOGUE, /* bias and, where out is BF16, GELU in the product: how exact its tanh is
                    cuBLASLt does not say */
    BY_ADDING,   /* bias and residual in the product */
    BY_KERNEL,   /* sums to scratch in F32, the rest by cuda_fused_finish */
};

static enum ending ending_of(const struct kern_linear *a)
{
    bool const gelu = a->act == KERN_ACT_GELU_TANH, narrows = a->out->dtype == DT_BF16;

    if (!a->residual && (a->act == KERN_ACT_NONE || (gelu && narrows))) return BY_EPILOGUE;
    if (a->residual && !a->gate && a->act == KERN_ACT_NONE && a->out->dtype == DT_F32)
        return BY_ADDING;
    return BY_KERNEL;
}

/* Rows of whole chunks, all aligned. */
static bool linear_suits(const struct kern_linear *a)
{
    int64_t const k = a->x->dim[1], n = a->out->dim[1];
    return a->x->dim[0] > 0 && n % CUDA_FUSED_CHUNK == 0 &&
           cuda_lt_suits(n, k, a->x->dtype, a->out->dtype) && cuda_fused_aligned(a->x) &&
           cuda_fused_aligned(&a->w->t) && cuda_fused_aligned(a->out) &&
           cuda_fused_aligned(a->bias) && cuda_fused_aligned(a->residual) &&
           cuda_fused_aligned(a->gate);
}

static size_t sums_scratch(const struct kern_linear *a)
{
    return (size_t)tensor_count(a->out) * dtype_size(DT_F32);
}

size_t cuda_fused_linear_scratch(const struct kern_linear *a)
{
    if (!linear_suits(a)) return 0;
    switch (ending_of(a)) {
    case BY_EPILOGUE: /* the bias */
        return a->out->dtype == DT_BF16 ? (size_t)a->out->dim[1] * dtype_size(DT_BF16) : 0;
    case BY_ADDING: return tensor_bytes(a->out); /* for trials */
    default: return sums_scratch(a);
    }
}

/* With its scratch, which it is placed in. cuBLASLt takes a bias of out's dtype alone. */
static status place_product(struct cuda_ctx *c, const struct kern_linear *a,
                            struct cuda_lt_product *p)
{
    TRY(cuda_scratch(c, cuda_fused_linear_scratch(a)));
    *p = (struct cuda_lt_product){
        .rows = a->x->dim[0],
        .n = a->out->dim[1],
        .k = a->x->dim[1],
        .out_step = a->out->dim[1],
        .in = a->x->dtype,
        .out = a->out->dtype,
        .x = a->x->data,
        .w = a->w->t.data,
        .bias = a->bias ? a->bias->data : NULL,
        .to = a->out->data,
        .trial = a->out->data,
    };
    switch (ending_of(a)) {
    case BY_EPILOGUE:
        p->gelu = a->act == KERN_ACT_GELU_TANH;
        if (p->bias && p->out == DT_BF16) p->bias = c->scratch;
        break;
    case BY_ADDING:
        p->add = a->residual->data;
        p->trial = c->scratch;
        break;
    default:
        p->out = DT_F32;
        p->bias = NULL;
        p->to = p->trial = c->scratch;
    }
    return ST_OK;
}

status cuda_fused_linear_prepare(struct cuda_ctx *c, const struct kern_linear *a)
{
    struct cuda_lt_product p;

    if (!linear_suits(a)) return ST_OK;
    TRY(place_product(c, a, &p));
    return cuda_lt_prepare(c->lt, &p);
}

static int64_t rows_per_gate(const struct kern_linear *a)
{
    return a->gate ? a->x->dim[0] / a->gate->dim[0] : 1;
}

const float *cuda_fused_floats(const struct tensor *t) { return t ? t->data : NULL; }

static status finish_sums(const struct cuda_ctx *c, const struct kern_linear *a)
{
    return cuda_fused_launch_finish(
        &(struct cuda_fused_finish){ .y = c->scratch,
                                     .bias = cuda_fused_floats(a->bias),
                                     .gate = cuda_fused_floats(a->gate),
                                     .residual = cuda_fused_floats(a->residual),
                                     .out = a->out->data,
                                     .rows = a->x->dim[0],
                                     .cols = a->out->dim[1],
                                     .gate_rows = rows_per_gate(a),
                                     .act = (int)a->act,
                                     .out_bf16 = a->out->dtype == DT_BF16 },
        c->stream);
}

status cuda_fused_linear(struct kern_ctx *ctx, const struct kern_linear *a)
{
    struct cuda_lt_product p;
    struct cuda_ctx *c;

    TRY(kern_check_linear(a));
    if (!linear_suits(a)) return cuda_plain_linear(ctx, a);
    TRY(cuda_enter(ctx, &c));
    TRY(place_product(c, a, &p));
    if (p.bias && p.bias == c->scratch) {
        struct cuda_fused_convert const bias = { a->bias->data, c->scratch, p.n };
        TRY(cuda_fused_launch_convert(&bias, true, c->stream));
    }
    TRY(cuda_lt_run(c->lt, &p));
    return ending_of(a) == BY_KERNEL ? finish_sums(c, a) : ST_OK;
}

/* With a gate the residual stream and its norm are one kernel over the sums; without, the
 * product adds. */
static bool linear_norm_suits(const struct kern_linear_norm *a)
{
    const struct kern_linear *const l = &a->linear;
    return linear_suits(l) && l->gate && l->act == KERN_ACT_NONE &&
           cuda_fused_suits(l->out->dim[1]) && cuda_fused_aligned(a->norm) &&
           cuda_fused_aligned(a->scale) && cuda_fused_aligned(a->shift);
}

size_t cuda_fused_linear_norm_scratch(const struct kern_linear_norm *a)
{
    return cuda_fused_linear_scratch(&a->linear);
}

status cuda_fused_linear_norm_prepare(struct cuda_ctx *c, const struct kern_linear_norm *a)
{
    return cuda_fused_linear_prepare(c, &a->linear);
}

status cuda_fused_linear_norm(struct kern_ctx *ctx, const struct kern_linear_norm *a)
{
    const struct kern_linear *const l = &a->linear;
    struct cuda_lt_product p;
    struct cuda_ctx *c;

    TRY(kern_check_linear_norm(a));
    if (!linear_norm_suits(a)) return kern_compose_linear_norm(ctx, a);
    TRY(cuda_enter(ctx, &c));
    TRY(place_product(c, l, &p));
    TRY(cuda_lt_run(c->lt, &p));
    int64_t const rows = l->out->dim[0];
    return cuda_fused_launch_stream_norm(
        &(struct cuda_fused_stream){
            .y = c->scratch,
            .bias = cuda_fused_floats(l->bias),
            .gate = cuda_fused_floats(l->gate),
            .residual = cuda_fused_floats(l->residual),
            .stream = l->out->data,
            .gate_rows = rows_per_gate(l),
            .norm = { .scale = a->scale->data,
                      .shift = a->shift->data,
                      .out = a->norm->data,
                      .rows = rows,
                      .cols = l->out->dim[1],
                      .per_group = rows / a->scale->dim[0],
                      .eps = a->eps },
        },
        a->norm->dtype == DT_BF16, c->stream);
}

/* ---- qkv ---------------------------------------------------------------------- */

int cuda_fused_parts(const struct kern_qkv *a, const struct kern_projection **of)
{
    int n = 0;

    if (a->q.out) of[n++] = &a->q;
    of[n++] = &a->k;
    of[n++] = &a->v;
    return n;
}

static struct kern_linear projection_linear(const struct kern_qkv *a,
                                            const struct kern_projection *p)
{
    return (struct kern_linear){ .x = a->x, .w = p->w, .bias = p->bias, .out = p->out };
}

static bool projection_suits(const struct kern_qkv *a, const struct kern_projection *p)
{
    struct kern_linear const l = projection_linear(a, p);
    return linear_suits(&l) && cuda_fused_aligned(p->norm);
}

static bool qkv_suits(const struct kern_qkv *a)
{
    const struct kern_projection *of[CUDA_FUSED_PARTS];
    int const parts = cuda_fused_parts(a, of);

    for (int i = 0; i < parts; i++)
        if (!projection_suits(a, of[i])) return false;
    return cuda_fused_suits(a->k.out->dim[1]);
}

size_t cuda_fused_qkv_scratch(const struct kern_qkv *a)
{
    const struct kern_projection *of[CUDA_FUSED_PARTS];
    int const parts = cuda_fused_parts(a, of);
    size_t most = 0;

    if (qkv_suits(a)) return (size_t)parts * tensor_bytes(a->k.out);
    for (int i = 0; i < parts; i++) {
        struct kern_linear const l = projection_linear(a, of[i]);
        size_t const bytes = cuda_fused_linear_scratch(&l);
        if (bytes > most) most = bytes;
    }
    return most;
}

/* Weights right behind one another are one weight. */
static bool one_weight(const struct kern_projection *const of[], int parts)
{
    for (int i = 1; i < parts; i++)
        if (!tensor_follows(&of[i - 1]->w->t, &of[i]->w->t)) return false;
    return true;
}

/* All sums to scratch, [rows, parts * dim] act; how many products. */
static int qkv_products(const struct cuda_ctx *c, const struct kern_qkv *a,
                        struct cuda_lt_product out[CUDA_FUSED_PARTS])
{
    const struct kern_projection *of[CUDA_FUSED_PARTS];
    int const parts = cuda_fused_parts(a, of);
    int64_t const dim = a->k.out->dim[1];
    size_t const part_bytes = (size_t)dim * dtype_size(a->x->dtype);
    bool const one = one_weight(of, parts);

    for (int i = 0; i < (one ? 1 : parts); i++) {
        unsigned char *const to = (unsigned char *)c->scratch + (size_t)i * part_bytes;
        out[i] = (struct cuda_lt_product){
            .rows = a->x->dim[0],
            .n = one ? parts * dim : dim,
            .k = a->x->dim[1],
            .out_step = parts * dim,
            .in = a->x->dtype,
            .out = a->x->dtype,
            .x = a->x->data,
            .w = of[i]->w->t.data,
            .to = to,
            .trial = to,
        };
    }
    return one ? 1 : parts;
}

status cuda_fused_qkv_prepare(struct cuda_ctx *c, const struct kern_qkv *a)
{
    const struct kern_projection *of[CUDA_FUSED_PARTS];
    struct cuda_lt_product p[CUDA_FUSED_PARTS];
    int const parts = cuda_fused_parts(a, of);

    TRY(cuda_scratch(c, cuda_fused_qkv_scratch(a)));
    if (qkv_suits(a)) {
        int const products = qkv_products(c, a, p);
        for (int i = 0; i < products; i++) TRY(cuda_lt_prepare(c->lt, &p[i]));
        return ST_OK;
    }
    for (int i = 0; i < parts; i++) {
        struct kern_linear const l = projection_linear(a, of[i]);
        TRY(cuda_fused_linear_prepare(c, &l));
    }
    return ST_OK;
}

status cuda_fused_split(const struct cuda_ctx *c, const struct kern_qkv *a, const void *y)
{
    const struct kern_projection *of[CUDA_FUSED_PARTS];
    int const parts = cuda_fused_parts(a, of);
    struct cuda_fused_split s = {
        .y = y,
        .rows = a->x->dim[0],
        .cols = a->k.out->dim[1],
        .parts = parts,
        .eps = a->eps,
    };

    if (a->q.out) s.at = cuda_fused_angles(a->time, a->row, a->col);
    for (int i = 0; i < parts; i++)
        s.part[i] = (struct cuda_fused_part){ .bias = cuda_fused_floats(of[i]->bias),
                                              .norm = cuda_fused_floats(of[i]->norm),
                                              .out = of[i]->out->data,
                                              .rope = of[i] == &a->q };
    return cuda_fused_launch_split(&s, a->x->dtype == DT_BF16, c->stream);
}

status cuda_fused_qkv(struct kern_ctx *ctx, const struct kern_qkv *a)
{
    struct cuda_lt_product p[CUDA_FUSED_PARTS];
    struct cuda_ctx *c;

    TRY(kern_check_qkv(a));
    if (!qkv_suits(a)) return kern_compose_qkv(ctx, a);
    TRY(cuda_enter(ctx, &c));
    TRY(cuda_scratch(c, cuda_fused_qkv_scratch(a)));
    int const products = qkv_products(c, a, p);
    for (int i = 0; i < products; i++) TRY(cuda_lt_run(c->lt, &p[i]));
    return cuda_fused_split(c, a, c->scratch);
}
