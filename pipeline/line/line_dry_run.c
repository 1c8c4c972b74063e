/*
 * line_dry_run.c - what the operations take and have made for them, by ticks that compute nothing.
 *
 * What a kernel needs depends on its shapes, and which shapes come up depends on who stands beside
 * whom. Rather than a second account of that, which would have to follow every change of the pass,
 * the pass itself runs over a backend that only measures, with clips chosen so that whatever can
 * come does. What must hold: whoever lets something new stand in the line adds it here.
 */
#include "kernels/kern_dry_run.h"
#include "pipeline/line/line_internal.h"

static status admit_clip(struct line *l, int clean, int blocks)
{
    struct timeline_entry const e = { .clip = l->timeline.entries,
                                      .blocks = blocks,
                                      .clean = clean };
    return timeline_admit(&l->timeline, 0, &e);
}

static int longest_clip(const struct line *l)
{
    return 2 * l->c.policy.levels + l->c.policy.attention_frames;
}

/* Clips of every length up to one that every stage sees all the keys of that it ever will:
 * whatever can stand on a rank, side by side and behind one another, does. Where blocks may be
 * given, also windows of every width behind as many of these as any pass looks back on. */
static status admit_all(struct line *l)
{
    const struct kv_policy *const p = &l->c.policy;
    int const most = longest_clip(l);
    int const given = l->c.given ? 1 + p->attention_frames / p->frames_per_block : 0;

    for (int blocks = 1; blocks <= most; blocks++) TRY(admit_clip(l, 0, blocks));
    for (int clean = 1; clean <= given; clean++)
        for (int more = 1; more <= p->levels + 1; more++) TRY(admit_clip(l, clean, clean + more));
    return ST_OK;
}

/* One prompt, and nobody to tell. */
static status leave_noise(void *arg, int clip, int64_t block, int level, float *out)
{
    (void)arg, (void)clip, (void)block, (void)level, (void)out;
    return ST_OK;
}

static int64_t same_context(void *arg, int clip, int64_t block)
{
    (void)arg, (void)clip, (void)block;
    return 0;
}

static status leave_context(void *arg, int clip, int64_t block, float *embeds)
{
    (void)arg, (void)clip, (void)block, (void)embeds;
    return ST_OK;
}

static status ignore_finished(void *arg, int clip, int64_t block, const float *x0)
{
    (void)arg, (void)clip, (void)block, (void)x0;
    return ST_OK;
}

/* Before every block of the longest clip, if there can be such. */
static bool longest_recaches(void *arg, int clip, int64_t block)
{
    const struct line *const l = arg;

    (void)block;
    return l->c.recache && clip == longest_clip(l) - 1;
}

static const struct line_io silent_io = {
    .noise = leave_noise,
    .context_id = same_context,
    .context = leave_context,
    .finished = ignore_finished,
    .recache = longest_recaches,
};

/* The first layer leaves nothing out; all others are like it but the last. */
static status run_tick(struct line *l)
{
    TRY(line_recache(l));
    line_schedule_tick(l);
    TRY(line_keep_clean(l));
    TRY(line_enter(l));
    TRY(line_layer(l, 0));
    TRY(line_layer(l, dit_shape_of(l->c.model)->layers - 1));
    return line_leave(l);
}

/* Alone: the other ranks are not there, or at the same. */
static status run_ticks(struct line *l)
{
    struct comm *const comm = l->c.comm;
    struct comm alone = *comm;
    struct line_io io = silent_io;
    status st = ST_OK;

    alone.ops = &comm_null;
    l->c.comm = &alone;
    io.arg = l;
    line_begin(l, &io);
    st = admit_all(l);
    for (; st == ST_OK && l->tick < timeline_ticks(&l->timeline); l->tick++) st = run_tick(l);
    l->c.comm = comm;
    return st;
}

/* A dry run of all there can be. */
static status run_dry(struct kern_ctx *dry, void *arg)
{
    struct line *const l = arg;
    struct kern_ctx *const ctx = l->c.ctx;
    struct track *const track = l->c.track;

    l->c.ctx = dry;
    l->c.track = NULL;
    status const st = run_ticks(l);
    l->c.ctx = ctx;
    l->c.track = track;
    return st;
}

status line_dry_run(size_t *out, struct line *l)
{
    return kern_dry_run_size(out, l->c.ctx->backend, run_dry, l);
}

status line_prepare(struct line *l) { return kern_dry_run_prepare(l->c.ctx, run_dry, l); }
