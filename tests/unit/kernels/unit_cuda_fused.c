/* unit_cuda_fused.c - plans of levels 2 to 4: rows' threads, attention's graphs, FP8's layouts. */
#include "tests/support/unit.h"

#include "kernels/cuda/cuda_launch_plan.h"
#include "kernels/cuda/fp8/cuda_fp8_attention.h"
#include "kernels/cuda/fp8/cuda_fp8_kernels.h"

static void rows_have_threads(void **state)
{
    static const struct {
        int64_t cols;
        bool suits;
        unsigned threads;
        int chunks;
    } table[] = {
        { 8, true, 32, 1 },     { 256, true, 32, 1 },   { 264, true, 64, 1 },
        { 1536, true, 192, 1 }, { 2048, true, 256, 1 }, { 2056, true, 256, 2 },
        { 4096, true, 256, 2 }, { 5120, true, 256, 4 }, { 8192, true, 256, 4 },
        { 8200, false, 0, 0 },  { 1537, false, 0, 0 },  { 4, false, 0, 0 },
        { 0, false, 0, 0 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        int64_t const cols = table[i].cols;
        assert_int_equal(cuda_fused_suits(cols), table[i].suits);
        if (!table[i].suits) continue;
        assert_int_equal(cuda_fused_threads(cols), table[i].threads);
        assert_int_equal(cuda_fused_chunks(cols), table[i].chunks);
        /* Every chunk has its thread. */
        assert_true(cols / CUDA_FUSED_CHUNK <= (int64_t)table[i].threads * table[i].chunks);
    }
}

static void numbers_have_blocks(void **state)
{
    (void)state;
    assert_int_equal(cuda_fused_blocks(0), 0);
    assert_int_equal(cuda_fused_blocks(8), 1);
    assert_int_equal(cuda_fused_blocks(2048), 1);
    assert_int_equal(cuda_fused_blocks(2056), 2);
    assert_int_equal(cuda_fused_blocks((int64_t)28080 * 8960), 122850);
}

static void scratch_is_cut(void **state)
{
    size_t used = 0;

    (void)state;
    assert_int_equal(cuda_scratch_take(&used, 0), 0);
    assert_int_equal(cuda_scratch_take(&used, 1), 0);
    assert_int_equal(cuda_scratch_take(&used, 257), 256);
    assert_int_equal(used, 768);
}

static struct tensor rows(enum dtype type, int64_t n, int64_t dim, uintptr_t at)
{
    struct tensor t;

    assert_int_equal(tensor_make(&t, type, DIMS(n, dim)), ST_OK);
    t.data = (void *)at; /* never read */
    return t;
}

static void attention_is_told_apart(void **state)
{
    struct tensor q = rows(DT_BF16, 5, 256, 4096), bias = { 0 };
    struct kern_segment s[2] = {
        { rows(DT_BF16, 3, 256, 8192), rows(DT_BF16, 3, 256, 65536) },
        { rows(DT_BF16, 2, 256, 8192 + 3 * 512), rows(DT_BF16, 2, 256, 65536 + 3 * 512) },
    };
    struct kern_attention a = { .q = &q, .segments = s, .segment_count = 2, .out = &q, .heads = 2 };

    (void)state;
    assert_true(cuda_fused_attention_suits(&a));
    assert_true(cuda_fused_attention_whole(&a).k);
    assert_true(cuda_fused_attention_whole(&a).v);
    s[1].v.data = (unsigned char *)s[1].v.data + 16;
    assert_true(cuda_fused_attention_whole(&a).k);
    assert_false(cuda_fused_attention_whole(&a).v);
    a.heads = 4;
    assert_true(cuda_fused_attention_suits(&a)); /* of 64 */
    a.heads = 1;
    assert_false(cuda_fused_attention_suits(&a)); /* of 256 */
    a.heads = 2;
    a.bias = &bias;
    assert_false(cuda_fused_attention_suits(&a));
    a.bias = NULL;
    q.dtype = DT_F32;
    assert_false(cuda_fused_attention_suits(&a));
}

static void graphs_are_compared(void **state)
{
    struct cuda_attention_shape const shape = { 5, 7, 2, 128, true };
    struct cuda_attention_shape other = shape;
    struct cuda_dnn_graph a, b;

    (void)state;
    cuda_fused_attention_graph(&a, &shape);
    assert_int_equal(a.tensors, CUDA_DNN_LSE);
    assert_int_equal(a.ops, 1);
    assert_int_equal(a.tensor[CUDA_DNN_K - 1].dim[2], 7);
    assert_int_equal(a.tensor[CUDA_DNN_K - 1].stride[2], 256);
    assert_int_equal(a.tensor[CUDA_DNN_LSE - 1].stride[1], 1);
    assert_int_equal(a.tensor[CUDA_DNN_LSE - 1].stride[2], 2);
    cuda_fused_attention_graph(&b, &other);
    assert_true(cuda_dnn_same(&a, &b));
    other.nk = 8;
    cuda_fused_attention_graph(&b, &other);
    assert_false(cuda_dnn_same(&a, &b));
    other = shape;
    other.lse = false;
    cuda_fused_attention_graph(&b, &other);
    assert_false(cuda_dnn_same(&a, &b));
}

static void graphs_that_are_too_large(void **state)
{
    struct cuda_dnn_graph g = { 0 };

    (void)state;
    for (int i = 0; i < CUDA_DNN_TENSORS + 3; i++)
        assert_int_equal(cuda_dnn_tensor(&g, &(struct cuda_dnn_tensor){ .ndim = 1 }), i + 1);
    for (int i = 0; i < CUDA_DNN_OPS + 3; i++)
        cuda_dnn_apply(&g, CUDA_DNN_ADD, (struct cuda_dnn_term){ 1, 2, 3 });
    assert_int_equal(g.tensors, CUDA_DNN_TENSORS + 3);
    assert_int_equal(g.ops, CUDA_DNN_OPS + 3);
}

static void fp8_takes_low_precision_weights(void **state)
{
    static const struct {
        enum kern_use use;
        enum dtype dtype;
        int64_t n, k;
        bool packs;
        size_t scales, bytes;
    } table[] = {
        { KERN_LINEAR_LOW_PRECISION, DT_BF16, 1536, 1536, true, 2359296, 2365440 },
        { KERN_LINEAR_LOW_PRECISION, DT_BF16, 8960, 1536, true, 13762560, 13798400 },
        { KERN_LINEAR_LOW_PRECISION, DT_BF16, 1536, 8960, true, 13762560, 13768704 },
        { KERN_LINEAR_LOW_PRECISION, DT_BF16, 16, 48, true, 768, 1024 },
        { KERN_LINEAR_LOW_PRECISION, DT_BF16, 24, 48, false, 0, 0 },
        { KERN_LINEAR_LOW_PRECISION, DT_BF16, 48, 24, false, 0, 0 },
        { KERN_LINEAR_LOW_PRECISION, DT_BF16, 0, 16, false, 0, 0 },
        { KERN_LINEAR_LOW_PRECISION, DT_F32, 1536, 1536, false, 0, 0 },
        { KERN_LINEAR, DT_BF16, 1536, 1536, false, 0, 0 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        struct kern_weight w = { .use = table[i].use };
        assert_int_equal(tensor_make(&w.t, table[i].dtype, DIMS(table[i].n, table[i].k)), ST_OK);
        assert_int_equal(cuda_fp8_packs(&w), table[i].packs);
        if (!table[i].packs) continue;
        struct cuda_fp8_rows const r = cuda_fp8_rows(table[i].n, table[i].k);
        assert_int_equal(r.scales, table[i].scales);
        assert_int_equal(r.bytes, table[i].bytes);
    }
}

static void fp8_scratch_is_laid_out(void **state)
{
    static const struct {
        int64_t rows, k, sums;
        size_t scales, at, bytes;
    } table[] = {
        { 28080, 1536, 0, 43130880, 43243264, 43243264 },       /* to out itself */
        { 28080, 1536, 4608, 43130880, 43243264, 302028544 },   /* q, k, v */
        { 28080, 8960, 1536, 251596800, 251709184, 337970944 }, /* to the residual stream */
        { 1, 16, 16, 256, 512, 768 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        struct cuda_fp8_scratch const s =
            cuda_fp8_scratch(table[i].rows, table[i].k, table[i].sums);
        assert_int_equal(s.x.scales, table[i].scales);
        assert_int_equal(s.x.bytes, table[i].at);
        assert_int_equal(s.sums, table[i].at);
        assert_int_equal(s.bytes, table[i].bytes);
    }
}

/* A block to a row, of any length. */
static void fp8_rows_have_threads(void **state)
{
    (void)state;
    assert_int_equal(cuda_fused_threads(16), 32);
    assert_int_equal(cuda_fused_threads(1536), 192);
    assert_int_equal(cuda_fused_threads(8960), 256);
    assert_int_equal(cuda_fused_threads(13824), 256);
}

static void fp8_attention_is_told_apart(void **state)
{
    static const struct {
        enum dtype dtype;
        int64_t queries, dim;
        int heads;
        bool suits;
    } table[] = {
        { DT_BF16, 28080, 1536, 12, true }, /* of 128 */
        { DT_BF16, 2, 48, 1, true },        { DT_BF16, 1, 48, 1, false },
        { DT_BF16, 0, 48, 1, false },       { DT_BF16, 2, 48, 2, false }, /* of 24 */
        { DT_BF16, 9, 16, 1, true },        { DT_BF16, 6240, 384, 1, false },
        { DT_BF16, 9, 144, 1, false },      { DT_F32, 28080, 1536, 12, false },
        { DT_BF16, 9, 0, 1, false },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        struct tensor q = rows(table[i].dtype, table[i].queries, table[i].dim, 4096), bias = { 0 };
        struct kern_segment s = { rows(table[i].dtype, 3, table[i].dim, 8192),
                                  rows(table[i].dtype, 3, table[i].dim, 65536) };
        struct kern_attention a = {
            .q = &q, .segments = &s, .segment_count = 1, .out = &q, .heads = table[i].heads
        };
        assert_false(cuda_fp8_attention_suits(&a));
        a.low_precision = true;
        assert_int_equal(cuda_fp8_attention_suits(&a), table[i].suits);
        a.bias = &bias;
        assert_false(cuda_fp8_attention_suits(&a));
    }
}

static void fp8_attention_is_laid_out(void **state)
{
    struct tensor q = rows(DT_BF16, 28080, 1536, 4096);
    struct kern_segment s[2] = {
        { rows(DT_BF16, 9360, 1536, 8192), rows(DT_BF16, 9360, 1536, 8192) },
        { rows(DT_BF16, 23400, 1536, 8192), rows(DT_BF16, 23400, 1536, 8192) },
    };
    struct kern_attention const a = {
        .q = &q, .segments = s, .segment_count = 2, .out = &q, .heads = 12
    };
    struct cuda_fp8_layout const r = cuda_fp8_attention_layout(&a);

    (void)state;
    assert_int_equal(r.q, 0);
    assert_int_equal(r.k, 28080 * 1536);
    assert_int_equal(r.v, (28080 + 32760) * 1536);
    assert_int_equal(r.out, (28080 + 2 * 32760) * 1536);
    assert_int_equal(r.scales, 2 * (28080 + 32760) * 1536);
    assert_int_equal(r.bytes, r.scales + 256);
    assert_int_equal(cuda_fp8_blocks(16), 1);
    assert_int_equal(cuda_fp8_blocks((int64_t)512 * 1536), 384);
    assert_int_equal(cuda_fp8_blocks((int64_t)28080 * 1536), CUDA_FP8_BLOCKS);
}

static void fp8_attention_is_a_graph(void **state)
{
    struct cuda_attention_shape shape = { 5, 7, 2, 128, true };
    struct cuda_dnn_graph a, b;

    (void)state;
    cuda_fp8_attention_graph(&a, &shape);
    assert_true(a.tensors <= CUDA_DNN_TENSORS && a.ops <= CUDA_DNN_OPS);
    assert_int_equal(a.op[0].kind, CUDA_DNN_MATMUL);
    assert_int_equal(a.tensor[CUDA_FP8_K - 1].dim[3], 7); /* columns are keys */
    assert_int_equal(a.tensor[CUDA_FP8_K - 1].stride[3], 256);
    assert_int_equal(a.tensor[CUDA_FP8_LSE - 1].place, CUDA_DNN_DEVICE);
    assert_int_equal(a.tensor[CUDA_FP8_SCALE - 1].place, CUDA_DNN_HOST);
    shape.lse = false;
    cuda_fp8_attention_graph(&b, &shape);
    assert_int_equal(b.tensor[CUDA_FP8_LSE - 1].place, CUDA_DNN_VIRTUAL);
    assert_false(cuda_dnn_same(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_have_threads),
        cmocka_unit_test(numbers_have_blocks),
        cmocka_unit_test(scratch_is_cut),
        cmocka_unit_test(attention_is_told_apart),
        cmocka_unit_test(graphs_are_compared),
        cmocka_unit_test(graphs_that_are_too_large),
        cmocka_unit_test(fp8_takes_low_precision_weights),
        cmocka_unit_test(fp8_scratch_is_laid_out),
        cmocka_unit_test(fp8_rows_have_threads),
        cmocka_unit_test(fp8_attention_is_told_apart),
        cmocka_unit_test(fp8_attention_is_laid_out),
        cmocka_unit_test(fp8_attention_is_a_graph),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
