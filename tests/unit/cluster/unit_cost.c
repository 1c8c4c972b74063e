/* unit_cost.c - the model of a tick against sums done by hand, and what the planner
 * makes of it. */
#include "tests/support/unit.h"

#include "cluster/planner.h"

#include <math.h>

static const double kv = 28.75e6, layers = 30;

/* The full model: passes of 70 ms, a decode of 120 ms that halves well. */
static struct cost_model gpu_model(const char *topo)
{
    struct cost_model m = {
        .shape = { .stages = 6,
                   .usual = 5,
                   .opening = 5,
                   .attended = 7,
                   .layers = (int)layers,
                   .kv_bytes = kv,
                   .latent_bytes = 1.2e6,
                   .pictures = 12,
                   .slowest = { 1, 0.5, 0.4, 0.3, 0.25, 0.25, 0.25, 0.25 } },
        .parts = { .noise = 0.070,
                   .clean = 0.070,
                   .noise_alone = 0.040,
                   .clean_alone = 0.040,
                   .decode = 0.120,
                   .encode = 0.010,
                   .text = 0.010,
                   .hidden = 0.2,
                   .threads = 1 },
    };
    ok(topo_from_string(&m.topo, topo));
    return m;
}

static struct cost_model cpu_model(const char *topo)
{
    struct cost_model m = gpu_model(topo);

    m.parts = (struct cost_parts){ .noise = 1.0,
                                   .clean = 0.9,
                                   .noise_alone = 0.4,
                                   .clean_alone = 0.3,
                                   .decode = 2.0,
                                   .encode = 0.5,
                                   .text = 3.0,
                                   .threads = 1 };
    return m;
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * fabs(want))) print_error("%.12g, wanted %.12g\n", got, want);
    assert_true(fabs(got - want) <= 1e-9 * fabs(want));
}

static struct cost cost_at(const struct cost_model *m, int ranks, int per_line, int decode,
                           bool cross)
{
    struct plan_query const q = { .model = m, .ranks = ranks, .cross_nodes = cross };
    struct roles *const roles = malloc(sizeof *roles);
    struct plan p;

    assert_non_null(roles);
    ok(planner_try(&p, roles, &q, per_line, decode));
    free(roles);
    return p.cost;
}

static void a_line_with_decoders(void **state)
{
    struct cost_model const m = gpu_model("gpu:8 nvlink");
    double const receive = 5 * layers * kv, moves = 5e-6 + 1.2e6 / 370e9;
    struct cost c = cost_at(&m, 8, 6, 2, false);

    (void)state;
    near(c.receive, receive);
    near(c.send, 5 * layers * kv);  /* the clean stage's, to all five */
    near(c.exposed, layers * 5e-6); /* 11.7 ms hide behind 14 */
    near(c.tick, 0.070 + layers * 5e-6 + moves);
    near(c.block, c.tick);
    near(c.frames, 12 / c.tick);
    near(c.first, 0.010 + 0.040 + 0.045 + 0.050 + 0.055 + 0.060 + 0.120 + 0.010);
    near(c.crossing + 1, 1);
    assert_int_equal(c.bound, COST_LINE);

    c = cost_at(&m, 7, 6, 1, false); /* one decode rank is too slow */
    near(c.frames, 12 / 0.120);
    assert_int_equal(c.bound, COST_DECODE);
}

/* What each link carries adds up to what a rank receives and sends. */
static void links(void **state)
{
    struct cost_shape s = { .stages = 6, .layers = 30, .kv_bytes = 28.0, .latent_bytes = 5.0 };

    (void)state;
    for (int one_by_one = 0; one_by_one < 2; one_by_one++)
        for (int ranks = 1; ranks <= 6; ranks++) {
            struct split split;
            double in[6] = { 0 }, latents = 0;
            s.one_by_one = one_by_one;
            ok(split_make(&split, s.stages, ranks));
            for (int from = 0; from < ranks; from++)
                for (int to = 0; to < ranks; to++) {
                    struct cost_link const l = cost_link(&s, &split, from, to);
                    in[to] += l.exchanged;
                    latents += l.latents;
                }
            assert_true(latents == s.latent_bytes * (ranks - 1));
            for (int r = 0; r < ranks; r++) {
                int const own = split.first[r + 1] - split.first[r];
                bool const clean = split.first[r] == s.stages - 1;
                int const leave = one_by_one ? split.first[r + 1] < s.stages : s.stages - own;
                assert_true(in[r] == (clean ? 0 : s.kv_bytes * s.layers * leave));
            }
        }
}

/* Where ranks share out heads: a third of the bytes at six ranks, and nothing hides them. */
static void by_heads(void **state)
{
    struct cost_model m = gpu_model("gpu:8 nvlink");
    double const moves = 5e-6 + 1.2e6 / 370e9;
    struct cost const blocks = cost_at(&m, 6, 6, 0, false);

    (void)state;
    m.shape.heads = 12;
    m.shape.q_bytes = kv / 2;
    struct cost const heads = cost_at(&m, 6, 6, 0, false);
    near(heads.receive, blocks.receive / 3);
    near(heads.send, heads.receive);
    double const wire = heads.receive / 370e9 + 2 * layers * 5e-6;
    near(heads.exposed, wire); /* nothing hides it */
    near(heads.tick, 0.070 + wire + moves);

    /* Two ranks of two stages and two of one: of a pass 35 ms are attention, shared evenly. In
     * come queries, keys and values of four blocks, and results for two from three ranks. */
    struct cost const four = cost_at(&m, 4, 4, 0, false);
    near(four.receive, layers * (4 * 1.5 * kv + 2 * 3 * 0.5 * kv) / 4);
    near(four.send, layers * (2 * 3 * 1.5 * kv + 4 * 0.5 * kv) / 4);
    near(four.tick - four.exposed, 2 * 0.035 + 6 * 0.035 / 4 + moves);
    struct roles roles;
    struct plan p;
    struct plan_query const q = { .model = &m, .ranks = 5 };
    assert_int_equal(planner_try(&p, &roles, &q, 5, 0), ST_ARG);
}

static void replicas(void **state)
{
    struct cost_model const m = gpu_model("gpu:8 nvlink");
    struct cost c = cost_at(&m, 8, 1, 0, false);

    (void)state;
    near(c.tick, 6 * 0.070);
    near(c.block, 6 * 0.070 + 0.120); /* decodes on the same GPU */
    near(c.frames, 8 * 12 / c.block);
    double const fill = 0.040 + 2 * 0.045 + 3 * 0.050 + 4 * 0.055 + 5 * 0.060;
    near(c.first, 0.010 + fill + 0.120 + 0.010);
    near(c.receive + 1, 1);

    struct cost_model few = m; /* two clips: six of the lines stand idle */
    few.shape.clips = 2;
    near(cost_at(&few, 8, 1, 0, false).frames, 2 * 12 / c.block);

    c = cost_at(&m, 8, 1, 2, false); /* each decodes for three lines */
    near(c.block, 6 * 0.070);
    near(c.frames, 6 * 12 / c.block);
}

static void over_machines(void **state)
{
    struct cost_model const m = gpu_model("node:2 gpu:3 nvlink ib:400");
    struct cost const c = cost_at(&m, 6, 6, 0, true);
    double const wire = 3 * layers * kv / 49e9;

    (void)state;
    near(c.exposed, wire - 0.2 * 0.070 + layers * 10e-6);
    /* Ranks 0-2 hear 3 blocks from the other machine, ranks 3 and 4 too; 5 attends to none. */
    near(c.crossing, 5 * 3 * layers * kv);
}

static void cores(void **state)
{
    struct cost_model m = cpu_model("cpu:2");
    double const wire = 5 * layers * kv / 8e9;
    /* Encoding ends first, then the clean stage, then the noise ones; the decoder is left on
     * one core. */
    double const shared = (8 * 0.5 + 7 * (0.9 + wire - 0.5) + 6 * 0.1) / 2 + 2.0 - (1.0 + wire);
    struct cost c = cost_at(&m, 6, 6, 0, false);

    (void)state;
    near(c.block, shared);
    near(c.frames, 12 / c.block);
    assert_int_equal(c.bound, COST_CORES);

    c = cost_at(&m, 1, 1, 0, false); /* one thread: decoding goes on beside it */
    near(c.tick, 5.9);
    near(c.block, 5.9 + 0.5 / 2); /* while encoding three threads share two cores */
    assert_int_equal(c.bound, COST_CORES);

    m.parts.threads = 2; /* two threads of two cores: all one after the other */
    c = cost_at(&m, 1, 1, 0, false);
    near(c.block, (2 * (5.9 + 2.0) + 0.5) / 2);
    assert_int_equal(c.bound, COST_CORES);

    m.parts.threads = 1, m.topo.within = 4e9;
    c = cost_at(&m, 2, 2, 0, false);
    near(c.tick, 3.0 + 3 * layers * kv / 4e9 + layers * 5e-6 + 5e-6 + 1.2e6 / 4e9);
}

/* Where it is measured what moving takes, processors do it in place of computing. */
static void moving(void **state)
{
    struct cost_model m = cpu_model("cpu:2");
    double const message = 1e-4, byte = 1e-9, latency = 2e-4;
    double const block = 2 * layers * message + layers * kv * byte;

    (void)state;
    m.parts.message = message, m.parts.byte = byte, m.parts.latency = latency;
    struct cost const c = cost_at(&m, 6, 6, 0, false);
    /* Five noise stages to four others each, the clean one to five. */
    near(c.block, (5 * 1.0 + 0.9 + 2.0 + 0.5 + 25 * block) / 2);
    near(c.exposed, (5 + 4) * block / 2 + layers * latency);
    near(c.tick, 1.0 + c.exposed + latency + 1.2e6 / 8e9);
    assert_false(c.rough);
    m.parts.latency = 0.1;
    assert_true(cost_at(&m, 6, 6, 0, false).rough);
    assert_false(cost_at(&m, 6, 1, 0, false).rough);
}

static struct cost run_of(const struct cost_model *m, int ranks, int per_line, int decode)
{
    struct plan_query const q = { .model = m, .ranks = ranks };
    struct plan p = { .ranks_per_line = per_line, .decode_ranks = decode };

    ok(planner_run(&p, &q));
    return p.cost;
}

/* Every tick of given clips: while a line fills and empties it has less to do. */
static void runs(void **state)
{
    struct cost_model gpu = gpu_model("gpu:8 nvlink"), cpu = cpu_model("cpu:2");
    struct cost c;

    (void)state;
    gpu.shape.clips = 2, gpu.shape.blocks = (int64_t[]){ 2, 2 };
    c = run_of(&gpu, 8, 1, 0); /* on two lines */
    double const first = 0.040, both = 2 * 0.045, last = 0.045 + 0.040;
    near(c.all, first + 4 * both + last + 0.120 + 0.120 + 0.010);

    cpu.shape.clips = 1, cpu.shape.blocks = (int64_t[]){ 1 };
    c = run_of(&cpu, 1, 1, 0); /* no clean pass */
    near(c.all, 5 * 0.4 + 2.0 + 0.5);
    near(c.work, 5 * 0.4 + 2.0 + 0.5);

    /* As many seconds a block as in the steady state, when it is long. */
    cpu.shape.blocks = (int64_t[]){ 1000 };
    double const before = run_of(&cpu, 4, 3, 1).all;
    cpu.shape.blocks = (int64_t[]){ 1100 };
    near(run_of(&cpu, 4, 3, 1).all - before, 100 * cost_at(&cpu, 4, 3, 1, false).block);

    /* Two lines share the cores; a third clip goes to the shorter one. */
    cpu.shape.clips = 3, cpu.shape.blocks = (int64_t[]){ 400, 200, 200 };
    c = run_of(&cpu, 2, 1, 0);
    assert_true(fabs(c.all / (400 * cost_at(&cpu, 2, 1, 0, false).block) - 1) < 0.02);

    cpu.shape.blocks = NULL;
    assert_int_equal(planner_run(&(struct plan){ .ranks_per_line = 1 },
                                 &(struct plan_query){ .model = &cpu, .ranks = 1 }),
                     ST_ARG);
}

static void one_by_one(void **state)
{
    struct cost_model m = gpu_model("gpu:8 nvlink");
    struct cost c;

    (void)state;
    m.shape.one_by_one = true;
    c = cost_at(&m, 8, 1, 0, false);
    near(c.first, 0.010 + 5 * 0.040 + 0.120 + 0.010);
    near(c.block, 6 * 0.070 + 0.120);
    m.shape.clips = 1, m.shape.blocks = (int64_t[]){ 100 };
    assert_true(fabs(run_of(&m, 1, 1, 0).all / (100 * c.block) - 1) < 0.02);
    c = cost_at(&m, 8, 6, 2, false);
    near(c.receive, layers * kv);
    near(c.send, 5 * layers * kv);
    assert_true(c.tick >= 6 * 0.070); /* a longer line makes no block come sooner */
}

/* A clip's first block has five levels, the others two. */
static void fewer_levels_behind_the_first(void **state)
{
    struct cost_model m = gpu_model("gpu:8 nvlink");

    (void)state;
    m.shape.one_by_one = true;
    m.shape.usual = 2;
    struct cost const c = cost_at(&m, 8, 1, 0, false);
    near(c.first, 0.010 + 5 * 0.040 + 0.120 + 0.010);
    near(c.block, 3 * 0.070 + 0.120);
    m.shape.clips = 1, m.shape.blocks = (int64_t[]){ 1 };
    double const one = run_of(&m, 1, 1, 0).all;
    m.shape.blocks = (int64_t[]){ 101 };
    assert_true(fabs((run_of(&m, 1, 1, 0).all - one) / (100 * c.block) - 1) < 0.02);
}

/* A line's ranks hold 40 GiB, a replica 100, a decode rank 10. */
static uint64_t bytes(void *arg, const struct roles *r, int rank)
{
    (void)arg;
    if (r->rank[rank].role == ROLE_DECODE) return (uint64_t)10 << 30;
    if (r->rank[rank].role == ROLE_IDLE) return 0;
    return (uint64_t)(r->line[0].ranks > 1 ? 40 : 100) << 30;
}

static void expect_choice(const struct plan_query *q, int ranks_per_line, int decode_ranks,
                          const char *why)
{
    struct planner p;
    struct strbuf out = { 0 };

    ok(planner_choose(&p, q));
    planner_why(&out, &p, q);
    if (why) assert_string_equal(out.s, why);
    strbuf_free(&out);
    assert_int_equal(p.best.ranks_per_line, ranks_per_line);
    assert_int_equal(p.best.decode_ranks, decode_ranks);
    assert_int_equal(p.line.ranks_per_line > 1, q->ranks > 1 && q->ranks_per_line != 1);
}

static void choices(void **state)
{
    struct cost_model const roomy = gpu_model("gpu:8 nvlink");
    struct cost_model const tight = gpu_model("gpu:8 nvlink mem:80GiB");
    struct cost_model const tiny = gpu_model("gpu:8 nvlink mem:8GiB");
    struct plan_query q = { .model = &roomy, .ranks = 8, .decode_ranks = -1, .bytes = bytes };

    (void)state;
    expect_choice(
        &q, 1, 0,
        "1 rank per line, decoding beside: 178 frames/s, set by its slowest rank; 6 ranks "
        "per line, 2 decode ranks: 171 frames/s");
    q.model = &tight;
    expect_choice(
        &q, 6, 2,
        "6 ranks per line, 2 decode ranks: 171 frames/s, set by its slowest rank; 3 ranks "
        "per line, 2 decode ranks: 171 frames/s; of those within 1 % of the best it shows the "
        "first pictures soonest; 1 rank per line, decoding beside would give 178 frames/s and needs 100.0 GiB on a GPU of 80.0 GiB");
    q.model = &tiny;
    expect_choice(&q, 2, 0, NULL);
    q.model = &roomy, q.goal = PLAN_LATENCY;
    expect_choice(&q, 6, 2, NULL);
    q.ranks = 1;
    expect_choice(&q, 1, 0, NULL);
    q.ranks = 8, q.ranks_per_line = 3, q.decode_ranks = 1;
    expect_choice(&q, 3, 1, NULL);
}

/* Against the best figure of all and not step by step: no choice is worse than it by more
 * than 1 %, and who is as good has no fewer idle ranks. */
static void a_choice_is_near_the_best(void **state)
{
    struct roles *const roles = malloc(sizeof *roles);
    struct cost_model m = cpu_model("cpu:8");
    struct planner chosen;
    struct plan p;

    (void)state;
    assert_non_null(roles);
    for (int i = 0; i < 600; i++) {
        struct plan_query const q = { .model = &m, .ranks = 2 + i % 11, .decode_ranks = -1 };
        double best = 0;
        m.parts.decode = 0.2 + i * 0.013;
        m.parts.clean = 0.5 + i % 7 * 0.1;
        m.shape.clips = i % 5;
        ok(planner_choose(&chosen, &q));
        for (int pass = 0; pass < 2; pass++)
            for (int r = 1; r <= 6; r++)
                for (int d = 0; d < q.ranks; d++) {
                    if (planner_try(&p, roles, &q, r, d) != ST_OK) continue;
                    if (pass == 0) best = fmax(best, p.cost.frames);
                    else if (p.cost.frames >= best / 1.01) assert_true(p.idle >= chosen.best.idle);
                }
        assert_true(chosen.best.cost.frames >= best / 1.01);
    }
    free(roles);
}

/* A clip goes down one line: ranks of others are idle, so it takes a longer one. */
static void few_clips(void **state)
{
    struct cost_model m = cpu_model("cpu:7");
    struct plan_query const q = { .model = &m, .ranks = 7, .decode_ranks = -1 };
    struct roles *const roles = malloc(sizeof *roles);
    struct plan p;

    (void)state;
    assert_non_null(roles);
    m.shape.clips = 1;
    ok(planner_try(&p, roles, &q, 1, 0));
    assert_int_equal(p.idle, 6);
    assert_int_equal(roles->lines, 1);
    ok(planner_try(&p, roles, &q, 6, 1));
    assert_int_equal(p.idle, 0);
    expect_choice(&q, 6, 1, NULL);
    free(roles);
}

static void refusals(void **state)
{
    struct cost_model const m = gpu_model("gpu:8 nvlink");
    struct planner p;
    struct plan_query q = { .model = &m, .ranks = 9, .decode_ranks = -1 };

    (void)state;
    assert_int_equal(planner_choose(&p, &q), ST_ARG);
    assert_string_equal(error_last()->msg, "9 ranks for 8 GPUs; 1 to 8 are allowed");
    q.ranks = 0;
    assert_int_equal(planner_choose(&p, &q), ST_ARG);
    assert_string_equal(error_last()->msg, "0 ranks; 1 to 256 are allowed");
    q.ranks = 4, q.ranks_per_line = 6;
    assert_int_equal(planner_choose(&p, &q), ST_ARG);
    assert_string_equal(error_last()->msg,
                        "--ranks-per-line 6: there are 4 ranks in all; 1 to 4 are allowed");
    q.ranks_per_line = 3, q.decode_ranks = 2;
    assert_int_equal(planner_choose(&p, &q), ST_ARG);
    assert_string_equal(error_last()->msg,
                        "--decode-ranks 2: 4 ranks in lines of 3 have room for at most 1; 0 to 1 "
                        "are allowed, or fewer --ranks-per-line");
}

/* More ranks, threads or speed never make the model slower. */
static void monotone(void **state)
{
    struct cost_model slow = gpu_model("gpu:16 nvlink"), fast = slow;

    (void)state;
    fast.parts.noise *= 0.9, fast.parts.decode *= 0.9;
    for (int per_line = 1; per_line <= 6; per_line++)
        for (int d = 0; d <= 4; d++) {
            double before = 0;
            for (int ranks = per_line + d; ranks <= 16; ranks++) {
                struct cost const c = cost_at(&slow, ranks, per_line, d, false);
                struct cost const f = cost_at(&fast, ranks, per_line, d, false);
                assert_true(isfinite(c.frames) && c.frames > 0 && isfinite(c.first));
                assert_true(f.frames >= c.frames && f.first <= c.first);
                if (d == 0) assert_true(c.frames >= before);
                before = c.frames;
            }
        }
}

static void estimates(void **state)
{
    struct cost_work const w = { .linear = 11.70e12,
                                 .attention = 28.26e12,
                                 .cross = 0.44e12,
                                 .moved = 9.1e9,
                                 .decode = 40.65e12,
                                 .text = 1.19e12,
                                 .pixels = 12 * 832 * 480,
                                 .local = 2.0 / 7 };
    struct cost_parts p, half;
    struct strbuf sources = { 0 };

    (void)state;
    cost_estimate(&p, &w, TOPO_GPU, 1);
    assert_true(p.hidden > 0.17 && p.hidden < 0.21);
    assert_true(p.estimated && p.noise > 0.072 && p.noise < 0.079); /* of one of six ranks */
    assert_true(p.decode > 0.118 && p.decode < 0.162);
    cost_estimate(&p, &w, TOPO_CPU, 1);
    cost_estimate(&half, &w, TOPO_CPU, 2);
    near(half.noise, p.noise / 2);
    near(half.encode, p.encode);
    cost_sources(&sources, TOPO_GPU, false);
    assert_non_null(strstr(sources.s, "H100"));
    strbuf_free(&sources);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_with_decoders),
        cmocka_unit_test(by_heads),
        cmocka_unit_test(replicas),
        cmocka_unit_test(links),
        cmocka_unit_test(over_machines),
        cmocka_unit_test(cores),
        cmocka_unit_test(moving),
        cmocka_unit_test(runs),
        cmocka_unit_test(one_by_one),
        cmocka_unit_test(fewer_levels_behind_the_first),
        cmocka_unit_test(choices),
        cmocka_unit_test(a_choice_is_near_the_best),
        cmocka_unit_test(few_clips),
        cmocka_unit_test(refusals),
        cmocka_unit_test(monotone),
        cmocka_unit_test(estimates),
    };
    return cmocka_run_group_tests_name("unit_cost", tests, NULL, NULL);
}
