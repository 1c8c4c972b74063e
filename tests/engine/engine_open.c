/*
 * engine_open.c - groups that cannot be opened, for every kind of reason and on every rank, beside
 * groups that can: their clips fail once each, with the reason and the rank that has it, and
 * every other clip has the very bytes it has alone.
 */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "tests/engine/engine_fixture.h"

#include <stdio.h>
#include <time.h>

static struct engine_fixture *fixture;
static struct made_source source;
static struct model_spec model[MADE_CLIPS]; /* of clips that have one of their own; texts are
                                               the fixture's */

#define WORLD(n, per_line, decode)                                                                 \
    {                                                                                              \
        .ranks = n, .ranks_per_line = per_line, .decode_ranks = decode, .stop_at = -1              \
    }
static const struct engine_run_config worlds[] = {
    WORLD(1, 0, -1), WORLD(2, 2, 0), WORLD(3, 2, 1), WORLD(4, 2, 0), WORLD(5, 3, 2), WORLD(6, 2, 2),
};

static char *constant(const char *text) { return (char *)(uintptr_t)text; }

/* The clip's own model: one group more. */
static struct model_spec *own_model(int i)
{
    static char name[MADE_CLIPS][8];

    model[i] = *engine_fixture_model(fixture);
    snprintf(name[i], sizeof name[i], "m%d", i);
    model[i].name = name[i];
    source.clip[i].model = &model[i];
    return &model[i];
}

/* good: clips that are to be made; the others are told of once, and there is no folder. */
static void check_clips(const struct fixture_clip *clip, int clips, const bool good[])
{
    for (int i = 0; i < clips; i++) {
        const struct made_clip *const c = &source.clip[i];
        if (c->done != good[i] || c->failed != !good[i])
            print_error("clip %d: done %d, failed %d: %s\n", i, c->done, c->failed, c->why);
        assert_int_equal(c->done, good[i]);
        assert_int_equal(c->failed, !good[i]);
        ok(engine_fixture_check(fixture, &source, i, &clip[i], good[i]));
    }
}

/* ---- files ------------------------------------------------------------------------------ */

/* A file beside the given one that holds its first half. */
static char *cut_copy(const char *path)
{
    char *const copy = str_format("%s.cut", path), *bytes = NULL;
    size_t len = 0;

    assert_non_null(copy);
    ok(file_read(path, 64 << 20, &bytes, &len));
    ok(file_write(copy, bytes, len / 2));
    free(bytes);
    return copy;
}

static char *cut_weights, *cut_vae, *cut_encoder, *garbage;
static struct model_file changed[1];

static void spoil_weights(struct model_spec *m) { m->weights = cut_weights; }
static void lose_weights(struct model_spec *m) { m->weights = constant("nowhere.pt"); }
static void spoil_config(struct model_spec *m) { m->config = garbage; }
static void spoil_encoder(struct model_spec *m) { m->encoder = cut_encoder; }
static void lose_tokenizer(struct model_spec *m) { m->tokenizer = constant("nowhere.model"); }
static void spoil_vae(struct model_spec *m) { m->vae = cut_vae; }
static void swap_vae(struct model_spec *m) { m->vae = m->encoder; } /* another model's */
static void swap_encoder(struct model_spec *m) { m->encoder = m->vae; }
static void change_file(struct model_spec *m)
{
    m->file = changed;
    m->files = 1;
}

static const struct spoiled {
    void (*spoil)(struct model_spec *m);
    const char *words;
} spoiled[] = {
    { spoil_weights, "rolling_forcing_dmd.pt.cut" },
    { lose_weights, "nowhere.pt" },
    { spoil_config, "garbage" },
    { spoil_encoder, "enc-bf16.pth.cut" },
    { lose_tokenizer, "nowhere.model" },
    { spoil_vae, "Wan2.1_VAE.pth.cut" },
    { swap_vae, "enc-bf16.pth" },
    { swap_encoder, "Wan2.1_VAE.pth" },
    { change_file, "rolling_forcing_dmd.pt: another file" },
};

static void spoil_files(void)
{
    const struct model_spec *const m = engine_fixture_model(fixture);

    cut_weights = cut_copy(m->weights);
    cut_vae = cut_copy(m->vae);
    cut_encoder = cut_copy(m->encoder);
    garbage = str_format("%s.garbage", m->config);
    assert_non_null(garbage);
    ok(file_write(garbage, "{\"dim\":", 7));
    changed[0].path = m->weights;
    snprintf(changed[0].identity, sizeof changed[0].identity, "another");
}

static void forget_files(void)
{
    free(cut_weights);
    free(cut_vae);
    free(cut_encoder);
    free(garbage);
}

enum { SPOILED = COUNT_OF(spoiled), GOOD = 3, MIXED = SPOILED + GOOD + 1, MIDDLE = 5 };

/* First, in the middle and last a group that opens; of one that does not there are two clips. */
static void a_group_of_bad_files_fails_alone(void **state)
{
    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        struct fixture_clip clip[MIXED];
        bool good[MIXED] = { false };
        for (int i = 0; i < MIXED; i++)
            clip[i] = (struct fixture_clip){ .blocks = 2, .seed = 1 + (uint64_t)(i % 2) };
        good[0] = good[MIDDLE] = good[MIXED - 1] = true;
        clip[MIDDLE].size = 1;
        engine_fixture_clips(fixture, &source, clip, MIXED);
        for (int i = 1, s = 0; i < MIXED - 2; i++)
            if (i != MIDDLE) spoiled[s++].spoil(own_model(i));
        source.clip[MIXED - 2].model = source.clip[1].model; /* its group's second */
        struct fixture_run run;
        engine_fixture_run(fixture, &source, &worlds[w], &run);
        assert_int_equal(run.st, ST_OK);
        assert_int_equal(run.groups, 2);
        assert_int_equal(run.result.done, GOOD);
        assert_int_equal(run.result.failed, SPOILED + 1);
        for (int i = 1, s = 0; i < MIXED - 2; i++) {
            if (i == MIDDLE) continue;
            if (!strstr(source.clip[i].why, spoiled[s].words))
                print_error("%s: %s\n", spoiled[s].words, source.clip[i].why);
            assert_non_null(strstr(source.clip[i].why, spoiled[s++].words));
        }
        check_clips(clip, MIXED, good);
        engine_fixture_forget(&source);
    }
}

/* ---- memory, rank by rank ------------------------------------------------------------------ */

enum want { WANT_CTX, WANT_SCRATCH, WANT_MEMORY, WANTS };
static struct kern_backend poor; /* refuses one kind on rank `victim` */
static atomic_int victim = -1, refuses;
static int refused_on[MADE_CLIPS], refused_what[MADE_CLIPS];

static status ask(enum want what)
{
    int const rank = engine_fixture_rank();

    if (rank < 0 || rank != atomic_load(&victim) || (int)what != atomic_load(&refuses))
        return ST_OK;
    return fail(ST_NOMEM, "there is no more of it on rank %d", rank);
}

static status reserve_scratch(struct kern_ctx *ctx, size_t bytes)
{
    const struct kern_backend *const cpu = kern_backend_find("cpu");

    TRY(ask(WANT_SCRATCH));
    return cpu->reserve ? cpu->reserve(ctx, bytes) : ST_OK;
}

static status take_memory(struct kern_ctx *ctx, size_t bytes, void **at)
{
    *at = NULL;
    TRY(ask(WANT_MEMORY));
    return kern_backend_find("cpu")->alloc(ctx, bytes, at);
}

static status open_poor(struct kern_ctx **out, const struct kern_config *c)
{
    *out = NULL;
    TRY(ask(WANT_CTX));
    TRY(kern_backend_find("cpu")->open(out, c));
    (*out)->backend = &poor;
    return ST_OK;
}

static void arm(int64_t ticket)
{
    atomic_store(&refuses, refused_what[ticket]);
    atomic_store(&victim, refused_on[ticket]);
}

static void make_poor(void)
{
    poor = *kern_backend_find("cpu");
    poor.open = open_poor;
    poor.reserve = reserve_scratch;
    poor.alloc = take_memory;
}

static void a_rank_without_memory_fails_its_group(void **state)
{
    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        struct fixture_clip clip[MADE_CLIPS];
        bool good[MADE_CLIPS] = { false };
        struct engine_run_config c = worlds[w];
        int const bad = c.ranks * WANTS, clips = bad + 2;
        for (int i = 0; i < clips; i++) {
            clip[i] = (struct fixture_clip){ .blocks = 2, .seed = 1 };
            refused_on[i] = -1;
        }
        good[0] = good[clips - 1] = true;
        clip[clips - 1].size = 1;
        engine_fixture_clips(fixture, &source, clip, clips);
        for (int i = 1; i <= bad; i++) {
            own_model(i);
            refused_on[i] = (i - 1) / WANTS;
            refused_what[i] = (i - 1) % WANTS;
        }
        source.more = true; /* so that no line is left out for want of clips */
        source.opening = arm;
        c.backend = &poor;
        struct fixture_run run;
        engine_fixture_run(fixture, &source, &c, &run);
        assert_int_equal(run.st, ST_OK);
        assert_int_equal(run.result.done + run.result.failed, clips);
        assert_int_equal(run.result.refused, 0); /* another time it may do */
        for (int i = 1; i <= bad; i++) {
            char words[32];
            snprintf(words, sizeof words, "on rank %d", refused_on[i]);
            /* What a decoder takes it asks for by alloc alone. */
            if (refused_what[i] == WANT_SCRATCH && source.clip[i].done) {
                good[i] = true;
                continue;
            }
            if (source.clip[i].st != ST_NOMEM)
                print_error("world %d, rank %d, want %d: %s\n", w, refused_on[i], refused_what[i],
                            source.clip[i].why);
            assert_int_equal(source.clip[i].st, ST_NOMEM);
            assert_non_null(strstr(source.clip[i].why, words));
        }
        check_clips(clip, clips, good);
        engine_fixture_forget(&source);
    }
}

/* ---- prompts ------------------------------------------------------------------------------ */

enum { WAIT_MS = 20000 };
static struct kern_backend embedder; /* fails at its `bad_open`-th call; waits at its second one */
static atomic_int opens, bad_open, let_go, waited_in_vain;

static status open_embedder(struct kern_ctx **out, const struct kern_config *c)
{
    int const nth = atomic_fetch_add(&opens, 1) + 1;

    *out = NULL;
    if (nth == atomic_load(&bad_open)) return fail(ST_DEVICE, "the card is gone");
    for (int ms = 0; nth == 2 && !atomic_load(&let_go); ms++) {
        if (ms == WAIT_MS) {
            atomic_store(&waited_in_vain, 1);
            break;
        }
        nanosleep(&(struct timespec){ .tv_nsec = 1000000L }, NULL);
    }
    return kern_backend_find("cpu")->open(out, c);
}

static struct engine_run_config embedding(const struct engine_run_config *world, int bad, int go)
{
    struct engine_run_config c = *world;

    embedder = *kern_backend_find("cpu");
    embedder.open = open_embedder;
    atomic_store(&opens, 0);
    atomic_store(&bad_open, bad);
    atomic_store(&let_go, go);
    atomic_store(&waited_in_vain, 0);
    c.text_backend = &embedder;
    c.no_cache = true;
    return c;
}

static void release_embedder(int64_t ticket)
{
    if (ticket == 1) atomic_store(&let_go, 1);
}

/* What is in the line is made, what waits fails, and so does what comes; the next group begins. */
static void an_encoder_that_fails_costs_its_group(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 3, .seed = 1 },
                                                { .blocks = 4, .seed = 2, .blend = true },
                                                { .blocks = 4, .seed = 1, .blend = true },
                                                { .blocks = 2, .seed = 1, .size = 1 } };
    static const bool good[] = { true, false, false, true };

    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        struct engine_run_config const c = embedding(&worlds[w], 2, 1);
        struct fixture_run run;
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        source.more = true;
        source.clip[1].after_begun = source.clip[2].after_begun = 1;
        engine_fixture_run(fixture, &source, &c, &run);
        assert_int_equal(run.st, ST_OK);
        assert_int_equal(run.groups, 2);
        for (int i = 1; i <= 2; i++) {
            assert_int_equal(source.clip[i].st, ST_DEVICE);
            assert_non_null(strstr(source.clip[i].why, "prompts: the card is gone"));
        }
        check_clips(clip, COUNT_OF(clip), good);
        engine_fixture_forget(&source);
    }
}

/* The embedding of a clip's prompts ends only once that clip was let go of. */
static void the_source_is_served_while_prompts_are_embedded(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 3, .seed = 1 },
                                                { .blocks = 4, .seed = 2, .blend = true },
                                                { .blocks = 4, .seed = 1, .blend = true } };
    static const bool good[] = { true, false, true };

    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        struct engine_run_config const c = embedding(&worlds[w], 0, 0);
        struct fixture_run run;
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        source.more = true;
        source.clip[1].after_begun = source.clip[2].after_begun = 1;
        source.clip[1].withdraw_at = 0;
        source.failing = release_embedder;
        engine_fixture_run(fixture, &source, &c, &run);
        assert_int_equal(run.st, ST_OK);
        assert_int_equal(atomic_load(&waited_in_vain), 0);
        assert_int_equal(source.clip[1].st, ST_CANCELED);
        check_clips(clip, COUNT_OF(clip), good);
        engine_fixture_forget(&source);
    }
}

/* ---- stop at the first ----------------------------------------------------------------- */

/* A group that cannot be opened ends the run; so does a clip, and what is in work is dropped. */
static void the_first_failure_ends_the_run(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 2, .seed = 1 },
                                                { .blocks = 2, .seed = 2 },
                                                { .blocks = 2, .seed = 1, .size = 1 } };
    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        struct engine_run_config c = worlds[w];
        struct fixture_run run;
        c.fail_fast = true;
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        spoil_vae(own_model(1));
        engine_fixture_run(fixture, &source, &c, &run);
        assert_int_equal(run.st, ST_CANCELED);
        assert_int_equal(run.result.done, 1);
        assert_int_equal(run.result.failed, 1);
        assert_int_equal(source.clip[0].done, 1);
        assert_int_equal(source.clip[1].st, ST_FORMAT);
        assert_int_equal(source.clip[2].done, 0);
        engine_fixture_forget(&source);
    }
}

static void a_clip_that_fails_ends_the_run(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 2, .seed = 1, .fault = FAULT_ENCODER },
                                                { .blocks = 4000, .seed = 2 } };
    (void)state;
    for (int w = 0; w < COUNT_OF(worlds); w++) {
        struct engine_run_config c = worlds[w];
        struct fixture_run run;
        c.fail_fast = true;
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        engine_fixture_run(fixture, &source, &c, &run);
        assert_int_equal(run.st, ST_CANCELED);
        assert_int_equal(run.result.failed, 1);
        assert_int_equal(source.clip[0].failed, 1);
        assert_int_equal(source.clip[1].st, ST_CANCELED);
        engine_fixture_forget(&source);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_group_of_bad_files_fails_alone),
        cmocka_unit_test(a_rank_without_memory_fails_its_group),
        cmocka_unit_test(an_encoder_that_fails_costs_its_group),
        cmocka_unit_test(the_source_is_served_while_prompts_are_embedded),
        cmocka_unit_test(the_first_failure_ends_the_run),
        cmocka_unit_test(a_clip_that_fails_ends_the_run),
    };
    int failed;

    if (argc == 3 && !strcmp(argv[1], "--only")) cmocka_set_test_filter(argv[2]);
    log_set_level(LOG_QUIET);
    if (engine_fixture_open(&fixture, argv[0]) != ST_OK) {
        print_error("%s\n", error_last()->msg);
        return 1;
    }
    make_poor();
    spoil_files();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    forget_files();
    engine_fixture_close(&fixture);
    return failed;
}
