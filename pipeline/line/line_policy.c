/*
 * line_policy.c - the calls of a cache policy that remembers: when they come, and how ranks
 * stay alike.
 *
 * Every rank has its own copy of what the policy keeps. Averages each rank makes for itself, of
 * the same clean keys in the same order. Choices are made where the queries are, on the rank that
 * owns the stage at which a block enters, out of what the rank of the clean stage has noted of the
 * pass before; both go as numbers, once at a tick's end, and are small beside a layer's keys.
 * Nobody waits for them: they are for later ticks.
 *
 * What must hold: a block's enter has run on every rank before its choice comes there, so ranks
 * enter blocks when these enter the line and not when they come to the rank's own stage. In a
 * rolling window, where a clip may be through with a rank before it is through with the line,
 * only ranks that still have clean keys of it go along.
 */
#include "pipeline/dit/rope.h"
#include "pipeline/line/line_internal.h"

static bool has_clean(const struct line *l) { return l->end == l->levels + 1; }

static struct tensor queries_of(const struct line *l, int stage)
{
    return line_attn_rows(l, &l->q, (struct line_span){ stage, stage + 1 });
}

/* Frames at `position` and on, by these angles of rows and columns; step -1: back from there. */
static status rope_frames(struct line *l, const struct tensor *x, int64_t position, int step,
                          struct tensor *out)
{
    int const pairs = (int)l->room_angles.dim[1];
    int64_t const frames = x->dim[0] / (l->tokens / l->frames);
    struct tensor const time = tensor_slice(&l->room_angles, 0, frames);

    TRY(line_synchronize(l)); /* the last upload has read host_room_angles */
    for (int64_t i = 0; i < frames; i++)
        rope_angles(l->host_room_angles + i * pairs * 2, pairs, step * (position + i), 1);
    TRY(l->c.ctx->backend->upload(l->c.ctx, &time, l->host_room_angles));
    return kern_rope(l->c.ctx, &(struct kern_rope){ .x = x,
                                                    .out = out,
                                                    .time = &time,
                                                    .row = step > 0 ? &l->row : &l->row_back,
                                                    .col = step > 0 ? &l->col : &l->col_back,
                                                    .heads = l->attn_shape.heads });
}

static status rope_keys(void *arg, const struct tensor *x, int64_t position, struct tensor *out)
{
    return rope_frames(arg, x, position, 1, out);
}

static status unrope_rows(void *arg, const struct tensor *x, int64_t position, struct tensor *out)
{
    return rope_frames(arg, x, position, -1, out);
}

static struct kv_call call_of(struct line *l, int layer, const struct tensor *q)
{
    l->room.host = l->host_room;
    return (struct kv_call){ .ctx = l->c.ctx,
                             .cache = &l->cache,
                             .state = &l->state,
                             .layer = layer,
                             .q = q,
                             .room = l->room,
                             .rope = rope_keys,
                             .unrope = unrope_rows,
                             .arg = l };
}

/* The stage at which a block with a past is in its first pass; -1: none is. */
static int entry_stage(const struct line *l)
{
    for (int i = 0; i < l->levels; i++)
        if (line_holds(l, i) && l->stage[i].level == 0) return l->place[i].block > 0 ? i : -1;
    return -1;
}

static bool is_mine(const struct line *l, int stage) { return stage >= l->first && stage < l->end; }

/* The block whose window begins in this tick, as far as this rank goes along; 0: none has a
 * past. */
static int64_t entering_window(const struct line *l)
{
    int64_t most = 0;
    struct window w;

    if (!kv_policy_joint(&l->c.policy))
        return entry_stage(l) >= 0 ? l->place[entry_stage(l)].block : 0;
    for (int i = 0; i < l->levels; i++) {
        bool const mine = i >= l->attn_stages.first && i < l->attn_stages.end;
        if ((mine || has_clean(l)) && timeline_window(&l->timeline, l->tick, i, &w))
            if (w.first > most) most = w.first;
    }
    return most;
}

/* Where a given block had its first pass, a choice was made in it. */
static status settle_given(struct line *l, const struct kv_call *c)
{
    struct place const p = l->place[l->levels];

    if (!kv_state_chooses_any(&l->state)) return ST_OK;
    const void *const choice = l->io->chosen(l->io->arg, p.clip, p.block);
    return choice ? kv_settle_taken(c, choice) : ST_OK;
}

/* A given block comes alone, but for the last of a clip that goes on: the window behind it is there
 * in the same tick, and moves on in it too. It enters as other blocks do, before it has a place in
 * the cache: ranks of noise stages have none to spare. */
status line_enter_policy(struct line *l)
{
    struct kv_call const c = call_of(l, 0, NULL);
    bool const given = timeline_given(&l->timeline, l->tick);
    int clip;

    if (given) {
        TRY(kv_enter(&c, l->place[l->levels].block));
        TRY(settle_given(l, &c));
        kv_cache_put(&l->cache, l->place[l->levels].block);
    }
    if (given && !timeline_resumes(&l->timeline, l->tick, &clip)) return ST_OK;
    return kv_enter(&c, entering_window(l));
}

status line_run_policy(struct line *l, int layer)
{
    int const first = entry_stage(l);
    bool const clean = has_clean(l) && line_holds(l, l->levels);

    if (clean && l->state.note) {
        struct tensor const q = queries_of(l, l->levels);
        struct kv_call const c = call_of(l, layer, &q);
        TRY(kv_observe(&c));
    }
    if (is_mine(l, first) && l->state.choice) {
        struct tensor const q = queries_of(l, first);
        struct kv_call const c = call_of(l, layer, &q);
        TRY(kv_choose(&c));
    }
    return ST_OK;
}

/* ---- at a tick's end -------------------------------------------------------------------- */

static status list_bytes(struct line *l, void *at, size_t bytes, int peer, bool send)
{
    struct comm_xfer x = { .peer = peer, .send = send };

    TRY(tensor_make(&x.t, DT_U8, DIMS((int64_t)bytes)));
    x.t.data = at;
    l->xfers.xfer[l->xfers.count++] = x;
    return ST_OK;
}

/* From one rank to all others. */
static status list_news(struct line *l, void *at, size_t bytes, int from)
{
    int const me = l->c.comm->rank;

    if (me != from) return list_bytes(l, at, bytes, from, false);
    for (int to = 0; to < l->c.comm->size; to++)
        if (to != me) TRY(list_bytes(l, at, bytes, to, true));
    return ST_OK;
}

static bool note_was_taken(const struct line *l)
{
    return l->state.note && line_holds(l, l->levels);
}

static bool choice_was_made(const struct line *l)
{
    return l->state.choice && entry_stage(l) >= 0 && kv_state_chooses_any(&l->state);
}

status line_share_policy(struct line *l)
{
    const struct kv_state *const s = &l->state;
    struct kv_call const c = call_of(l, 0, NULL);

    l->xfers.count = 0;
    if (note_was_taken(l))
        TRY(list_news(l, s->note, kv_state_note_bytes(s), split_owner(&l->c.split, l->levels)));
    if (choice_was_made(l))
        TRY(list_news(l, s->choice, kv_state_choice_bytes(s),
                      split_owner(&l->c.split, entry_stage(l))));
    if (l->xfers.count) {
        TRY(line_located(l, -1, comm_post(l->c.comm, l->xfers.xfer, l->xfers.count)));
        TRY(line_located(l, -1, comm_wait(l->c.comm)));
    }
    return choice_was_made(l) && !is_mine(l, entry_stage(l)) ? kv_settle(&c) : ST_OK;
}
