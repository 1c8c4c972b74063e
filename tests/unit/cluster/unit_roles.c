/* unit_roles.c - who does what in worlds of every size. */
#include "tests/support/unit.h"

#include "base/strbuf.h"
#include "cluster/roles.h"
#include "cluster/split.h"

#include <stdio.h>

static void expect_map(const struct roles_config *c, const char *want)
{
    struct roles r;
    struct strbuf map = { 0 };

    ok(roles_make(&r, c));
    roles_print(&map, &r);
    assert_false(map.failed);
    assert_string_equal(map.s, want);
    strbuf_free(&map);
}

/* Three lines of two, decode ranks of one and of two lines; work for fewer. */
static void more_lines_than_clips(void **state)
{
    struct roles r;
    struct roles_config const c = {
        .ranks = 8, .stages = 6, .ranks_per_line = 2, .decode_ranks = 2
    };

    (void)state;
    for (int clips = 3; clips > 0; clips--) {
        int idle = 0;
        ok(roles_make(&r, &c));
        assert_int_equal(r.lines, 3);
        roles_limit(&r, clips);
        assert_int_equal(r.lines, clips);
        for (int i = 0; i < r.ranks; i++) {
            const struct role_at *const at = &r.rank[i];
            idle += at->role == ROLE_IDLE;
            if (at->role == ROLE_IDLE) assert_non_null(strstr(at->why, "clip"));
            if (at->role == ROLE_LINE) assert_true(at->line < clips);
            if (at->role == ROLE_DECODE) assert_true(at->line + at->lines <= clips);
        }
        assert_int_equal(idle, r.idle);
        assert_true(idle >= 2 * (3 - clips));
    }
}

static void maps(void **state)
{
    struct {
        int ranks, per_line, decode;
        const char *want;
    } const cases[] = {
        { 1, 1, 0,
          "rank  0       line 0    stages 0 1 2 3 4 clean; decodes beside it on rank 0; prompts on "
          "rank 0\n" },
        { 8, 6, 2,
          "ranks 0-5     line 0    stages 0 | 1 | 2 | 3 | 4 | clean\n"
          "ranks 6-7     decode    line 0, in a chain of 2; prompts on rank 6\n" },
        { 9, 6, 2,
          "ranks 0-5     line 0    stages 0 | 1 | 2 | 3 | 4 | clean\n"
          "ranks 6-7     decode    line 0, in a chain of 2; prompts on rank 6\n"
          "rank  8       idle      1 rank left is too few for another line of 6; --ranks-per-line 1 "
          "or --decode-ranks 3 would use it\n" },
        { 5, 2, 1,
          "ranks 0-1     line 0    stages 0 1 2 | 3 4 clean\n"
          "ranks 2-3     line 1    stages 0 1 2 | 3 4 clean\n"
          "rank  4       decode    lines 0-1; prompts on rank 4\n" },
        { 7, 6, 0,
          "ranks 0-5     line 0    stages 0 | 1 | 2 | 3 | 4 | clean; decodes beside it on rank 4; "
          "prompts on rank 0\n"
          "rank  6       idle      1 rank left is too few for another line of 6; --ranks-per-line 1 "
          "or --decode-ranks 1 would use it\n" },
        { 9, 4, 0,
          "ranks 0-3     line 0    stages 0 1 | 2 3 | 4 | clean; decodes beside it on rank 2; "
          "prompts on rank 0\n"
          "ranks 4-7     line 1    stages 0 1 | 2 3 | 4 | clean; decodes beside it on rank 6\n"
          "rank  8       idle      1 rank left is too few for another line of 4; --ranks-per-line 3 "
          "or --decode-ranks 1 would use it\n" },
        { 13, 3, 4,
          "ranks 0-2     line 0    stages 0 1 | 2 3 | 4 clean\n"
          "ranks 3-4     decode    line 0, in a chain of 2; prompts on rank 3\n"
          "ranks 5-7     line 1    stages 0 1 | 2 3 | 4 clean\n"
          "rank  8       decode    line 1\n"
          "ranks 9-11    line 2    stages 0 1 | 2 3 | 4 clean\n"
          "rank  12      decode    line 2\n" },
        { 13, 5, 1,
          "ranks 0-4     line 0    stages 0 1 | 2 | 3 | 4 | clean\n"
          "ranks 5-9     line 1    stages 0 1 | 2 | 3 | 4 | clean\n"
          "rank  10      decode    lines 0-1; prompts on rank 10\n"
          "ranks 11-12   idle      2 ranks left are too few for another line of 5; --ranks-per-line "
          "4 or --decode-ranks 3 would use them\n" },
    };
    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++)
        expect_map(&(struct roles_config){ .ranks = cases[i].ranks,
                                           .stages = 6,
                                           .ranks_per_line = cases[i].per_line,
                                           .decode_ranks = cases[i].decode },
                   cases[i].want);
}

static void maps_of_machines(void **state)
{
    int const eights[] = { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1 };
    int const six_and_three[] = { 4, 4, 4, 4, 4, 4, 7, 7, 7 };

    (void)state;
    expect_map(
        &(struct roles_config){
            .ranks = 16, .stages = 6, .ranks_per_line = 6, .decode_ranks = 3, .node = eights },
        "ranks 0-5     line 0    stages 0 | 1 | 2 | 3 | 4 | clean\n"
        "ranks 6-7     decode    line 0, in a chain of 2; prompts on rank 6\n"
        "ranks 8-13    line 1    stages 0 | 1 | 2 | 3 | 4 | clean\n"
        "rank  14      decode    line 1\n"
        "rank  15      idle      1 rank left on its machine is too few for another line of "
        "6; --ranks-per-line 1 or --decode-ranks 4 would use it\n");
    expect_map(
        &(struct roles_config){
            .ranks = 9, .stages = 6, .ranks_per_line = 6, .node = six_and_three },
        "ranks 0-5     line 0    stages 0 | 1 | 2 | 3 | 4 | clean; decodes beside it on rank "
        "4; prompts on rank 0\n"
        "ranks 6-8     idle      3 ranks on its machine are too few for a line of 6; "
        "--ranks-per-line 3 would use them\n");
    expect_map(&(struct roles_config){ .ranks = 9,
                                       .stages = 6,
                                       .ranks_per_line = 6,
                                       .decode_ranks = 3,
                                       .node = six_and_three,
                                       .cross_nodes = true },
               "ranks 0-5     line 0    stages 0 | 1 | 2 | 3 | 4 | clean\n"
               "ranks 6-8     decode    line 0, in a chain of 3; prompts on rank 6\n");
}

static void refusals(void **state)
{
    int const threes[] = { 0, 0, 0, 1, 1, 1 };
    struct {
        struct roles_config c;
        const char *message;
    } const cases[] = {
        { { .ranks = 0, .stages = 6, .ranks_per_line = 1 }, "0 ranks; 1 to 256 are allowed" },
        { { .ranks = 257, .stages = 6, .ranks_per_line = 1 }, "257 ranks; 1 to 256 are allowed" },
        { { .ranks = 8, .stages = 6, .ranks_per_line = 7 },
          "7 ranks for a line of 6 stages; 1 to 6 are allowed" },
        { { .ranks = 8, .stages = 6, .ranks_per_line = 0 },
          "0 ranks for a line of 6 stages; 1 to 6 are allowed" },
        { { .ranks = 8, .stages = 6, .ranks_per_line = 6, .decode_ranks = -1 },
          "--decode-ranks -1; 0 or more are allowed" },
        { { .ranks = 4, .stages = 6, .ranks_per_line = 6 },
          "--ranks-per-line 6: there are 4 ranks in all; 1 to 4 are allowed" },
        { { .ranks = 8, .stages = 6, .ranks_per_line = 6, .decode_ranks = 3 },
          "--decode-ranks 3: 8 ranks in lines of 6 have room for at most 2; 0 to 2 are allowed, or "
          "fewer --ranks-per-line" },
        { { .ranks = 20, .stages = 6, .ranks_per_line = 6, .decode_ranks = 10 },
          "--decode-ranks 10: 20 ranks in lines of 6 have room for at most 8; 0 to 8 are allowed, "
          "or fewer --ranks-per-line" },
        { { .ranks = 6, .stages = 6, .ranks_per_line = 6, .node = threes },
          "--ranks-per-line 6: no machine has more than 3 ranks side by side; 1 to 3 are allowed, "
          "or --cross-nodes" },
        { { .ranks = 6, .stages = 6, .ranks_per_line = 2, .decode_ranks = 3, .node = threes },
          "--decode-ranks 3: 6 ranks in lines of 2 that stay on one machine have room for at most "
          "2; 0 to 2 are allowed, or fewer --ranks-per-line" },
    };
    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct roles r;
        assert_int_equal(roles_make(&r, &cases[i].c), ST_ARG);
        assert_string_equal(error_last()->msg, cases[i].message);
    }
}

/* Is every rank in the one place the lines say it is? */
static void check_ranks(const struct roles *r, const struct roles_config *c)
{
    int claims[ROLES_RANKS] = { 0 }, idle = 0;

    for (int l = 0; l < r->lines; l++) {
        const struct role_line *const line = &r->line[l];
        assert_int_equal(line->ranks, c->ranks_per_line);
        assert_true(line->decode_ranks <= ROLES_CHAIN);
        for (int p = 0; p < line->ranks; p++) {
            const struct role_at *const at = &r->rank[line->first + p];
            assert_int_equal(at->role, ROLE_LINE);
            assert_int_equal(at->line, l), assert_int_equal(at->place, p);
            claims[line->first + p]++;
            if (c->node != NULL && !c->cross_nodes)
                assert_int_equal(c->node[line->first + p], c->node[line->first]);
        }
        for (int p = 0; p < line->decode_ranks; p++) {
            const struct role_at *const at = &r->rank[line->decode + p];
            assert_int_equal(at->role, ROLE_DECODE), assert_int_equal(at->place, p);
            assert_true(at->line <= l && l < at->line + at->lines);
            assert_true(at->lines == 1 || line->decode_ranks == 1);
            if (l == at->line) claims[line->decode + p]++;
        }
    }
    for (int i = 0; i < r->ranks; i++) {
        bool const is_idle = r->rank[i].role == ROLE_IDLE;
        assert_int_equal(claims[i], is_idle ? 0 : 1);
        assert_int_equal(r->rank[i].why[0] != '\0', is_idle);
        idle += is_idle;
    }
    assert_int_equal(idle, r->idle);
}

/* As even as it goes: chains differ by one rank at most, and so do the lines a
 * decode rank serves; what is left over is too little for a line. */
static void check_even(const struct roles *r, const struct roles_config *c)
{
    int chain_least = ROLES_RANKS, chain_most = 0, serve_least = ROLES_RANKS, serve_most = 0;

    assert_int_equal(r->decode_ranks, c->decode_ranks);
    assert_true(r->lines * c->ranks_per_line + r->decode_ranks + r->idle == c->ranks);
    assert_true(r->idle < c->ranks_per_line);
    for (int l = 0; l < r->lines; l++) {
        int const chain = r->line[l].decode_ranks;
        int const serves = chain > 0 ? r->rank[r->line[l].decode].lines : 0;
        if (chain < chain_least) chain_least = chain;
        if (chain > chain_most) chain_most = chain;
        if (serves < serve_least) serve_least = serves;
        if (serves > serve_most) serve_most = serves;
    }
    assert_true(chain_most - chain_least <= 1);
    assert_true(serve_most - serve_least <= 1);
    assert_int_equal(chain_least > 0, c->decode_ranks > 0);
}

/* Most decode ranks that n ranks have room for beside lines. */
static int room(int n, int per_line)
{
    int most = 0;

    for (int lines = 1; lines * per_line <= n; lines++) {
        int const left = n - lines * per_line;
        int const use = left < ROLES_CHAIN * lines ? left : ROLES_CHAIN * lines;
        if (use > most) most = use;
    }
    return most;
}

static void every_world(void **state)
{
    (void)state;
    for (int stages = 2; stages <= 6; stages += 4)
        for (int n = 1; n <= 32; n++)
            for (int per_line = 1; per_line <= stages; per_line++)
                for (int d = 0; d <= n; d++) {
                    struct roles r;
                    struct roles_config const c = {
                        .ranks = n, .stages = stages, .ranks_per_line = per_line, .decode_ranks = d
                    };
                    bool const fits = n >= per_line && d <= room(n, per_line);
                    assert_int_equal(roles_make(&r, &c), fits ? ST_OK : ST_ARG);
                    if (!fits) continue;
                    check_ranks(&r, &c);
                    check_even(&r, &c);
                    assert_int_equal(r.text, d > 0 ? r.line[0].decode : 0);
                    struct role_line const *const last = &r.line[r.lines - 1];
                    int const tail = last->first + per_line - (2 * per_line > stages ? 2 : 1);
                    assert_int_equal(roles_tail(&r, r.lines - 1), tail);
                    assert_int_equal(roles_encoder(&r, r.lines - 1),
                                     d ? last->decode + last->decode_ranks - 1 : tail);
                    for (int i = 0; i < n; i++) {
                        bool const on_line = r.rank[i].role == ROLE_LINE;
                        assert_int_equal(roles_decodes(&r, i),
                                         on_line ? !d && i == roles_tail(&r, r.rank[i].line)
                                                 : r.rank[i].role == ROLE_DECODE);
                    }
                }
}

/* Machines of every pair of sizes, ranks per line and decode ranks. */
static void every_pair_of_machines(void **state)
{
    (void)state;
    for (int a = 1; a <= 12; a++)
        for (int b = 1; b <= 12; b++)
            for (int per_line = 1; per_line <= 6; per_line++)
                for (int d = 0; d <= a + b; d++) {
                    int node[24];
                    struct roles r;
                    struct roles_config const c = { .ranks = a + b,
                                                    .stages = 6,
                                                    .ranks_per_line = per_line,
                                                    .decode_ranks = d,
                                                    .node = node };
                    bool const fits = (a >= per_line || b >= per_line) &&
                                      d <= room(a, per_line) + room(b, per_line);
                    for (int i = 0; i < a + b; i++) node[i] = i >= a;
                    assert_int_equal(roles_make(&r, &c), fits ? ST_OK : ST_ARG);
                    if (!fits) continue;
                    check_ranks(&r, &c);
                    assert_int_equal(r.decode_ranks, d);
                    for (int l = 0; l < r.lines; l++)
                        if (r.line[l].decode_ranks > 0)
                            assert_int_equal(node[r.line[l].decode], node[r.line[l].first]);
                }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps),
        cmocka_unit_test(maps_of_machines),
        cmocka_unit_test(more_lines_than_clips),
        cmocka_unit_test(refusals),
        cmocka_unit_test(every_world),
        cmocka_unit_test(every_pair_of_machines),
    };
    return cmocka_run_group_tests_name("unit_roles", tests, NULL, NULL);
}
