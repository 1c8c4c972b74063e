/* unit_cuda_plan.c - what a card would be told to launch, for the model's own shapes. */
#include "tests/support/unit.h"

#include "kernels/cuda/cuda_launch_plan.h"

static void same(const struct cuda_plan *p, unsigned x, unsigned y, unsigned threads)
{
    assert_int_equal(p->grid[0], x);
    assert_int_equal(p->grid[1], y);
    assert_int_equal(p->threads, threads);
}

/* Every element has a thread, and above a full card's worth there are no more blocks. */
static void each(void **state)
{
    static const struct {
        int64_t count;
        unsigned blocks;
    } table[] = {
        { 0, 0 },
        { 1, 1 },
        { 256, 1 },
        { 257, 2 },
        { (int64_t)21 * 16 * 60 * 104, 8190 },  /* a latent of 480 x 832, 21 frames */
        { (int64_t)2 * 240 * 416, 780 },        /* squares of two pictures of 480 x 832 */
        { (int64_t)28080 * 1536 / 2, 1 << 16 }, /* pairs that rope rotates */
        { (int64_t)4680 * 1536 / 8, 3510 },     /* pieces of 16 bytes that regroup moves */
        { (int64_t)1 << 24, 1 << 16 },
        { ((int64_t)1 << 24) + 1, 1 << 16 },
        { (int64_t)1 << 40, 1 << 16 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        struct cuda_plan const p = cuda_plan_each(table[i].count);
        same(&p, table[i].blocks, 1, 256);
    }
}

static void rows(void **state)
{
    static const struct {
        int64_t rows;
        unsigned blocks;
    } table[] = {
        { 0, 0 },
        { 1, 1 },
        { 5, 2 },
        { 4680, 1170 },             /* one block of frames */
        { 28080, 7020 },            /* all stages */
        { 3 * 60 * 104, 4680 },     /* decoder, its first level */
        { 4 * 480 * 832, 1 << 16 }, /* its last: several rows to a warp */
        { (int64_t)1 << 40, 1 << 16 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        struct cuda_plan const p = cuda_plan_rows(table[i].rows);
        same(&p, table[i].blocks, 1, 128);
    }
}

static void tiles(void **state)
{
    static const struct {
        int64_t rows, cols;
        unsigned x, y;
    } table[] = {
        { 0, 1536, 0, 24 },
        { 1, 9216, 1, 144 },             /* modulation */
        { 4680, 1536, 74, 24 },          /* projections, one block */
        { 28080, 1536, 439, 24 },        /* and all stages */
        { 28080, 8960, 439, 140 },       /* feed forward */
        { 28080, 64, 439, 1 },           /* head */
        { 512, 4096, 8, 64 },            /* text */
        { 3 * 60 * 104, 384, 293, 6 },   /* decoder: 60 x 104 */
        { 6 * 120 * 208, 384, 2340, 6 }, /* 120 x 208, doubled in time */
        { 12 * 240 * 416, 192, 18720, 3 },
        { 12 * 480 * 832, 96, 74880, 2 },
        { 12 * 480 * 832, 3, 74880, 1 },
    };
    struct cuda_plan p;

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        ok(cuda_plan_tiles(&p, "test", table[i].rows, table[i].cols));
        same(&p, table[i].x, table[i].y, 256);
    }
}

static void attention(void **state)
{
    static const struct {
        int64_t queries, heads, head_dim;
        unsigned x, y;
        int columns;
    } table[] = {
        { 28080, 12, 128, 439, 12, 8 }, /* self and cross attention, all stages */
        { 4680, 12, 128, 74, 12, 8 },   /* one block */
        { 4680, 40, 128, 74, 40, 8 },   /* the larger model */
        { 512, 64, 64, 8, 64, 4 },      /* text */
        { 6240, 1, 384, 98, 1, 32 },    /* middle of the decoder */
        { 1, 1, 1, 1, 1, 4 },           { 65, 2, 65, 2, 2, 8 }, { 64, 2, 129, 1, 2, 32 },
        { 64, 2, 512, 1, 2, 32 },       { 0, 1, 8, 0, 1, 4 },
    };
    struct cuda_plan_attention p;

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++) {
        ok(cuda_plan_attention(&p, table[i].queries, table[i].heads, table[i].head_dim));
        same(&p.launch, table[i].x, table[i].y, 256);
        assert_int_equal(p.columns, table[i].columns);
    }
}

static void too_large(void **state)
{
    struct cuda_plan_attention a;
    struct cuda_plan p;

    (void)state;
    ok(cuda_plan_fits("test", 0x3fffffff));
    assert_int_equal(cuda_plan_fits("test", 0x40000000), ST_ARG);
    ok(cuda_plan_tiles(&p, "test", (int64_t)CUDA_GRID_X * 64, (int64_t)CUDA_GRID_Y * 64));
    assert_int_equal(cuda_plan_tiles(&p, "test", (int64_t)CUDA_GRID_X * 64 + 1, 1), ST_ARG);
    assert_int_equal(cuda_plan_tiles(&p, "test", 1, (int64_t)CUDA_GRID_Y * 64 + 1), ST_ARG);
    assert_int_equal(cuda_plan_attention(&a, 64, 1, 513), ST_ARG);
    assert_int_equal(cuda_plan_attention(&a, 64, CUDA_GRID_Y + 1, 8), ST_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each),      cmocka_unit_test(rows),      cmocka_unit_test(tiles),
        cmocka_unit_test(attention), cmocka_unit_test(too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
