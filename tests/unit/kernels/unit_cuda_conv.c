/* unit_cuda_conv.c - a convolution as cuDNN's graphs: folded weights, phases, borders, layouts.
 * The graphs are run by the stand-in's naive operations on numbers that are exact, so that
 * every border and every phase must be the oracle's to the bit. */
#include "tests/support/unit.h"

#include "kernels/cuda/fused/cuda_fused_conv_plan.h"
#include "kernels/cuda/fused/cuda_fused_kernels.h"
#include "kernels/ref/kern_ref.h"
#include "tests/standin/standin_dnn.h"
#include "tests/support/rng.h"

#include <math.h>

enum { CIN = 8, PHASE = 4 * CIN };

/* ---- weights ------------------------------------------------------------- */

static struct kern_weight weight_of(enum kern_use use, int64_t cout, int64_t kt, int64_t side)
{
    struct kern_weight w = { .use = use };

    ok(tensor_make(&w.t, DT_BF16, DIMS(cout, CIN, kt, side, side)));
    return w;
}

static void taps_are_added_by_phase(void **state)
{
    /* Taps 1 2 4, 8 16 32, 64 128 256: a sum says which ones it is of. Up to 8 bits
     * next to one another, bf16 holds them. */
    static const float want[4][4] = {
        { 1, 2 + 4, 8 + 64, 16 + 32 + 128 + 256 },
        { 1 + 2, 4, 8 + 16 + 64 + 128, 32 + 256 },
        { 1 + 8, 2 + 4 + 16 + 32, 64, 128 + 256 },
        { 1 + 2 + 8 + 16, 4 + 32, 64 + 128, 256 },
    };
    struct kern_weight const w = weight_of(KERN_CONV_DOUBLED, 1, 1, 3);
    float src[9 * CIN] = { 0 };
    uint16_t packed[4 * 8 * PHASE]; /* 4 phases, 8 channels of which one is there */

    (void)state;
    for (int i = 0; i < 9; i++) src[9 * (CIN - 1) + i] = (float)(1 << i);
    assert_int_equal(cuda_conv_packed_bytes(&w), sizeof packed);
    memset(packed, 0xff, sizeof packed);
    cuda_conv_pack(packed, &w, src);
    for (int i = 0; i < COUNT_OF(packed); i++) {
        int const phase = i / (8 * PHASE), channel = i / PHASE % 8, c = i % CIN;
        float const sum = want[phase][i / CIN % 4];
        bool const there = channel == 0 && c == CIN - 1;
        assert_true(f32_from_bf16(packed[i]) == (there ? f32_from_bf16(bf16_from_f32(sum)) : 0));
    }
}

static void other_weights_stand_as_cudnn_reads_them(void **state)
{
    enum { COUT = 3, TAPS = 12 };
    struct kern_weight w = { .use = KERN_CONV };
    float src[COUT * CIN * TAPS];
    uint16_t packed[8 * TAPS * CIN];

    (void)state;
    ok(tensor_make(&w.t, DT_BF16, DIMS(COUT, CIN, 3, 2, 2)));
    for (int i = 0; i < COUNT_OF(src); i++) src[i] = (float)(i % 251);
    assert_int_equal(cuda_conv_packed_bytes(&w), sizeof packed);
    cuda_conv_pack(packed, &w, src);
    for (int i = 0; i < COUNT_OF(packed); i++) {
        int const c = i % CIN, tap = i / CIN % TAPS, o = i / CIN / TAPS;
        float const want = o < COUT ? src[(o * CIN + c) * TAPS + tap] : 0;
        assert_true(f32_from_bf16(packed[i]) == want);
    }
}

static void which_weights_are_packed(void **state)
{
    struct kern_weight w = weight_of(KERN_CONV, 3, 3, 3);

    (void)state;
    assert_true(cuda_conv_packs(&w));
    w.t.dtype = DT_F32;
    assert_false(cuda_conv_packs(&w));
    w.t.dtype = DT_BF16;
    w.t.dim[1] = 12;
    assert_false(cuda_conv_packs(&w));
    w.t.dim[1] = 0;
    assert_false(cuda_conv_packs(&w));
    w.t.dim[1] = 16;
    w.use = KERN_LINEAR;
    assert_false(cuda_conv_packs(&w));
}

/* ---- whole convolutions --------------------------------------------------- */

struct shape {
    int64_t past, t, h, w, cout, kt, side;
    int stride_t, stride, pad_lo, pad_hi, upsample;
    enum kern_use use;
    bool bias, residual, f32;
    bool direct; /* what the plan is to say */
};

/* Small whole numbers, of which all sums and sums of taps are exact in bf16. */
static void fill(struct tensor *t, uint64_t *rng, int below)
{
    t->data = malloc(tensor_bytes(t) + 1);
    assert_non_null(t->data);
    for (int64_t i = 0; i < tensor_count(t); i++)
        tensor_put(t, i, (float)((int)rng_below(rng, (uint64_t)(2 * below + 1)) - below));
}

static struct tensor numbers(enum dtype dtype, int ndim, const int64_t *dim, uint64_t *rng)
{
    struct tensor t;

    ok(tensor_make(&t, dtype, ndim, dim));
    fill(&t, rng, 1);
    return t;
}

static struct standin_tensor standing(const struct cuda_dnn_tensor *t, void *at)
{
    struct standin_tensor n = { .at = at,
                                .type = t->dtype == DT_BF16 ? STANDIN_BF16 : STANDIN_F32 };

    n.ndim = t->ndim;
    memcpy(n.dim, t->dim, sizeof t->dim);
    memcpy(n.stride, t->stride, sizeof t->stride);
    return n;
}

/* Run a graph: `at` by tensor number, NULL for virtual ones, which get memory here. */
static void run_graph(const struct cuda_dnn_graph *g, void *const at[])
{
    struct standin_tensor n[CUDA_DNN_TENSORS + 1];
    void *own[CUDA_DNN_TENSORS + 1] = { 0 };

    for (int i = 1; i <= g->tensors; i++) {
        const struct cuda_dnn_tensor *const t = &g->tensor[i - 1];
        assert_int_equal(t->place == CUDA_DNN_VIRTUAL, !at[i]);
        if (!at[i]) own[i] = calloc((size_t)t->stride[0], sizeof(float));
        n[i] = standing(t, at[i] ? at[i] : own[i]);
    }
    for (int i = 0; i < g->ops; i++) {
        const struct cuda_dnn_op *const op = &g->op[i];
        const int *const o = op->operand;
        struct standin_conv conv = { n[o[0]], n[o[1]], n[o[2]], { 0 }, { 0 }, { 0 } };
        memcpy(conv.pad_lo, op->pad_lo, sizeof conv.pad_lo);
        memcpy(conv.pad_hi, op->pad_hi, sizeof conv.pad_hi);
        memcpy(conv.stride, op->stride, sizeof conv.stride);
        if (op->kind == CUDA_DNN_CONV) standin_conv(&conv);
        else standin_each(STANDIN_ADD, &n[o[0]], &n[o[1]], &n[o[2]]);
    }
    for (int i = 1; i <= g->tensors; i++) free(own[i]);
}

static void *behind(void *at, size_t bytes) { return (unsigned char *)at + bytes; }

/* As cuda_fused_conv.c does, on the host; x: [past | x], doubled if the plan wants it. */
static void run_plan(const struct kern_conv3d *a, const struct cuda_conv_plan *p, void *x)
{
    uint16_t *const packed = malloc(cuda_conv_packed_bytes(a->w)), bias[64] = { 0 };
    float *const source = a->w->t.data, *const sums = malloc(p->sums + 1);
    void *const y = p->direct ? a->out->data : sums;
    int64_t const cout = a->out->dim[3];

    cuda_conv_pack(packed, a->w, source);
    for (int64_t i = 0; a->bias && i < cout; i++) bias[i] = bf16_from_f32(tensor_get(a->bias, i));
    for (int i = 0; i < p->graphs; i++) {
        const struct cuda_conv_graph *const g = &p->graph[i];
        void *at[CUDA_DNN_TENSORS + 1] = { 0 };
        at[p->x] = x;
        at[p->w] = behind(packed, g->w);
        at[p->y] = behind(y, g->y);
        if (p->bias) at[p->bias] = bias;
        if (p->residual) at[p->residual] = behind(a->residual->data, g->y);
        run_graph(&g->g, at);
    }
    for (int64_t i = 0; !p->direct && i < tensor_count(a->out); i++) {
        float v = sums[i / cout * p->wide + i % cout];
        if (a->bias) v += tensor_get(a->bias, i % cout);
        if (a->residual) v += tensor_get(a->residual, i);
        tensor_put(a->out, i, v);
    }
    free(packed);
    free(sums);
}

/* [past | x], each pixel four times if so. */
static void *joined(const struct kern_conv3d *a, bool doubles)
{
    int64_t const past = a->past ? a->past->dim[0] : 0, h = a->x->dim[1], w = a->x->dim[2];
    int64_t const up = doubles ? 2 : 1, pixels = (past + a->x->dim[0]) * up * h * up * w;
    struct tensor all;

    ok(tensor_make(&all, DT_BF16, DIMS(pixels, CIN)));
    all.data = malloc(tensor_bytes(&all));
    for (int64_t i = 0; i < pixels; i++) {
        int64_t const f = i / (up * up * h * w), v = i / (up * w) % (up * h) / up,
                      u = i % (up * w) / up;
        const struct tensor *const from = f < past ? a->past : a->x;
        int64_t const at = (((f < past ? f : f - past) * h + v) * w + u) * CIN;
        for (int c = 0; c < CIN; c++) tensor_put(&all, i * CIN + c, tensor_get(from, at + c));
    }
    return all.data;
}

static void same_as_the_oracle(const struct shape *s)
{
    uint64_t rng = 7;
    int64_t const up = s->upsample ? s->upsample : 1, stride = s->stride ? s->stride : 1;
    int64_t const stride_t = s->stride_t ? s->stride_t : 1, pad = s->pad_lo + s->pad_hi;
    int64_t const dim[4] = { (s->past + s->t - s->kt) / stride_t + 1,
                             (up * s->h + pad - s->side) / stride + 1,
                             (up * s->w + pad - s->side) / stride + 1, s->cout };
    enum dtype const to = s->f32 ? DT_F32 : DT_BF16;
    struct tensor const past = numbers(DT_BF16, DIMS(s->past, s->h, s->w, CIN), &rng);
    struct tensor const x = numbers(DT_BF16, DIMS(s->t, s->h, s->w, CIN), &rng);
    struct tensor const bias = numbers(DT_F32, DIMS(s->cout), &rng);
    struct tensor const residual = numbers(DT_BF16, 4, dim, &rng);
    struct tensor want = numbers(to, 4, dim, &rng), got = numbers(to, 4, dim, &rng);
    struct kern_weight w = weight_of(s->use, s->cout, s->kt, s->side), plain = w;
    struct kern_conv3d a = { .past = s->past ? &past : NULL,
                             .x = &x,
                             .w = &plain,
                             .out = &want,
                             .bias = s->bias ? &bias : NULL,
                             .residual = s->residual ? &residual : NULL,
                             .stride_t = s->stride_t,
                             .stride = s->stride,
                             .pad_lo = s->pad_lo,
                             .pad_hi = s->pad_hi,
                             .upsample = s->upsample };
    struct kern_ctx *ref = NULL;
    struct cuda_conv_plan plan;

    fill(&plain.t, &rng, 1);
    w.t.data = malloc((size_t)tensor_count(&w.t) * sizeof(float));
    ok(tensor_convert(w.t.data, DT_F32, plain.t.data, DT_BF16, tensor_count(&w.t)));
    ok(kern_ref_backend.open(&ref, &(struct kern_config){ .threads = 1 }));
    ok(kern_conv3d(ref, &a));
    kern_ref_backend.close(&ref);

    a.w = &w;
    a.out = &got;
    memset(got.data, 0xff, tensor_bytes(&got));
    cuda_conv_plan(&plan, &a);
    assert_int_equal(plan.direct, s->direct);
    void *const frames = joined(&a, plan.doubles);
    run_plan(&a, &plan, frames);
    assert_memory_equal(got.data, want.data, tensor_bytes(&want));
    void *const all[] = { past.data, x.data,   bias.data,    residual.data, want.data,
                          got.data,  w.t.data, plain.t.data, frames };
    for (int i = 0; i < COUNT_OF(all); i++) free(all[i]);
}

// clang-format off
static const struct shape shapes[] = {
    { .past = 2, .t = 2, .h = 3, .w = 4, .cout = 8, .kt = 3, .side = 3, .pad_lo = 1, .pad_hi = 1,
      .use = KERN_CONV, .bias = true, .direct = true },
    { .past = 2, .t = 1, .h = 3, .w = 4, .cout = 8, .kt = 3, .side = 3, .pad_lo = 1, .pad_hi = 1,
      .use = KERN_CONV, .bias = true, .residual = true, .direct = true },
    { .past = 2, .t = 1, .h = 2, .w = 5, .cout = 16, .kt = 3, .side = 1,
      .use = KERN_CONV, .residual = true, .direct = true },
    { .t = 2, .h = 4, .w = 6, .cout = 8, .kt = 1, .side = 3, .stride = 2, .pad_hi = 1,
      .use = KERN_CONV, .direct = true },
    { .past = 1, .t = 2, .h = 2, .w = 3, .cout = 8, .kt = 3, .side = 1, .stride_t = 2,
      .use = KERN_CONV, .bias = true, .direct = true },
    { .past = 2, .t = 2, .h = 3, .w = 4, .cout = 3, .kt = 3, .side = 3, .pad_lo = 1, .pad_hi = 1,
      .use = KERN_CONV, .bias = true, .f32 = true },
    { .past = 2, .t = 1, .h = 3, .w = 4, .cout = 8, .kt = 3, .side = 3, .pad_lo = 1, .pad_hi = 1,
      .use = KERN_CONV, .f32 = true },
    { .past = 2, .t = 1, .h = 3, .w = 3, .cout = 5, .kt = 3, .side = 3, .pad_lo = 1, .pad_hi = 1,
      .use = KERN_CONV, .bias = true, .residual = true },
    { .past = 1, .t = 1, .h = 2, .w = 3, .cout = 8, .kt = 1, .side = 3, .pad_lo = 1, .pad_hi = 1,
      .upsample = 2, .use = KERN_CONV, .bias = true, .direct = true },
    { .t = 2, .h = 3, .w = 4, .cout = 8, .kt = 1, .side = 3, .pad_lo = 1, .pad_hi = 1,
      .upsample = 2, .use = KERN_CONV_DOUBLED, .bias = true, .direct = true },
    { .t = 1, .h = 1, .w = 1, .cout = 8, .kt = 1, .side = 3, .pad_lo = 1, .pad_hi = 1,
      .upsample = 2, .use = KERN_CONV_DOUBLED, .direct = true },
    { .past = 1, .t = 1, .h = 2, .w = 3, .cout = 16, .kt = 1, .side = 3, .pad_lo = 1, .pad_hi = 1,
      .upsample = 2, .use = KERN_CONV_DOUBLED, .bias = true, .residual = true, .direct = true },
    { .t = 2, .h = 2, .w = 1, .cout = 3, .kt = 1, .side = 3, .pad_lo = 1, .pad_hi = 1,
      .upsample = 2, .use = KERN_CONV_DOUBLED, .bias = true, .f32 = true },
};
// clang-format on

static void graphs_give_the_oracles_bits(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT_OF(shapes); i++) same_as_the_oracle(&shapes[i]);
}

/* ---- rows of channels ------------------------------------------------------ */

static void rows_lie_in_warps(void **state)
{
    static const struct {
        enum dtype dtype;
        int64_t rows, cols;
        bool takes;
        int lanes, pieces;
        unsigned blocks;
    } table[] = {
        { DT_BF16, 64, 96, true, 4, 3, 1 },         { DT_BF16, 65, 96, true, 4, 3, 2 },
        { DT_BF16, 798720, 96, true, 4, 3, 12480 }, { DT_BF16, 33, 192, true, 8, 3, 2 },
        { DT_BF16, 16, 384, true, 16, 3, 1 },       { DT_F32, 16, 384, true, 32, 3, 2 },
        { DT_BF16, 1, 8, true, 1, 1, 1 },           { DT_BF16, 1, 1024, true, 32, 4, 1 },
        { DT_BF16, 1, 2048, false, 0, 0, 0 },       { DT_BF16, 1, 12, false, 0, 0, 0 },
        { DT_BF16, 1, 40, false, 0, 0, 0 },         { DT_F32, 1, 3, false, 0, 0, 0 },
    };
    static _Alignas(16) float memory[8];

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        struct tensor x, gamma;
        struct cuda_norm_plan p;
        ok(tensor_make(&x, table[i].dtype, DIMS(table[i].rows, table[i].cols)));
        ok(tensor_make(&gamma, DT_F32, DIMS(table[i].cols)));
        x.data = gamma.data = memory;
        struct kern_channel_norm const a = { .x = &x, .gamma = &gamma, .out = &x };
        assert_int_equal(cuda_norm_plan(&p, &a), table[i].takes);
        if (!table[i].takes) continue;
        assert_int_equal(p.lanes, table[i].lanes);
        assert_int_equal(p.pieces, table[i].pieces);
        assert_int_equal(p.blocks, table[i].blocks);
        assert_int_equal(p.threads, 256);
        gamma.data = memory + 1;
        assert_false(cuda_norm_plan(&p, &a));
    }
}

/* ---- pictures -------------------------------------------------------------- */

static void pictures_have_a_kernel_of_their_own(void **state)
{
    static const struct {
        int64_t past, t, h, w, cout;
        int pad_lo, upsample;
        bool residual, takes;
        unsigned tiles, frames;
    } table[] = {
        { 2, 2, 480, 832, 3, 1, 0, false, true, 780, 2 },
        { 2, 1, 17, 33, 1, 1, 1, false, true, 4, 1 },
        { 2, 1, 16, 32, 3, 1, 0, false, true, 1, 1 },
        { 2, 1, 16, 32, 4, 1, 0, false, false, 0, 0 },
        { 2, 1, 16, 32, 3, 0, 0, false, false, 0, 0 },
        { 2, 1, 16, 32, 3, 1, 2, false, false, 0, 0 },
        { 2, 1, 16, 32, 3, 1, 0, true, false, 0, 0 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        struct kern_weight const w = weight_of(KERN_CONV, table[i].cout, 3, 3);
        struct tensor x, past, out;
        struct cuda_few_plan p;
        ok(tensor_make(&x, DT_BF16, DIMS(table[i].t, table[i].h, table[i].w, CIN)));
        ok(tensor_make(&past, DT_BF16, DIMS(table[i].past, table[i].h, table[i].w, CIN)));
        ok(tensor_make(&out, DT_F32, DIMS(1, 1, 1, table[i].cout)));
        struct kern_conv3d const a = { .past = &past,
                                       .x = &x,
                                       .w = &w,
                                       .out = &out,
                                       .residual = table[i].residual ? &out : NULL,
                                       .pad_lo = table[i].pad_lo,
                                       .pad_hi = 1,
                                       .upsample = table[i].upsample };
        assert_int_equal(cuda_few_plan(&p, &a), table[i].takes);
        if (!table[i].takes) continue;
        assert_int_equal(p.tiles, table[i].tiles);
        assert_int_equal(p.frames, table[i].frames);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taps_are_added_by_phase),
        cmocka_unit_test(other_weights_stand_as_cudnn_reads_them),
        cmocka_unit_test(which_weights_are_packed),
        cmocka_unit_test(graphs_give_the_oracles_bits),
        cmocka_unit_test(rows_lie_in_warps),
        cmocka_unit_test(pictures_have_a_kernel_of_their_own),
    };
    return cmocka_run_group_tests_name("unit_cuda_conv", tests, NULL, NULL);
}
