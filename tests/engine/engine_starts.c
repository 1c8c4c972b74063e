/*
 * engine_starts.c - clips that begin with given blocks or go on from an attempt, beside plain ones:
 * what is wrong with one start or attempt, whenever it goes wrong, costs its own clip alone, what
 * is wrong with the encoder its group; a withdrawal, a stop and a rank that fails are heard while a
 * start is encoded, a stop also while its file is hashed (--wrap); every clip that is made has the
 * very bytes it has alone.
 *
 *   engine_starts [--only NAME] [--worlds N]     N: the first so many worlds of each case
 */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/file_watch.h"
#include "base/journal.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "pipeline/resume/snapshot.h"
#include "tests/engine/engine_fixture.h"
#include "tests/engine/start_backend.h"

#include <glob.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static struct engine_fixture *fixture;
static struct made_source source;

#define WORLD(n, per_line, decode)                                                                 \
    {                                                                                              \
        .ranks = n, .ranks_per_line = per_line, .decode_ranks = decode, .stop_at = -1              \
    }
static const struct engine_run_config world[] = {
    WORLD(3, 2, 1), WORLD(1, 0, -1), WORLD(6, 2, 2), WORLD(2, 2, 0), WORLD(4, 2, 0), WORLD(5, 3, 2),
};
static int worlds = COUNT_OF(world);

/* Each clip was told of once; made ones are what they are alone. want: [clips], ST_OK: made. */
static void check_clips(const struct fixture_clip *clip, int clips, const status want[])
{
    for (int i = 0; i < clips; i++) {
        const struct made_clip *const c = &source.clip[i];
        if (c->done + c->failed != 1 || c->st != want[i])
            print_error("clip %d: done %d, failed %d: %s\n", i, c->done, c->failed, c->why);
        assert_int_equal(c->done, want[i] == ST_OK);
        assert_int_equal(c->failed, want[i] != ST_OK);
        assert_int_equal(c->st, want[i]);
        ok(engine_fixture_check(fixture, &source, i, &clip[i], want[i] == ST_OK));
    }
}

static struct fixture_run render(const struct engine_run_config *c)
{
    struct fixture_run run;

    engine_fixture_run(fixture, &source, c, &run);
    return run;
}

static struct start_watch watch;

static struct engine_run_config watching(const struct engine_run_config *w, enum start_fault fault)
{
    struct engine_run_config c = *w;

    watch = (struct start_watch){ .fault = fault,
                                  .stop = &source.stop,
                                  .is_over = engine_fixture_is_over };
    c.backend = start_backend(&watch);
    return c;
}

/* ---- starts ------------------------------------------------------------------------------ */

static void starts_beside_plain_clips(void **state)
{
    static const struct fixture_clip clip[] = {
        { .blocks = 3, .seed = 1 },
        { .blocks = 3, .seed = 2, .start = CLIP_START_VIDEO },
        { .blocks = 3, .seed = 1, .start = CLIP_START_LATENTS },
        { .blocks = 4, .seed = 1, .start = CLIP_START_VIDEO, .blend = true },
        { .blocks = 2, .seed = 2 },
        { .blocks = 2, .seed = 1, .size = 1, .start = CLIP_START_LATENTS },
        { .blocks = 3, .seed = 2, .size = 1, .start = CLIP_START_VIDEO },
    };
    static const status made[COUNT_OF(clip)] = { ST_OK };

    (void)state;
    for (int w = 0; w < worlds; w++) {
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        source.more = true;
        source.clip[3].after_begun = 2;
        source.clip[4].after_blocks = 7;
        struct fixture_run const run = render(&world[w]);
        assert_int_equal(run.st, ST_OK);
        assert_int_equal(run.groups, 2);
        check_clips(clip, COUNT_OF(clip), made);
        engine_fixture_forget(&source);
    }
}

/* ---- starts that are none ------------------------------------------------------------------ */

static char *half_film, *no_numbers;

static void lose_file(struct clip_start *s) { s->file = strdup("nowhere.mkv"); }
static void change_file(struct clip_start *s) { memset(s->sha256, '0', DIGEST_HEX - 1); }
static void want_more(struct clip_start *s) { s->pictures = 45; }
static void want_too_much(struct clip_start *s) { s->pictures = 20736000; }
static void want_no_block(struct clip_start *s) { s->pictures = 5; }
static void cut_file(struct clip_start *s) { s->file = strdup(half_film); }
static void spoil_number(struct clip_start *s) { s->file = strdup(no_numbers); }
static void take_film(struct clip_start *s)
{
    s->kind = CLIP_START_LATENTS;
    s->pictures = 0;
}
static void take_latents(struct clip_start *s)
{
    s->kind = CLIP_START_VIDEO;
    s->pictures = clip_pictures(1, 3);
}

static const struct spoiled {
    enum clip_start_kind start;
    void (*spoil)(struct clip_start *s);
    int size;     /* of the clip that the file is of */
    int64_t more; /* blocks of this clip, beyond one */
    const char *words;
} spoiled[] = {
    { CLIP_START_VIDEO, lose_file, 0, 2, "nowhere.mkv" },
    { CLIP_START_VIDEO, change_file, 0, 2, "film.mkv: is another file than when the job was read" },
    { CLIP_START_VIDEO, want_more, 0, 4, "found 9 pictures at 16/1 a second; 45 are wanted" },
    { CLIP_START_VIDEO, want_too_much, 0, 2, "20736000 pictures of 16x16; at most" },
    { CLIP_START_VIDEO, want_no_block, 0, 2, "found 2 latent frames; allowed: whole blocks of 3" },
    { CLIP_START_VIDEO, NULL, 0, 0, "fewer than the clip's 1 blocks" },
    { CLIP_START_VIDEO, cut_file, 0, 2, "half.mkv" },
    { CLIP_START_LATENTS, take_latents, 0, 2, "latents.safetensors: no picture or video" },
    { CLIP_START_LATENTS, NULL, 1, 2, "F32 or BF16 [frames, 16, 2, 2]" },
    { CLIP_START_LATENTS, spoil_number, 0, 2, "latents: number 191 is not finite" },
    { CLIP_START_VIDEO, take_film, 0, 2, "film.mkv: " },
};
enum { SPOILED = COUNT_OF(spoiled) };

static char *file_of(enum clip_start_kind start, int size)
{
    static struct made_source s;
    struct fixture_clip const clip = { .blocks = 2, .seed = 1, .size = size, .start = start };

    engine_fixture_clips(fixture, &s, &clip, 1);
    char *const path = strdup(s.clip[0].spec.start.file);
    engine_fixture_forget(&s);
    return path;
}

static void spoil_files(void)
{
    static const float none = NAN;
    char *const film = file_of(CLIP_START_VIDEO, 0), *const latents =
                                                         file_of(CLIP_START_LATENTS, 0);
    char *bytes = NULL;
    size_t len = 0;

    half_film = path_join(engine_fixture_dir(fixture), "half.mkv");
    no_numbers = path_join(engine_fixture_dir(fixture), "none.safetensors");
    ok(file_read(film, 64 << 20, &bytes, &len));
    ok(file_write(half_film, bytes, len / 2));
    free(bytes);
    ok(file_read(latents, 64 << 20, &bytes, &len));
    memcpy(bytes + len - sizeof none, &none, sizeof none);
    ok(file_write(no_numbers, bytes, len));
    free(bytes);
    free(film);
    free(latents);
}

static void spoil_start(struct clip_start *s, const struct spoiled *how)
{
    char *const old = s->file;

    if (how->size) s->file = file_of(how->start, how->size);
    if (how->spoil) how->spoil(s);
    if (s->file != old) free(old);
}

/* The first and the last begin with a film, too, and are made. */
static void a_start_that_is_none_fails_its_clip(void **state)
{
    enum { CLIPS = SPOILED + 2 };

    (void)state;
    for (int w = 0; w < worlds; w++) {
        struct fixture_clip clip[CLIPS];
        status want[CLIPS];
        for (int i = 0; i < CLIPS; i++) {
            bool const good = i == 0 || i == CLIPS - 1;
            clip[i] = (struct fixture_clip){
                .blocks = good ? 3 : 1 + spoiled[i - 1].more,
                .seed = 1,
                .start = good ? CLIP_START_VIDEO : spoiled[i - 1].start,
            };
            want[i] = good ? ST_OK : spoiled[i - 1].spoil == want_too_much ? ST_ARG : ST_FORMAT;
        }
        engine_fixture_clips(fixture, &source, clip, CLIPS);
        for (int i = 0; i < SPOILED; i++) spoil_start(&source.clip[i + 1].spec.start, &spoiled[i]);
        struct fixture_run const run = render(&world[w]);
        assert_int_equal(run.st, ST_OK);
        assert_int_equal(run.groups, 1);
        check_clips(clip, CLIPS, want);
        for (int i = 0; i < SPOILED; i++) {
            const char *const why = source.clip[i + 1].why;
            if (!strstr(why, spoiled[i].words)) print_error("%s: %s\n", spoiled[i].words, why);
            assert_non_null(strstr(why, spoiled[i].words));
            assert_int_equal(strncmp(why, "start: ", 7), 0);
        }
        engine_fixture_forget(&source);
    }
}

/* Pictures that come to no number, an encoder for which there is no memory: the next clip's start
 * is encoded. */
static void an_encoding_that_fails_costs_its_clip(void **state)
{
    static const struct fixture_clip clip[] = {
        { .blocks = 3, .seed = 1 },
        { .blocks = 4, .seed = 1, .start = CLIP_START_VIDEO },
        { .blocks = 2, .seed = 2 },
        { .blocks = 3, .seed = 2, .start = CLIP_START_VIDEO },
    };
    static const struct {
        enum start_fault fault;
        status st;
        const char *words;
    } how[] = {
        { START_NO_NUMBER, ST_MISMATCH, "film.mkv: encoded, its latent frame 0 is not finite" },
        { START_MEMORY, ST_NOMEM, "start: there is no more of it" },
    };

    (void)state;
    for (int h = 0; h < COUNT_OF(how); h++)
        for (int w = 0; w < worlds; w++) {
            struct engine_run_config const c = watching(&world[w], how[h].fault);
            status const want[] = { ST_OK, how[h].st, ST_OK, ST_OK };
            engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
            struct fixture_run const run = render(&c);
            assert_int_equal(run.st, ST_OK);
            assert_non_null(strstr(source.clip[1].why, how[h].words));
            check_clips(clip, COUNT_OF(clip), want);
            engine_fixture_forget(&source);
        }
}

/* What is in the line is made, what waits fails, and so does what comes; the next group begins. */
static void an_encoder_that_fails_costs_its_group(void **state)
{
    static const struct fixture_clip clip[] = {
        { .blocks = 3, .seed = 1 },
        { .blocks = 4, .seed = 1, .start = CLIP_START_VIDEO },
        { .blocks = 2, .seed = 2 },
        { .blocks = 3, .seed = 2, .size = 1, .start = CLIP_START_VIDEO },
    };
    static const status want[] = { ST_OK, ST_DEVICE, ST_DEVICE, ST_OK };

    (void)state;
    for (int w = 0; w < worlds; w++) {
        struct engine_run_config const c = watching(&world[w], START_CARD);
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        source.more = true;
        source.clip[1].after_begun = source.clip[2].after_begun = 1;
        struct fixture_run const run = render(&c);
        assert_int_equal(run.st, ST_OK);
        assert_int_equal(run.groups, 2);
        for (int i = 1; i <= 2; i++)
            assert_string_equal(source.clip[i].why, "start: the card is gone");
        check_clips(clip, COUNT_OF(clip), want);
        engine_fixture_forget(&source);
    }
}

/* ---- what is heard while a start is encoded -------------------------------------------------- */

static void release_start(int64_t ticket)
{
    if (ticket == 1) atomic_store(&watch.let_go, true);
}

/* Its encoding is held until the source has been told of it: the clip before it is made meanwhile,
 * and no more than one latent frame of it is encoded. */
static void a_withdrawal_is_heard(void **state)
{
    static const struct fixture_clip clip[] = {
        { .blocks = 3, .seed = 1 },
        { .blocks = 4, .seed = 1, .start = CLIP_START_VIDEO },
        { .blocks = 3, .seed = 2, .start = CLIP_START_VIDEO },
        { .blocks = 2, .seed = 2 },
    };
    static const status want[] = { ST_OK, ST_CANCELED, ST_OK, ST_OK };

    (void)state;
    for (int w = 0; w < worlds; w++) {
        struct engine_run_config const c = watching(&world[w], START_WAIT);
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        source.clip[1].withdraw_at = 0;
        source.clip[1].withdraw_if = &watch.begun;
        source.failing = release_start;
        struct fixture_run const run = render(&c);
        assert_int_equal(run.st, ST_OK);
        assert_false(atomic_load(&watch.waited_in_vain));
        assert_int_equal(atomic_load(&watch.frames), 1 + 3); /* and those of the other start */
        check_clips(clip, COUNT_OF(clip), want);
        engine_fixture_forget(&source);
    }
}

/* A stop, or another rank that fails: none of the clips is made, and the encoder ends where it is
 * when it hears of it. */
static void an_end_is_heard(void **state)
{
    static const struct fixture_clip clip[] = {
        { .blocks = 4000, .seed = 1 },
        { .blocks = 4, .seed = 1, .start = CLIP_START_VIDEO },
        { .blocks = 2, .seed = 2 },
    };
    static const status want[] = { ST_CANCELED, ST_CANCELED, ST_CANCELED };
    static const struct {
        enum start_fault fault;
        status st;
    } how[] = { { START_STOP, ST_CANCELED }, { START_BREAK, ST_DEVICE } };

    (void)state;
    for (int h = 0; h < COUNT_OF(how); h++)
        for (int w = 0; w < worlds; w++) {
            struct engine_run_config c = watching(&world[w], how[h].fault);
            c.stop_at = INT64_MAX;
            engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
            struct fixture_run const run = render(&c);
            assert_int_equal(run.st, how[h].st);
            assert_false(atomic_load(&watch.waited_in_vain));
            assert_int_equal(atomic_load(&watch.frames), 1);
            check_clips(clip, COUNT_OF(clip), want);
            engine_fixture_forget(&source);
        }
}

static const char *long_file; /* a stop comes while its first piece is read; NULL: none */
static atomic_int pieces;     /* of it, read */

void __real_file_watch_map(const char *path, const void *data, size_t len);
void __wrap_file_watch_map(const char *path, const void *data, size_t len);

void __wrap_file_watch_map(const char *path, const void *data, size_t len)
{
    __real_file_watch_map(path, data, len);
    if (!long_file || strcmp(path, long_file) != 0 || atomic_fetch_add(&pieces, 1)) return;
    atomic_store(source.stop, true);
    for (int ms = 0; !engine_fixture_is_over() && ms < 20000; ms++)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000L }, NULL);
}

/* No piece of the file is read behind the one during which the world hears of the stop. */
static void a_stop_is_heard_by_a_hash(void **state)
{
    static const struct fixture_clip clip[] = {
        { .blocks = 4000, .seed = 1 },
        { .blocks = 4, .seed = 1, .start = CLIP_START_LATENTS },
    };
    static const status want[] = { ST_CANCELED, ST_CANCELED };
    char *const path = path_join(engine_fixture_dir(fixture), "long.safetensors");

    (void)state;
    ok(file_write(path, "", 0));
    assert_int_equal(truncate(path, 4 * (off_t)FILE_WATCH_PIECE), 0);
    for (int w = 0; w < worlds; w++) {
        struct engine_run_config c = world[w];
        c.stop_at = INT64_MAX;
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        free(source.clip[1].spec.start.file);
        source.clip[1].spec.start.file = strdup(path);
        atomic_store(&pieces, 0);
        long_file = path;
        struct fixture_run const run = render(&c);
        long_file = NULL;
        assert_int_equal(run.st, ST_CANCELED);
        assert_int_equal(atomic_load(&pieces), 1);
        check_clips(clip, COUNT_OF(clip), want);
        engine_fixture_forget(&source);
    }
    assert_int_equal(unlink(path), 0);
    free(path);
}

/* ---- attempts to go on from ------------------------------------------------------------------ */

/* All files in the run's attempts whose names begin so. */
static void list_in_attempts(const char *prefix, glob_t *out)
{
    const char *const dir = source.clip[0].spec.dir;
    int const shelf = (int)(strrchr(dir, '/') - dir);
    char *const pattern = str_format("%.*s/.attempts/*/%s*", shelf, dir, prefix);
    int const rc = glob(pattern, 0, NULL, out);

    assert_true(rc == 0 || rc == GLOB_NOMATCH);
    free(pattern);
}

/* There is at least one. */
static void each_in_attempt(const char *prefix, void (*spoil)(const char *path))
{
    glob_t found;

    list_in_attempts(prefix, &found);
    assert_true(found.gl_pathc > 0);
    for (size_t i = 0; i < found.gl_pathc; i++) spoil(found.gl_pathv[i]);
    globfree(&found);
}

/* The folder of the run's only attempt, malloc'ed; NULL: there is none. */
static char *find_attempt(void)
{
    glob_t found;

    list_in_attempts("latents", &found);
    char *const dir = found.gl_pathc ? path_dir(found.gl_pathv[0]) : NULL;
    globfree(&found);
    return dir;
}

static void turn_bits(const char *path)
{
    char *bytes = NULL;
    size_t len = 0;

    ok(file_read(path, 64 << 20, &bytes, &len));
    bytes[len / 2] ^= 0x55;
    ok(file_write(path, bytes, len));
    free(bytes);
}

/* Where the file was there is a folder. */
static void hide_file(const char *path)
{
    assert_int_equal(unlink(path), 0);
    ok(dir_make(path));
}

static void damage_latents(void) { each_in_attempt("latents", turn_bits); }
static void damage_snapshots(void) { each_in_attempt("snapshot.", turn_bits); }
static void hide_latents(void) { each_in_attempt("latents", hide_file); }
static void leave_it(void) {}

static const struct pause {
    void (*between)(void);
    bool goes_on;
} pauses[] = {
    { leave_it, true },
    { damage_latents, false },
    { damage_snapshots, false },
    { hide_latents, false },
};

/* A stop, something that comes between, and another run: the clip is what it is alone, whether it
 * goes on or begins anew. Beside it one begins with a film; with `film` so does the clip itself. */
static void go_on(const struct pause *how, const struct engine_run_config *w, bool film)
{
    static const status made[] = { ST_OK, ST_OK };
    struct fixture_clip const clip[] = {
        { .blocks = 22, .seed = 1, .start = film ? CLIP_START_VIDEO : CLIP_START_NONE },
        { .blocks = 3, .seed = 2, .start = CLIP_START_VIDEO },
    };
    struct engine_run_config c = *w;

    engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
    source.clip[0].spec.checkpoint = 2;
    source.clip[1].after_blocks = INT64_MAX; /* not in the first run */
    c.stop_at = 5;
    struct fixture_run run = render(&c);
    assert_int_equal(run.st, ST_CANCELED);
    assert_int_equal(source.clip[0].st, ST_CANCELED);
    how->between();
    engine_fixture_rewind(&source);
    c.stop_at = -1;
    c.resume = true;
    run = render(&c);
    assert_int_equal(run.st, ST_OK);
    double const from = engine_fixture_number(&source, 0, "resumed_from");
    assert_true(how->goes_on ? from >= 2 : from == 0);
    check_clips(clip, COUNT_OF(clip), made);
    engine_fixture_forget(&source);
}

static void a_clip_goes_on(void **state)
{
    (void)state;
    for (int w = 0; w < worlds; w++) go_on(&pauses[0], &world[w], w % 2);
}

/* One way in a world, and each way in at least one. */
static void a_damaged_clip_begins_anew(void **state)
{
    enum { WAYS = COUNT_OF(pauses) - 1 };

    (void)state;
    for (int i = 0; i < worlds || i < WAYS; i++) {
        int const way = 1 + i % WAYS, w = i % worlds;
        go_on(&pauses[way], &world[w], (way + w) % 2);
    }
}

/* What comes between: the attempt has been prepared, and waits for the clip ahead of it. */
static void (*spoil_attempt)(void);
static bool spoilt;

static void spoil_prepared(int64_t ticket)
{
    char *const dir = spoilt ? NULL : find_attempt();
    struct snapshot_lock *lock = NULL;

    (void)ticket;
    if (dir && !snapshot_lock(&lock, dir, true)) {
        spoil_attempt();
        spoilt = true;
    }
    snapshot_unlock(&lock);
    free(dir);
}

static void remove_attempt(void)
{
    char *const dir = find_attempt();

    ok(dir_remove(dir));
    free(dir);
}

static void turn_first_latent(const char *path)
{
    char *bytes = NULL;
    size_t len = 0;

    ok(file_read(path, 64 << 20, &bytes, &len));
    bytes[JOURNAL_HEAD + 1] ^= 0x55;
    ok(file_write(path, bytes, len));
    free(bytes);
}

/* What is read as the clip's first block passes, by one rank and not before. */
static void damage_first_latent(void) { each_in_attempt("latents", turn_first_latent); }

/* It is in the line's hands, or about to be: the clip fails, those around it are made, whichever
 * ranks read the attempt. */
static void an_attempt_that_goes_costs_its_clip(void **state)
{
    static const struct engine_run_config line[] = {
        WORLD(3, 2, 1), WORLD(1, 0, -1), WORLD(6, 6, 0),
        WORLD(2, 2, 0), WORLD(4, 4, 0),  WORLD(5, 3, 2),
    };
    static void (*const how[])(void) = { remove_attempt, damage_first_latent, damage_snapshots,
                                         hide_latents };
    static const struct fixture_clip clip[] = {
        { .blocks = 30, .seed = 1 },
        { .blocks = 60, .seed = 1, .blend = true },
        { .blocks = 3, .seed = 2 },
        { .blocks = 3, .seed = 2, .start = CLIP_START_VIDEO },
    };
    static const status want[] = { ST_OK, ST_PEER, ST_OK, ST_OK };

    (void)state;
    for (int w = 0; w < COUNT_OF(line) && w < worlds; w++)
        for (int h = 0; h < COUNT_OF(how); h++) {
            if (h > 1 && (w + h) % 3) continue;
            struct engine_run_config c = line[w];
            engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
            source.clip[1].spec.checkpoint = 2;
            for (int i = 0; i < COUNT_OF(clip); i++) /* the others not in the first run */
                if (i != 1) source.clip[i].after_blocks = INT64_MAX;
            c.stop_at = 18; /* the decoder is not warmed with the first block */
            struct fixture_run run = render(&c);
            assert_int_equal(run.st, ST_CANCELED);
            assert_int_equal(source.clip[1].st, ST_CANCELED);
            engine_fixture_rewind(&source);
            spoil_attempt = how[h];
            spoilt = false;
            source.moving = spoil_prepared;
            c.stop_at = -1;
            c.resume = true;
            run = render(&c);
            assert_int_equal(run.st, ST_OK);
            assert_true(spoilt);
            check_clips(clip, COUNT_OF(clip), want);
            assert_non_null(strstr(source.clip[1].why, "it resumes cannot be read any more"));
            engine_fixture_forget(&source);
        }
}

/* ---- prompts ------------------------------------------------------------------------------- */

enum { MANY_WORDS = 50 }; /* more tokens than any other prompt has, and relative positions */

static status download_long(struct kern_ctx *ctx, void *host, const struct tensor *from)
{
    TRY(kern_backend_find("cpu")->download(ctx, host, from));
    if (from->ndim == 2 && from->dim[0] >= MANY_WORDS) *(float *)host = NAN;
    return ST_OK;
}

/* One prompt of several is embedded to what is no number: its clip fails, and names it. */
static void an_embedding_that_is_no_number_fails_its_clip(void **state)
{
    static const struct fixture_clip clip[] = { { .blocks = 3, .seed = 1 },
                                                { .blocks = 4, .seed = 2, .blend = true },
                                                { .blocks = 4, .seed = 1, .blend = true } };
    static const status want[] = { ST_OK, ST_MISMATCH, ST_OK };
    static struct kern_backend spoiling;
    static char words[4 * MANY_WORDS + 1];

    (void)state;
    for (int i = 0; i < MANY_WORDS; i++) memcpy(words + (ptrdiff_t)4 * i, "and ", 5);
    spoiling = *kern_backend_find("cpu");
    spoiling.download = download_long;
    for (int w = 0; w < worlds; w++) {
        struct engine_run_config c = world[w];
        c.text_backend = &spoiling;
        c.no_cache = true;
        engine_fixture_clips(fixture, &source, clip, COUNT_OF(clip));
        struct clip_prompt prompt[2];
        memcpy(prompt, source.clip[1].spec.prompt, sizeof prompt);
        prompt[1].text = words;
        source.clip[1].spec.prompt = prompt;
        struct fixture_run const run = render(&c);
        assert_int_equal(run.st, ST_OK);
        assert_string_equal(source.clip[1].why, "prompt 2 of 2: its embedding is not finite");
        check_clips(clip, COUNT_OF(clip), want);
        engine_fixture_forget(&source);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_beside_plain_clips),
        cmocka_unit_test(a_start_that_is_none_fails_its_clip),
        cmocka_unit_test(an_encoding_that_fails_costs_its_clip),
        cmocka_unit_test(an_encoder_that_fails_costs_its_group),
        cmocka_unit_test(a_withdrawal_is_heard),
        cmocka_unit_test(an_end_is_heard),
        cmocka_unit_test(a_stop_is_heard_by_a_hash),
        cmocka_unit_test(a_clip_goes_on),
        cmocka_unit_test(a_damaged_clip_begins_anew),
        cmocka_unit_test(an_attempt_that_goes_costs_its_clip),
        cmocka_unit_test(an_embedding_that_is_no_number_fails_its_clip),
    };
    int failed;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--only")) cmocka_set_test_filter(argv[i + 1]);
        if (!strcmp(argv[i], "--worlds")) worlds = atoi(argv[i + 1]);
    }
    log_set_level(LOG_QUIET);
    if (engine_fixture_open(&fixture, argv[0]) != ST_OK) {
        print_error("%s\n", error_last()->msg);
        return 1;
    }
    spoil_files();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(half_film);
    free(no_numbers);
    engine_fixture_close(&fixture);
    return failed;
}
