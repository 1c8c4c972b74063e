/*
 * line_schedule.c - who joins the line, and who stands where in the coming tick.
 *
 * Rank 0 decides who joins, the agree that every tick begins with carries the decision, and each
 * rank works it into its own timeline by itself: from the same decisions at the same ticks come
 * the same timelines, so nobody ever asks who stands where, and no message says it. A decision
 * holds from the coming tick on; what stands in the line already is never moved. This boundary is
 * also the one place where a rank may leave: a stop or a failure is brought to the agree.
 *
 * An idle line does not tick. Rank 0 then waits inside `decide` for something to do, and the others
 * in the agree, with a deadline made for that: waiting for work is no stall. Ticks go on counting
 * from where they stopped, so an idle hour leaves no trace in the timeline.
 */
#include "pipeline/line/line_internal.h"

/* ---- who joins -------------------------------------------------------------------------- */

void line_begin(struct line *l, const struct line_io *io)
{
    timeline_free(&l->timeline);
    timeline_open(&l->timeline, &l->c.policy, l->c.schedule->usual, l->c.schedule->opening);
    l->io = io;
    l->list = NULL;
    l->listed = -1;
    l->decided = (struct line_decision){ .cut = -1 };
    l->tick = 0;
    kv_cache_reset(&l->cache);
    kv_state_reset(&l->state);
    for (int i = 0; i < LINE_STAGES; i++) {
        l->context_id[i] = -1;
        l->place[i].clip = -1;
    }
}

void line_begin_list(struct line *l, const struct timeline_entry *entry, int entries,
                     const struct line_io *io)
{
    line_begin(l, io);
    l->list = entry;
    l->listed = entries;
}

bool line_is_idle(const struct line *l) { return l->tick >= timeline_ticks(&l->timeline); }
bool line_is_drained(const struct line *l) { return l->decided.over && line_is_idle(l); }

/* On rank 0 what it decides now. A list is everybody's. */
static status ask_decision(struct line *l, struct line_decision *out)
{
    bool const idle = line_is_idle(l);

    *out = l->decided;
    out->cut = -1;
    if (l->listed >= 0) out->admitted = l->listed, out->over = true;
    if (l->listed >= 0 || l->c.comm->rank || line_is_drained(l)) return ST_OK;
    if (idle) track_begin(l->c.track, TRACK_IDLE, TRACK_NOWHERE);
    status const st = l->io->decide(l->io->arg, l->tick, idle, out);
    if (idle) track_end(l->c.track);
    return st;
}

/* The comm's agree, with another deadline for it and what it lies over. */
static status agree_within(struct comm *c, struct comm *layer, double deadline_s, status mine,
                           int64_t words[COMM_AGREE_WORDS])
{
    if (!layer) return comm_agree_on(c, mine, words);
    double const usual = layer->deadline_s;
    layer->deadline_s = deadline_s;
    status const st = agree_within(c, layer->inner, deadline_s, mine, words);
    layer->deadline_s = usual;
    return st;
}

/* All bring how they are, rank 0 its decision too. While the line is idle the others wait for it as
 * long as it takes. */
static status meet_at_boundary(struct line *l, status mine, struct line_decision *d)
{
    int64_t words[COMM_AGREE_WORDS] = { d->admitted, d->cut, d->over };
    bool const others = l->c.comm->rank > 0 && l->listed < 0 && l->c.idle_s > 0;
    bool const waits = others && line_is_idle(l) && !l->decided.over;
    double const deadline = waits ? l->c.idle_s : l->c.comm->deadline_s;

    track_begin(l->c.track, waits ? TRACK_IDLE : TRACK_HAND_OVER, TRACK_NOWHERE);
    status const met = agree_within(l->c.comm, waits ? l->c.comm : NULL, deadline, mine, words);
    track_end(l->c.track);
    *d = (struct line_decision){ .admitted = words[0], .cut = (int)words[1], .over = words[2] };
    return line_located(l, -1, met);
}

/* Its windows behind given blocks look back as far as any others: those of an entry that goes on
 * are whole, and block by block all are alike. */
static bool has_usual_past(const struct line *l, const struct timeline_entry *e)
{
    return e->goes_on || !kv_policy_joint(&l->c.policy);
}

static status admit_entry(struct line *l, int64_t i)
{
    int64_t const most = kv_policy_most_given(&l->c.policy);
    struct timeline_entry e;

    if (l->listed >= 0) e = l->list[i];
    else TRY(l->io->entry(l->io->arg, i, &e));
    if (e.clip < 0) return ST_OK;
    if (e.goes_on && !l->io->window)
        return fail(ST_ARG,
                    "line: clip %d resumes an attempt; this line was opened without `window`",
                    e.clip);
    if (e.clean && ((!l->c.given && !has_usual_past(l, &e)) || !l->io->given))
        return fail(ST_ARG, "line: clip %d has given blocks; this line takes none", e.clip);
    if (e.chosen && !l->io->chosen)
        return fail(ST_ARG, "line: clip %d has choices; this line takes none", e.clip);
    if (e.clean > most && !e.chosen)
        return fail(
            ST_ARG,
            "line: clip %d has %lld given blocks; policy %s chooses as later ones are made: "
            "up to %lld are allowed",
            e.clip, (long long)e.clean, kv_rule_name(l->c.policy.rule), (long long)most);
    return timeline_admit(&l->timeline, l->tick, &e);
}

static status cut_entry(struct line *l, int clip)
{
    timeline_cut(&l->timeline, l->tick, clip);
    return l->io->dropped ? l->io->dropped(l->io->arg, clip) : ST_OK;
}

status line_cross_boundary(struct line *l)
{
    struct line_decision d = { .cut = -1 };
    status mine = ST_OK;

    if (l->io->stop && !line_is_drained(l) && l->io->stop(l->io->arg))
        mine = fail(ST_CANCELED, "stopped before tick %lld", (long long)l->tick);
    if (mine == ST_OK) mine = ask_decision(l, &d);
    TRY(meet_at_boundary(l, mine, &d));
    for (int64_t i = l->decided.admitted; i < d.admitted; i++) TRY(admit_entry(l, i));
    if (d.cut >= 0) TRY(cut_entry(l, d.cut));
    timeline_forget(&l->timeline, l->tick);
    d.over |= l->decided.over;
    if (d.admitted < l->decided.admitted) d.admitted = l->decided.admitted;
    l->decided = d;
    return ST_OK;
}

/* ---- who stands where ------------------------------------------------------------------- */

/* The block that passes the clean stage gets its place in the cache on every rank, a given one once
 * the policy has seen what stood there (line_enter_policy). Block 0 comes first, and by then nobody
 * reads what a clip before has left. */
static void admit_clean(struct line *l)
{
    struct place const clean = l->place[l->levels];

    if (clean.clip < 0) return;
    if (clean.block == 0) {
        kv_cache_reset(&l->cache);
        kv_state_reset(&l->state);
    }
    if (!timeline_given(&l->timeline, l->tick)) kv_cache_put(&l->cache, clean.block);
}

/* How far each block has come, and what the model is told of it. */
static void find_levels(struct line *l)
{
    const struct schedule *const s = l->c.schedule;

    for (int i = 0; i <= l->levels; i++) {
        struct place const p = l->place[i];
        struct line_stage *const g = &l->stage[i];
        g->level = i;
        g->entry = s->entries;
        if (p.clip < 0 || i == l->levels) continue;
        bool const opens = timeline_opens(&l->timeline, l->tick, p.clip, p.block);
        g->level = i - (l->levels - (opens ? s->opening : s->usual));
        g->entry = schedule_entry(s, opens, g->level);
    }
}

/* The most stages from `first` on, before `end`, that may go together. */
static struct line_span run_from(const struct line *l, int first, int end)
{
    struct line_span run = { first, first + 1 };

    if (l->c.mode.determinism == LINE_BATCH)
        while (run.end < end && l->place[run.end].clip == l->place[first].clip) run.end++;
    return run;
}

static void find_runs(const struct line *l, struct line_span of, struct line_runs *out)
{
    out->count = 0;
    for (int i = of.first; i < of.end; i++) {
        if (!line_holds(l, i)) continue;
        out->run[out->count] = run_from(l, i, of.end);
        i = out->run[out->count++].end - 1;
    }
}

/* In a tick in which all need all a gather takes the place of transfers. */
static void choose_tick_exchange(struct line *l)
{
    if (l->exchange->all_stages) return;
    l->exchange = line_gathers(l) ? &line_exchange_gather : &line_exchange_blocks;
}

void line_place_blocks(struct line *l)
{
    for (int i = 0; i <= l->levels; i++) l->place[i] = timeline_at(&l->timeline, l->tick, i);
    find_levels(l);
}

void line_find_runs(struct line *l)
{
    find_runs(l, (struct line_span){ l->first, l->end }, &l->own_runs);
    find_runs(l, l->attn_stages, &l->attn_runs);
    choose_tick_exchange(l);
}

void line_schedule_tick(struct line *l)
{
    line_place_blocks(l);
    line_find_runs(l);
    admit_clean(l);
}
