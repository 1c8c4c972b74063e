/* engine_fixture.c - a tiny model made by make_model, clips of it with a fault planted where asked,
 * and the engine on thread ranks. A clip alone is rendered once and kept to compare with. The value
 * that is not finite comes from an embedding in the cache which a layer multiplies beyond F32. */
#define _GNU_SOURCE /* nftw */
#include "tests/engine/engine_fixture.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "comm/heartbeat.h"
#include "pipeline/text/text_encoder.h"
#include "pipeline/text/text_internal.h"

#include <dirent.h>
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ALONE = 512, TEXT_LEN = 64, SIZES = 2 };
static char long_text[17000]; /* longer than a prompt may be */
static const char overflow_text[] = "a value that is not finite";

struct engine_fixture {
    char dir[64];
    char *model_dir, *cache, *blocked; /* blocked: a file where a folder would have to be */
    struct model_spec model;
    struct model_pool *pool;
    struct clip_prompt prompt[FAULTS][2];
    struct {
        char words[32];
        struct clip_prompt prompt[2];
    } own[FIXTURE_TEXTS];      /* of clips with a text of their own */
    const char *begins[SIZES]; /* a finished clip's folder: what others begin with */
    int runs;
    struct alone {
        struct fixture_clip clip;
        char *dir;
    } alone[ALONE];
    int alones;
};

/* ---- the model ----------------------------------------------------------------------- */

static status make_model(const char *program, const char *dir)
{
    const char *const slash = strrchr(program, '/');
    char *const tool = slash ? str_format("%.*s/../make_model", (int)(slash - program), program)
                             : strdup("../make_model");
    int code = -1;

    if (!tool) return fail(ST_NOMEM, "a path");
    pid_t const child = fork();
    if (child == 0) {
        if (!freopen("/dev/null", "w", stdout)) _exit(1);
        execl(tool, tool, dir, "--size", "tiny", (char *)NULL);
        _exit(127);
    }
    bool const ended = child > 0 && waitpid(child, &code, 0) == child;
    free(tool);
    return ended && WIFEXITED(code) && WEXITSTATUS(code) == 0 ? ST_OK
                                                              : fail(ST_IO, "make_model failed");
}

static void describe_model(struct engine_fixture *f)
{
    static const double step[] = { 1000, 800, 600, 400, 200 };
    struct model_spec *const m = &f->model;

    *m = (struct model_spec){
        .name = strdup("tiny"),
        .family = strdup("wan2.1-t2v"),
        .card = path_join(f->model_dir, "tiny.yaml"),
        .weights = path_join(f->model_dir, "rolling_forcing_dmd.pt"),
        .outer_key = strdup("generator_ema"),
        .config = path_join(f->model_dir, "config.json"),
        .encoder = path_join(f->model_dir, "models_t5_umt5-xxl-enc-bf16.pth"),
        .tokenizer = path_join(f->model_dir, "google/umt5-xxl/spiece.model"),
        .vae = path_join(f->model_dir, "Wan2.1_VAE.pth"),
        .steps = 5,
        .warp = true,
        .shift = 5,
        .frames_per_block = 3,
        .window = WINDOW_ROLLING,
        .attention_frames = 21,
        .sink_frames = 3,
    };
    memcpy(m->step, step, sizeof step);
}

/* In the cache an embedding that a layer multiplies beyond what a float holds. */
static status plant_overflow(const struct engine_fixture *f)
{
    struct text_config const c = { .encoder_path = f->model.encoder,
                                   .tokenizer_path = f->model.tokenizer,
                                   .cache_dir = f->cache,
                                   .cache_bytes = 1 << 30,
                                   .text_len = TEXT_LEN,
                                   .backend = kern_backend_find("cpu"),
                                   .threads = 1,
                                   .precision = DT_F32 };
    struct text_encoder *t = NULL;
    struct text_cache cache = { .dir = f->cache, .limit = 1 << 30 };
    struct text_entry e = { .text_len = TEXT_LEN };
    char key[256] = "";
    int tokens;
    status st = ST_OK;

    TRY_OUT(text_open(&t, &c));
    e.dim = text_dim(t);
    e.embeds = calloc((size_t)(TEXT_LEN * e.dim), sizeof *e.embeds);
    if (!e.embeds) FAIL_OUT(ST_NOMEM, "embeddings");
    TRY_OUT(text_encode(t, overflow_text, e.embeds, &tokens));
    DIR *const dir = opendir(f->cache);
    for (struct dirent *d; dir && (d = readdir(dir));)
        if (strstr(d->d_name, ".embeds")) snprintf(key, sizeof key, "%s", d->d_name);
    if (dir) closedir(dir);
    *strchrnul(key, '.') = '\0';
    e.key = key;
    if (!text_cache_read(&cache, &e)) FAIL_OUT(ST_IO, "no embedding in the cache");
    for (int64_t i = 0; i < e.tokens * e.dim; i++) e.embeds[i] = 3e38f;
    TRY_OUT(text_cache_write(&cache, &e));
out:
    free(e.embeds);
    text_close(&t);
    return st;
}

static void write_pair(struct clip_prompt prompt[2], char *first)
{
    prompt[0] = (struct clip_prompt){ .text = first, .at = "0s", .over = "0s" };
    prompt[1] = (struct clip_prompt){
        .block = 1, .blend = 2, .text = constant("the sun rises"), .at = "1s", .over = "1s"
    };
}

static void write_prompts(struct engine_fixture *f)
{
    memset(long_text, 'a', sizeof long_text - 1);
    for (int i = 0; i < FAULTS; i++) {
        char *const first = i == FAULT_PROMPT  ? long_text
                            : i == FAULT_VALUE ? constant(overflow_text)
                                               : constant("a small boat");
        write_pair(f->prompt[i], first);
    }
    for (int i = 0; i < FIXTURE_TEXTS; i++) {
        snprintf(f->own[i].words, sizeof f->own[i].words, "boat number %d", i);
        write_pair(f->own[i].prompt, f->own[i].words);
    }
}

static status find_alone(struct engine_fixture *f, const struct fixture_clip *clip,
                         const char **dir);

status engine_fixture_open(struct engine_fixture **out, const char *program)
{
    struct engine_fixture *f = calloc(1, sizeof *f);
    status st = ST_OK;

    *out = NULL;
    if (!f) return fail(ST_NOMEM, "fixture");
    snprintf(f->dir, sizeof f->dir, "%s/rollmill-engine.XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(f->dir)) FAIL_OUT(ST_IO, "%s", f->dir);
    f->model_dir = path_join(f->dir, "model");
    f->cache = path_join(f->dir, "cache");
    f->blocked = path_join(f->dir, "blocked");
    TRY_OUT(make_model(program, f->model_dir));
    describe_model(f);
    TRY_OUT(file_write(f->blocked, "", 0));
    TRY_OUT(plant_overflow(f));
    write_prompts(f);
    TRY_OUT(model_pool_open(&f->pool, 1));
    for (int i = 0; i < SIZES; i++)
        TRY_OUT(find_alone(f, &(struct fixture_clip){ .blocks = 1, .seed = 90, .size = i },
                           &f->begins[i]));
    *out = f;
    f = NULL; /* handed over */
out:
    engine_fixture_close(&f);
    return st;
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *ftw)
{
    (void)s, (void)kind, (void)ftw;
    return remove(path);
}

void engine_fixture_close(struct engine_fixture **fixture)
{
    struct engine_fixture *const f = *fixture;

    if (!f) return;
    model_pool_close(&f->pool);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    model_spec_free(&f->model);
    for (int i = 0; i < f->alones; i++) free(f->alone[i].dir);
    free(f->model_dir);
    free(f->cache);
    free(f->blocked);
    free(f);
    *fixture = NULL;
}

const char *engine_fixture_dir(const struct engine_fixture *f) { return f->dir; }
const struct model_spec *engine_fixture_model(const struct engine_fixture *f) { return &f->model; }

/* ---- clips ------------------------------------------------------------------------------ */

static struct clip_start describe_start(const struct engine_fixture *f,
                                        const struct fixture_clip *c)
{
    bool const bad = c->fault == FAULT_START, latents = c->start == CLIP_START_LATENTS;

    if (bad) return (struct clip_start){ .kind = CLIP_START_IMAGE, .file = strdup(f->blocked) };
    if (c->start == CLIP_START_NONE) return (struct clip_start){ .kind = CLIP_START_NONE };
    return (struct clip_start){
        .kind = c->start,
        .file = path_join(f->begins[c->size], latents ? "latents.safetensors" : "film.mkv"),
        .pictures = latents ? 0 : clip_pictures(1, 3),
    };
}

static void describe_clip(struct engine_fixture *f, struct clip_spec *out,
                          const struct fixture_clip *c, int number)
{
    bool const refused = c->fault == FAULT_ENCODER;
    char *const name = str_format("c%d", number);
    const char *const root = c->fault == FAULT_DISK ? f->blocked : f->dir;

    *out = (struct clip_spec){
        .job = constant("job"),
        .index = number,
        .name = name,
        .dir = str_format("%s/run%d/%s", root, f->runs, name),
        .precision = CLIP_F32,
        .width = c->size ? 32 : 16, /* pictures are most of the work and nothing of the matter */
        .height = 16,
        .fps_num = 16,
        .fps_den = 1,
        .seed = c->seed,
        .blocks = c->blocks,
        .pictures = clip_pictures(c->blocks, 3),
        .frames_per_block = 3,
        .start = describe_start(f, c),
        .prompt = c->text ? f->own[c->text - 1].prompt : f->prompt[c->fault],
        .prompts = c->blend && c->blocks > 3 ? 2 : 1,
        .format = calloc(1, sizeof(struct clip_format)),
        .formats = 1,
        .latents = constant("latents.safetensors"),
        .latents_dtype = constant("f32"),
        .task_id = "0123456789abcdef",
        .content_id = "0123456789abcdef",
    };
    out->format[0] = (struct clip_format){ .file = constant(refused ? "film.mp4" : "film.mkv"),
                                           .codec = constant(refused ? "h264" : "ffv1"),
                                           .pix = constant("yuv420p"),
                                           .preset = refused ? constant("no-such-preset") : NULL,
                                           .crf = refused ? 18 : -1,
                                           .threads = 1 };
}

void engine_fixture_clips(struct engine_fixture *f, struct made_source *s,
                          const struct fixture_clip *clip, int clips)
{
    *s = (struct made_source){ .clips = clips };
    f->runs++;
    for (int i = 0; i < clips; i++) {
        s->clip[i] = (struct made_clip){ .model = &f->model, .withdraw_at = -1 };
        describe_clip(f, &s->clip[i].spec, &clip[i], i);
    }
}

void engine_fixture_forget(struct made_source *s)
{
    for (int i = 0; i < s->clips; i++) {
        free(s->clip[i].spec.name);
        free(s->clip[i].spec.dir);
        free(s->clip[i].spec.format);
        free(s->clip[i].spec.start.file);
    }
    s->clips = 0;
}

void engine_fixture_rewind(struct made_source *s)
{
    struct made_source const old = *s;

    *s = (struct made_source){ .clips = old.clips };
    for (int i = 0; i < s->clips; i++)
        s->clip[i] = (struct made_clip){ .spec = old.clip[i].spec,
                                         .model = old.clip[i].model,
                                         .withdraw_at = -1 };
}

/* ---- a run -------------------------------------------------------------------------------- */

static atomic_bool stop_now;
static atomic_int stop_calls; /* left until the one that gets a yes; < 0: none will */
static bool is_stopped(void) { return atomic_load(&stop_now); }

static bool ask_stop(void)
{
    if (atomic_fetch_sub(&stop_calls, 1) == 1) atomic_store(&stop_now, true);
    return is_stopped();
}

static int end_code(status st) { return st == ST_OK ? 0 : FIXTURE_HUNG; }

struct run {
    struct made_source *source;
    struct engine_options o;
    struct engine_config c;
    struct engine_events events;
    struct fixture_run *out;
};

static status open_made(void *arg, int ranks, struct work_source *out)
{
    struct run *const r = arg;

    (void)ranks;
    *out = made_source_of(r->source);
    return ST_OK;
}

static void close_made(void *arg) { (void)arg; }

static status count_group(void *arg, const struct engine_group *g, const struct group_run *run,
                          const struct rank_stats *all)
{
    struct fixture_run *const out = ((struct run *)arg)->out;

    out->groups++;
    (void)run;
    for (int r = 0; r < g->roles.ranks; r++) {
        out->role[r] = g->roles.rank[r].role;
        out->rank[r] = all[r];
    }
    for (int r = 0; r < g->roles.ranks; r++)
        for (int s = 0; s <= g->schedule.levels; s++) {
            if (g->roles.rank[r].place || g->roles.rank[r].role != ROLE_LINE) continue;
            out->busy += all[r].stage[s].busy;
            out->span += all[r].stage[s].span;
        }
    return ST_OK;
}

static struct comm *running; /* rank 0's end of the world */

bool engine_fixture_is_over(void) { return comm_stopped(running) || comm_aborted(running); }

static _Thread_local int this_rank = -1;
int engine_fixture_rank(void) { return this_rank; }

static status run_on_rank(struct comm *world, void *arg)
{
    struct run *const r = arg;
    struct engine_result result;

    this_rank = world->rank;
    status const st = engine_run(world, &r->c, &result);
    this_rank = -1;
    if (world->rank == 0) r->out->result = result;
    return st;
}

/* A world's ops, with mailboxes that lose all but heartbeats. */
static struct comm_ops losing_ops;
static status (*send_usual)(struct comm *, int, const struct comm_control *);

static status send_heartbeats(struct comm *c, int peer, const struct comm_control *m)
{
    return m->kind < CONTROL_OTHER ? send_usual(c, peer, m) : ST_OK;
}

static void lose_control(struct comm *world)
{
    send_usual = world->ops->send_control;
    losing_ops = *world->ops;
    losing_ops.send_control = send_heartbeats;
    world->ops = &losing_ops;
}

bool engine_fixture_attempts(const struct made_source *s)
{
    const char *const dir = s->clip[0].spec.dir;
    char *const shelf = str_format("%.*s/.attempts", (int)(strrchr(dir, '/') - dir), dir);
    bool const any = shelf && path_exists(shelf);

    free(shelf);
    return any;
}

void engine_fixture_run(struct engine_fixture *f, struct made_source *s,
                        const struct engine_run_config *c, struct fixture_run *out)
{
    struct comm *group[FIXTURE_RANKS] = { NULL };
    struct run r = { .source = s, .out = out };

    *out = (struct fixture_run){ .st = ST_OK };
    atomic_store(&stop_now, false);
    atomic_store(&stop_calls, c->stop_call);
    s->stop = c->stop_at >= 0 ? &stop_now : NULL;
    s->stop_at = c->stop_at;
    if (c->stop_at == 0) atomic_store(&stop_now, true);
    const struct kern_backend *const cpu = kern_backend_find("cpu");
    r.o = (struct engine_options){ .backend = c->backend ? c->backend : cpu,
                                   .text_backend = c->text_backend ? c->text_backend : cpu,
                                   .device_name = "test",
                                   .threads = c->ranks,
                                   .ranks_per_line = c->ranks_per_line,
                                   .decode_ranks = c->decode_ranks,
                                   .ahead = c->ahead ? c->ahead : 64,
                                   .deadline_s = c->patience_s > 0 ? c->patience_s : 120,
                                   .stall_s = c->patience_s > 0 ? c->patience_s : 60,
                                   .prompt_cache = c->no_cache ? NULL : f->cache,
                                   .prompt_cache_bytes = 1 << 30,
                                   .fail_fast = c->fail_fast,
                                   .resume = c->resume,
                                   .stop = ask_stop,
                                   .stop_asked = is_stopped,
                                   .exit_code = end_code };
    r.events = (struct engine_events){ .arg = &r, .group_end = count_group };
    r.c = (struct engine_config){ .options = &r.o,
                                  .pool = f->pool,
                                  .open_source = open_made,
                                  .close_source = close_made,
                                  .source_arg = &r,
                                  .events = &r.events };
    out->st = comm_thread_open(group, c->ranks, 120);
    for (int i = 0; i < c->ranks && c->loses_control; i++) lose_control(group[i]);
    running = group[0];
    if (out->st == ST_OK) out->st = comm_thread_run(group, c->ranks, run_on_rank, &r);
    for (int i = 0; i < c->ranks; i++) comm_close(&group[i]);
    out->stopped = atomic_load(&stop_now);
}

/* ---- alone --------------------------------------------------------------------------------- */

static bool same_clip(const struct fixture_clip *a, const struct fixture_clip *b)
{
    return a->blocks == b->blocks && a->seed == b->seed && a->size == b->size &&
           a->blend == b->blend && a->start == b->start && a->text == b->text;
}

static status find_alone(struct engine_fixture *f, const struct fixture_clip *clip,
                         const char **dir)
{
    static struct made_source s;
    struct fixture_run run;

    for (int i = 0; i < f->alones; i++)
        if (same_clip(&f->alone[i].clip, clip)) {
            *dir = f->alone[i].dir;
            return ST_OK;
        }
    if (f->alones == ALONE) return fail(ST_ARG, "too many different clips");
    engine_fixture_clips(f, &s, clip, 1);
    engine_fixture_run(f, &s, &(struct engine_run_config){ .ranks = 1, .stop_at = -1 }, &run);
    bool const made = run.st == ST_OK && s.clip[0].done == 1;
    char *const kept = strdup(s.clip[0].spec.dir);
    engine_fixture_forget(&s);
    f->alone[f->alones] = (struct alone){ *clip, kept };
    *dir = f->alone[f->alones++].dir;
    return made ? ST_OK : fail(ST_MISMATCH, "a clip alone failed");
}

double engine_fixture_number(const struct made_source *s, int i, const char *name)
{
    char *const path = path_join(s->clip[i].spec.dir, "clip.json");
    json_t *const root = path ? json_load_file(path, 0, NULL) : NULL;
    const json_t *const found = json_object_get(json_object_get(root, "run"), name);
    double const number = json_is_number(found) ? json_number_value(found) : -1;

    json_decref(root);
    free(path);
    return number;
}

static status compare_file(const char *a, const char *b, const char *name)
{
    char *const path[] = { path_join(a, name), path_join(b, name) };
    char *text[] = { NULL, NULL };
    size_t len[] = { 0, 0 };
    status st = ST_OK;

    for (int i = 0; i < 2; i++) TRY_OUT(file_read(path[i], 64 << 20, &text[i], &len[i]));
    if (len[0] != len[1] || memcmp(text[0], text[1], len[0]) != 0)
        st = fail(ST_MISMATCH, "%s: other bytes than alone", path[0]);
out:
    for (int i = 0; i < 2; i++) {
        free(path[i]);
        free(text[i]);
    }
    return st;
}

status engine_fixture_check(struct engine_fixture *f, const struct made_source *s, int i,
                            const struct fixture_clip *clip, bool done)
{
    const char *const dir = s->clip[i].spec.dir;
    const char *alone;

    if (!done)
        return path_exists(dir) ? fail(ST_MISMATCH, "%s is there, though not done", dir) : ST_OK;
    TRY(find_alone(f, clip, &alone));
    TRY(compare_file(dir, alone, "latents.safetensors"));
    return compare_file(dir, alone, "film.mkv");
}
