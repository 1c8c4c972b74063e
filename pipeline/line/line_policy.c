/*
 * line_policy.c - the calls of a cache policy that remembers: when they come, and how ranks
 * stay alike.
 *
 * Every rank has its own copy of what the policy keeps. Averages each rank makes for itself, of
 * the same clean keys in the same order. Choices are made where the queries are, on the rank that
 * owns stage 0, out of what the rank of the clean stage has noted of the pass before; both go as
 * numbers, once at a tick's end, and are small beside a layer's keys. Nobody waits for them: they
 * are for later ticks.
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

static status turn_keys(void *arg, const struct tensor *x, int64_t position, struct tensor *out)
{
    struct line *const l = arg;
    int const pairs = (int)l->turn.dim[1];
    int64_t const frames = x->dim[0] / (l->tokens / l->frames);
    struct tensor const time = tensor_slice(&l->turn, 0, frames);

    TRY(line_synchronize(l)); /* the last upload has read host_turn */
    rope_angles(l->host_turn, pairs, position, (int)frames);
    TRY(l->c.ctx->backend->upload(l->c.ctx, &time, l->host_turn));
    return kern_rope(l->c.ctx, &(struct kern_rope){ .x = x,
                                                    .out = out,
                                                    .time = &time,
                                                    .row = &l->row,
                                                    .col = &l->col,
                                                    .heads = l->attn_shape.heads });
}

static struct kv_call call_of(struct line *l, int layer, const struct tensor *q)
{
    return (struct kv_call){ .ctx = l->c.ctx,
                             .cache = &l->cache,
                             .state = &l->state,
                             .layer = layer,
                             .q = q,
                             .room = l->room,
                             .turn = turn_keys,
                             .arg = l };
}

/* The block whose passes begin in this tick, as far as this rank goes along; 0: none has a past. */
static int64_t entering_block(const struct line *l)
{
    int64_t most = 0;
    struct window w;

    if (timeline_given(&l->timeline, l->tick)) return l->place[l->levels].block;
    if (!kv_policy_joint(&l->c.policy)) return line_holds(l, 0) ? l->place[0].block : 0;
    for (int i = 0; i < l->levels; i++) {
        bool const mine = i >= l->attn_stages.first && i < l->attn_stages.end;
        if ((mine || has_clean(l)) && timeline_window(&l->timeline, l->tick, i, &w))
            if (w.first > most) most = w.first;
    }
    return most;
}

status line_enter_policy(struct line *l)
{
    struct kv_call const c = call_of(l, 0, NULL);
    return kv_enter(&c, entering_block(l));
}

status line_run_policy(struct line *l, int layer)
{
    bool const first = l->first == 0 && line_holds(l, 0);
    bool const clean = has_clean(l) && line_holds(l, l->levels);

    if (clean && l->state.note) {
        struct tensor const q = queries_of(l, l->levels);
        struct kv_call const c = call_of(l, layer, &q);
        TRY(kv_observe(&c));
    }
    if (first && l->state.choice && l->place[0].block > 0) {
        struct tensor const q = queries_of(l, 0);
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

/* From the rank of the clean stage to the one that chooses. */
static status list_note(struct line *l)
{
    int const me = l->c.comm->rank, from = split_owner(&l->c.split, l->levels);
    int const to = split_owner(&l->c.split, 0);
    size_t const bytes = (size_t)l->state.layers * (size_t)l->state.dim * sizeof *l->state.note;

    if (!l->state.note || !line_holds(l, l->levels) || from == to) return ST_OK;
    if (me == from) return list_bytes(l, l->state.note, bytes, to, true);
    return me == to ? list_bytes(l, l->state.note, bytes, from, false) : ST_OK;
}

static bool choice_was_made(const struct line *l)
{
    return l->state.choice && line_holds(l, 0) && l->place[0].block > 0 &&
           kv_state_chooses_any(&l->state);
}

static status list_choice(struct line *l)
{
    int const me = l->c.comm->rank, from = split_owner(&l->c.split, 0);
    size_t const bytes = kv_state_choice_bytes(&l->state);

    if (!choice_was_made(l)) return ST_OK;
    if (me != from) return list_bytes(l, l->state.choice, bytes, from, false);
    for (int to = 0; to < l->c.comm->size; to++)
        if (to != me) TRY(list_bytes(l, l->state.choice, bytes, to, true));
    return ST_OK;
}

status line_share_policy(struct line *l)
{
    bool const others = split_owner(&l->c.split, 0) != l->c.comm->rank;
    struct kv_call const c = call_of(l, 0, NULL);

    l->xfers.count = 0;
    TRY(list_note(l));
    TRY(list_choice(l));
    if (l->xfers.count) {
        TRY(line_located(l, -1, comm_post(l->c.comm, l->xfers.xfer, l->xfers.count)));
        TRY(line_located(l, -1, comm_wait(l->c.comm)));
    }
    return others && choice_was_made(l) ? kv_settle(&c) : ST_OK;
}
