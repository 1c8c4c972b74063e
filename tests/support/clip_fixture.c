#include "tests/support/clip_fixture.h"

#include "pipeline/dit/noise.h"
#include "tests/support/comm_jitter.h"
#include "tests/support/comm_poison.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MODEL "tests/golden/rolling-long/model/"

const struct kv_policy clip_fixture_policy[FIXTURE_KINDS] = {
    [FIXTURE_ROLLING] = { WINDOW_ROLLING,
                          5,
                          FIXTURE_FRAMES,
                          21,
                          FIXTURE_FRAMES,
                          KV_SINK_USUAL,
                          KV_USUAL,
                          { 0 },
                          { 0 } },
    [FIXTURE_BLOCK21] = { WINDOW_BLOCK,
                          5,
                          FIXTURE_FRAMES,
                          21,
                          0,
                          KV_SINK_USUAL,
                          KV_USUAL,
                          { 0 },
                          { 0 } },
    [FIXTURE_BLOCK12] = { WINDOW_BLOCK,
                          5,
                          FIXTURE_FRAMES,
                          12,
                          FIXTURE_FRAMES,
                          KV_SINK_USUAL,
                          KV_USUAL,
                          { 0 },
                          { 0 } },
    [FIXTURE_FORCING_KV] = { .kind = WINDOW_BLOCK,
                             .levels = 5,
                             .frames_per_block = FIXTURE_FRAMES,
                             .attention_frames = 6,
                             .sink_frames = 1,
                             .rule = KV_FORCING_KV,
                             .key = { [KV_KEY_static_recent_frames] = 1,
                                      [KV_KEY_dynamic_recent_frames] = 1,
                                      [KV_KEY_dynamic_frames] = 1,
                                      [KV_KEY_chunks_per_frame] = 6,
                                      [KV_KEY_retention] = 0.33,
                                      [KV_KEY_first_split_block] = 1 },
                             .profile = { 2, { 0, 0x155 } } },
    [FIXTURE_LOL] = { .kind = WINDOW_BLOCK,
                      .levels = 5,
                      .frames_per_block = FIXTURE_FRAMES,
                      .attention_frames = 9,
                      .sink_frames = FIXTURE_FRAMES,
                      .rule = KV_LOL,
                      .key = { [KV_KEY_jitter] = 0.8 } },
};

bool clip_fixture_by_heads(const struct kv_policy *p, int ranks)
{
    return FIXTURE_HEADS % ranks == 0 && !kv_policy_all_heads(p);
}

static int64_t embeds_count(const struct clip_fixture_model *m)
{
    return (int64_t)m->shape.text_len * m->shape.text_dim;
}

static status open_model(struct clip_fixture_model *m)
{
    struct dit_config c = { .weights = MODEL "diffusion_pytorch_model.safetensors",
                            .schedule = &m->schedule,
                            .act = DT_F32 };

    TRY(schedule_make(&m->schedule, (double[]){ 1000, 800, 600, 400, 200 }, 5, true, 5));
    TRY(dit_shape_read(&m->shape, MODEL "config.json"));
    m->shape.heads = FIXTURE_HEADS;
    TRY(m->backend->open(&m->ctx, &(struct kern_config){ .threads = 1, .device = m->device }));
    c.shape = m->shape;
    TRY(dit_open(&m->dit, &c, m->ctx));
    for (int i = 0; i < COUNT_OF(m->embeds); i++) {
        m->embeds[i] = malloc((size_t)embeds_count(m) * sizeof *m->embeds[i]);
        if (!m->embeds[i]) return fail(ST_NOMEM, "prompts");
        noise_fill(m->embeds[i], embeds_count(m), 99, i, 0);
    }
    return ST_OK;
}

status clip_fixture_model_open(struct clip_fixture_model *m, const struct kern_backend *b)
{
    return clip_fixture_model_open_on(m, b, 0);
}

status clip_fixture_model_open_on(struct clip_fixture_model *m, const struct kern_backend *b,
                                  int device)
{
    *m = (struct clip_fixture_model){ .backend = b, .device = device };
    status const st = open_model(m);
    if (st != ST_OK) clip_fixture_model_close(m);
    return st;
}

void clip_fixture_model_close(struct clip_fixture_model *m)
{
    for (int i = 0; i < COUNT_OF(m->embeds); i++) free(m->embeds[i]);
    dit_close(&m->dit);
    if (m->ctx) m->backend->close(&m->ctx);
    *m = (struct clip_fixture_model){ .backend = NULL };
}

struct clip_fixture *clip_fixture_new(const struct clip_fixture_model *m, const struct kv_policy *p,
                                      int clips, const int64_t *blocks, uint64_t first_seed)
{
    struct clip_fixture *const s = calloc(1, sizeof *s);

    if (!s) return NULL;
    s->model = m;
    s->policy = p;
    s->clips = clips;
    s->stop_rank = s->fault_rank = s->cut = -1;
    for (int i = 0; i < clips; i++) s->blocks[i] = blocks[i], s->seed[i] = first_seed + (uint64_t)i;
    for (int c = 0; c < FIXTURE_CLIPS; c++)
        for (int b = 0; b < FIXTURE_BLOCKS; b++)
            for (int i = 0; i < FIXTURE_BLOCK; i++) s->latents[c][b][i] = (float)NAN;
    return s;
}

void clip_fixture_give(struct clip_fixture *s, int clip, int blocks, const struct clip_fixture *of,
                       int of_clip)
{
    s->given[clip] = blocks;
    s->given_of = of;
    s->given_clip = of_clip;
    memcpy(s->latents[clip], of->latents[of_clip], (size_t)blocks * sizeof s->latents[clip][0]);
    memcpy(s->choice[clip], of->choice[of_clip], (size_t)blocks * sizeof s->choice[clip][0]);
}

/* ---- who joins when ----------------------------------------------------------------- */

static struct timeline_entry entry_of(const struct clip_fixture *s, int clip)
{
    return (struct timeline_entry){ .clip = clip,
                                    .blocks = s->blocks[clip],
                                    .clean = s->given[clip],
                                    .chosen = s->chosen,
                                    .goes_on = s->goes_on && s->given[clip] };
}

/* What holds from a tick on, `admitted` so far. */
static struct line_decision decision_at(const struct clip_fixture *s, int64_t tick, bool idle,
                                        int64_t admitted)
{
    struct line_decision d = { .admitted = admitted, .cut = -1 };

    while (d.admitted < s->clips && s->join[d.admitted] <= tick) d.admitted++;
    if (idle && d.admitted == admitted && admitted < s->clips) d.admitted++;
    d.over = d.admitted == s->clips && (!s->late_over || (idle && admitted == s->clips));
    if (s->cut >= 0 && tick == s->cut_tick) d.cut = s->cut;
    return d;
}

status clip_fixture_timeline(const struct clip_fixture *s, struct timeline *out, int64_t *stopped)
{
    int64_t admitted = 0, boundary = 0;
    bool over = false;
    status st = ST_OK;

    *stopped = -1;
    timeline_open(out, s->policy, s->policy->levels, s->policy->levels);
    for (int64_t tick = 0; st == ST_OK; tick++) {
        bool const idle = tick >= timeline_ticks(out);
        struct line_decision const d = decision_at(s, tick, idle, admitted);
        if (idle && over) break;
        if (s->stop_rank >= 0 && boundary++ == s->stop_boundary) { /* nothing is decided any more */
            *stopped = tick;
            break;
        }
        for (; st == ST_OK && admitted < d.admitted; admitted++) {
            struct timeline_entry const e = entry_of(s, (int)admitted);
            st = timeline_admit(out, tick, &e);
        }
        if (d.cut >= 0) timeline_cut(out, tick, d.cut);
        over |= d.over;
        tick -= tick >= timeline_ticks(out); /* idle: this tick has not been run */
    }
    if (st != ST_OK) timeline_free(out);
    return st;
}

/* Of a block: at most FIXTURE_CHOICE numbers. */
static size_t choice_bytes(const struct clip_fixture *s)
{
    int64_t const tokens = FIXTURE_H / 2 * (FIXTURE_W / 2);
    return sizeof(int32_t) * (size_t)kv_policy_choice(s->policy, s->model->shape.layers, tokens);
}

/* ---- what the line asks a rank ------------------------------------------------------ */

struct part {
    struct clip_fixture *s;
    int rank;
    long calls;
    int64_t boundaries;
    int idle; /* times that the line was */
};

/* Count a call; the one that is to fail does. */
static status count_call(struct part *p)
{
    if (++p->calls != p->s->fault_call || p->rank != p->s->fault_rank) return ST_OK;
    atomic_store(&p->s->fault_met, true);
    return fail(ST_IO, "call %ld of rank %d fails", p->calls, p->rank);
}

static status decide_joins(void *arg, int64_t tick, bool idle, struct line_decision *out)
{
    struct part *const p = arg;

    TRY(count_call(p));
    if (idle && p->idle++ < p->s->hesitate) return ST_OK;
    *out = decision_at(p->s, tick, idle, out->admitted);
    return ST_OK;
}

static status give_entry(void *arg, int64_t i, struct timeline_entry *out)
{
    struct part *const p = arg;

    TRY(count_call(p));
    *out = entry_of(p->s, (int)i);
    return ST_OK;
}

static status give_block(void *arg, int clip, int64_t block, float *x0)
{
    struct part *const p = arg;

    TRY(count_call(p));
    if (block >= p->s->given[clip])
        return fail(ST_MISMATCH, "block %lld of clip %d is not given", (long long)block, clip);
    memcpy(x0, p->s->given_of->latents[p->s->given_clip][block], sizeof p->s->latents[0][0]);
    return ST_OK;
}

static const void *find_choice(void *arg, int clip, int64_t block)
{
    struct part *const p = arg;
    return count_call(p) == ST_OK ? p->s->choice[clip][block] : NULL;
}

static status make_noise(void *arg, int clip, int64_t block, int level, float *out)
{
    struct part *const p = arg;

    TRY(count_call(p));
    noise_fill(out, FIXTURE_BLOCK, p->s->seed[clip], block, level);
    return ST_OK;
}

static int64_t prompt_id(void *arg, int clip, int64_t block)
{
    const struct clip_fixture *const s = ((struct part *)arg)->s;
    bool const changed = s->change[clip] && (s->new_before || block >= s->change[clip]);
    return (int)(s->seed[clip] % 2 + changed) % 2;
}

static bool asks_for_recache(void *arg, int clip, int64_t block)
{
    const struct clip_fixture *const s = ((struct part *)arg)->s;
    return s->recache && s->change[clip] && block == s->change[clip];
}

static status fill_context(void *arg, int clip, int64_t block, float *embeds)
{
    struct part *const p = arg;
    const struct clip_fixture_model *const m = p->s->model;

    TRY(count_call(p));
    memcpy(embeds, m->embeds[prompt_id(arg, clip, block)],
           (size_t)embeds_count(m) * sizeof *embeds);
    return ST_OK;
}

static status keep_block(void *arg, int clip, int64_t block, const float *x0)
{
    struct part *const p = arg;
    struct clip_fixture *const s = p->s;

    TRY(count_call(p));
    if (atomic_fetch_add(&s->done[clip], 1) + s->given[clip] != block)
        return fail(ST_MISMATCH, "block %lld of clip %d came out of order", (long long)block, clip);
    memcpy(s->latents[clip][block], x0, sizeof s->latents[clip][block]);
    if (choice_bytes(s) > sizeof s->choice[0][0]) return fail(ST_ARG, "a choice is too large");
    memcpy(s->choice[clip][block], x0 + FIXTURE_BLOCK, choice_bytes(s));
    return ST_OK;
}

static status give_window(void *arg, int clip, int64_t block, float *x)
{
    struct part *const p = arg;
    int const finished = p->s->given[clip];
    int64_t const i = block - finished;

    TRY(count_call(p));
    if (i < 0 || i >= p->s->given_of->kept[finished])
        return fail(ST_MISMATCH, "block %lld of clip %d was not kept", (long long)block, clip);
    memcpy(x, p->s->given_of->window[finished][i], sizeof p->s->window[0][0]);
    return ST_OK;
}

static bool is_checkpoint(void *arg, int clip, int64_t blocks)
{
    const struct clip_fixture *const s = ((struct part *)arg)->s;
    return s->every && blocks % s->every == 0 && blocks < s->blocks[clip];
}

static status keep_window(void *arg, int clip, int64_t block, const float *x)
{
    struct part *const p = arg;
    struct clip_fixture *const s = p->s;
    int const finished = s->done[clip] + s->given[clip];

    TRY(count_call(p));
    if (clip != s->kept_clip) return ST_OK;
    if (finished % s->every || block != finished + s->kept[finished])
        return fail(ST_MISMATCH, "block %lld of clip %d came out of order, behind %d",
                    (long long)block, clip, finished);
    memcpy(s->window[finished][s->kept[finished]++], x, sizeof s->window[0][0]);
    return ST_OK;
}

static bool asks_to_stop(void *arg)
{
    struct part *const p = arg;
    return p->rank == p->s->stop_rank && p->boundaries++ == p->s->stop_boundary;
}

/* ---- ranks -------------------------------------------------------------------------- */

static status run_part(struct part *p, struct comm *c)
{
    struct clip_fixture *const s = p->s;
    const struct clip_fixture_model *const m = s->model;
    struct line_render const render = { .line = { .model = m->dit,
                                                  .schedule = &m->schedule,
                                                  .policy = *s->policy,
                                                  .mode = s->mode,
                                                  .latent_h = FIXTURE_H,
                                                  .latent_w = FIXTURE_W,
                                                  .given = s->given_of && !s->goes_on,
                                                  .recache = s->recache,
                                                  .idle_s = 60 },
                                        .backend = m->backend,
                                        .threads = 1,
                                        .device = m->device };
    struct line_io const io = { .arg = p,
                                .decide = decide_joins,
                                .entry = give_entry,
                                .given = s->given_of ? give_block : NULL,
                                .chosen = s->chosen ? find_choice : NULL,
                                .window = s->goes_on ? give_window : NULL,
                                .checkpoint = s->every ? is_checkpoint : NULL,
                                .keep = keep_window,
                                .noise = make_noise,
                                .context_id = prompt_id,
                                .context = fill_context,
                                .recache = asks_for_recache,
                                .finished = keep_block,
                                .stop = asks_to_stop };

    return line_render(&render, c, NULL, 0, &io);
}

status clip_fixture_run(struct clip_fixture *s, struct comm *c)
{
    struct part p = { .s = s, .rank = c->rank };
    struct comm_poison w;

    comm_poison_init(&w, c);
    if (c->rank == s->fault_rank) w.fail_at = s->fault_wait;
    status const st = run_part(&p, &w.base);
    if (w.fail_at && w.waits >= w.fail_at) atomic_store(&s->fault_met, true);
    atomic_fetch_add(&s->parts, w.xfers);
    comm_poison_end(&w);
    s->ended[c->rank] = st;
    return st;
}

static status rank_main(struct comm *c, void *fixture) { return clip_fixture_run(fixture, c); }

status clip_fixture_run_threads(struct clip_fixture *s, int ranks, uint64_t delay_seed,
                                int delay_us)
{
    struct comm *group[FIXTURE_RANKS] = { NULL };
    status st = ST_OK;

    TRY_OUT(comm_thread_open(group, ranks, 60));
    for (int r = 0; r < ranks; r++) group[r]->gathers = s->gathers;
    for (int r = 0; r < ranks && delay_us; r++)
        TRY_OUT(comm_jitter_open(&group[r], group[r], delay_seed, delay_us));
    TRY_OUT(comm_thread_run(group, ranks, rank_main, s));
out:
    for (int r = 0; r < ranks; r++) comm_close(&group[r]);
    return st;
}

status clip_fixture_same(const struct clip_fixture *a, int clip_a, const struct clip_fixture *b,
                         int clip_b, int64_t blocks)
{
    for (int64_t i = 0; i < blocks; i++) {
        const float *const x = a->latents[clip_a][i];
        if (!isfinite(x[0]))
            return fail(ST_MISMATCH, "clip %d, block %lld: nothing came", clip_a, (long long)i);
        if (memcmp(x, b->latents[clip_b][i], sizeof a->latents[0][0]) != 0)
            return fail(ST_MISMATCH, "clip %d, block %lld: other bits", clip_a, (long long)i);
    }
    return ST_OK;
}
