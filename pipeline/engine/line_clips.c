/*
 * line_clips.c - the clips that stand in a line, on one of its ranks: what the line asks for and
 * hands out.
 *
 * At every tick's boundary the line's head decides what joins it (decide_boundary), and each rank
 * takes those clips in the order they came to its board. A clip is held from then on until none of
 * its blocks stands in the line: so long its seed, its prompts and what it goes on from are asked
 * for. Everything here runs on the line's thread, so nothing is locked but the board.
 *
 * An attempt to go on from may have gone since rank 0 chose it, or may not be readable on one rank
 * alone: that is the clip's failure, and all ranks come to one verdict on it. The first is as the
 * clip is admitted, when each has read the checkpoint and the last block's latent, and keeps both;
 * one that is refused does not join. The other latents are read as their blocks pass, zeros in
 * place of what cannot be, and the second verdict is in front of the last one's tick: from that on
 * nothing is read, and up to it nothing has come of the clip. Then the head has it cut.
 *
 * On the tail, which has the link, blocks go on to be decoded in the order of their numbers: those
 * that exist already as they pass the clean stage, then those the line has finished. Of a clip
 * that goes on, the decoder first sees as many of the old ones as later pictures depend on.
 */
#include "base/clock.h"
#include "base/log.h"
#include "pipeline/decode/decode_link.h"
#include "pipeline/dit/noise.h"
#include "pipeline/engine/engine_internal.h"

#include <stdlib.h>
#include <string.h>

struct line_clips {
    struct group *t;
    const struct line *line;
    struct decode_link *link; /* tail only */
    struct track *track;
    float *record; /* of a block of which only the latent is at hand */

    struct live_clip *held;   /* linked by next_held */
    int64_t admitted, left;   /* clips; blocks of them that have not entered */
    int newest;               /* number of the last clip admitted; -1: none */
    struct board_state known; /* what the head decided by last */
};

/* Floats of a block's latent, and of its record. */
static int64_t latent_count(const struct line_clips *l) { return group_block_latent(&l->t->g); }
static int64_t record_count(const struct line_clips *l) { return group_block_record(&l->t->g); }

static struct live_clip *held_clip(const struct line_clips *l, int number)
{
    struct live_clip *c = l->held;

    while (c && c->number != number) c = c->next_held;
    return c;
}

/* ---- what the line asks for ------------------------------------------------------ */

static status fill_noise(void *arg, int clip, int64_t block, int level, float *out)
{
    const struct line_clips *const l = arg;

    noise_fill(out, latent_count(l), held_clip(l, clip)->spec.seed, block, level);
    return ST_OK;
}

static int64_t find_context(void *arg, int clip, int64_t block)
{
    return live_clip_context_id(held_clip(arg, clip), block);
}

static bool begins_scene(void *arg, int clip, int64_t block)
{
    return live_clip_changes(held_clip(arg, clip), block, CLIP_CUT);
}

static bool asks_for_recache(void *arg, int clip, int64_t block)
{
    return live_clip_changes(held_clip(arg, clip), block, CLIP_RECACHE);
}

static status fill_context(void *arg, int clip, int64_t block, float *embeds)
{
    const struct line_clips *const l = arg;
    const struct dit_shape *const s = &l->t->g.shape;

    live_clip_context(held_clip(l, clip), block, s->text_len, s->text_dim, embeds);
    return ST_OK;
}

/* ---- a clip that goes on ----------------------------------------------------------- */

/* What this rank cannot read. */
static void note_unread(struct live_clip *c)
{
    c->unread = *error_last();
    error_clear();
}

/* What stands behind checkpoint `resumed` of an attempt is read on each rank of the line. */
static status open_resume(const struct line_clips *l, struct live_clip *c)
{
    size_t const bytes = (size_t)record_count(l) * sizeof *c->last;
    int const windows = clip_window_blocks(l->t, c, c->resumed);
    const float *x0;

    c->resume = calloc(1, sizeof *c->resume);
    c->last = malloc(bytes);
    if (!c->resume || !c->last) return fail(ST_NOMEM, "no memory");
    TRY(snapshot_reader_open(c->resume, c->resume_dir, c->resumed));
    if (c->resume->s.latent != record_count(l))
        return fail(ST_FORMAT, "%s: latents of %lld numbers; this model's have %lld", c->resume_dir,
                    (long long)c->resume->s.latent, (long long)record_count(l));
    if (c->resume->s.windows < windows)
        return fail(ST_FORMAT, "%s: a window of %d blocks; %d are needed", c->resume_dir,
                    c->resume->s.windows, windows);
    TRY(snapshot_latent(c->resume, c->resumed - 1, &x0));
    memcpy(c->last, x0, bytes);
    return ST_OK;
}

/* [all] What it has come to on any rank counts for all. Nothing is wrong with the clip: another
 * render that goes on from there may have removed it. It may go well the next time, when the clip
 * goes on from what is left then, or begins anew. */
static status judge_reading(const struct line_clips *l, struct live_clip *c)
{
    struct comm *const line = l->t->line_comm;
    int whose;

    track_begin(l->track, TRACK_HAND_OVER, (struct track_at){ c->number, -1, -1, c->resumed });
    status const st = line_verdict(line, c->unread.st, &c->refusal, &whose);
    track_end(l->track);
    TRY(st);
    if (c->refusal == ST_OK) return ST_OK;
    if (whose == line->rank) log_warn("clip %s: cannot go on: %s", c->spec.name, c->unread.msg);
    if (c->refusal != ST_NOMEM) c->refusal = ST_PEER;
    return ST_OK;
}

/* The record of a block that is finished there; NULL: it, or one before, cannot be read here. */
static const float *read_record(struct live_clip *c, int64_t block)
{
    const float *x0;

    if (block == c->resumed - 1) return c->last;
    if (c->unread.st != ST_OK) return NULL;
    if (snapshot_latent(c->resume, block, &x0) == ST_OK) return x0;
    note_unread(c);
    return NULL;
}

static status fill_given(void *arg, int clip, int64_t block, float *x0)
{
    struct line_clips *const l = arg;
    struct live_clip *const c = held_clip(l, clip);
    size_t const bytes = (size_t)latent_count(l) * sizeof *x0;
    const float *const from =
        block < c->resumed ? read_record(c, block) : c->given + block * latent_count(l);

    if (from) memcpy(x0, from, bytes);
    else memset(x0, 0, bytes);
    return ST_OK;
}

static const void *find_choice(void *arg, int clip, int64_t block)
{
    const struct line_clips *const l = arg;
    const float *const x0 = read_record(held_clip(l, clip), block);

    return x0 ? x0 + latent_count(l) : NULL;
}

static status fill_window(void *arg, int clip, int64_t block, float *x)
{
    struct line_clips *const l = arg;
    const float *from;

    TRY(snapshot_window(held_clip(l, clip)->resume, block, &from));
    memcpy(x, from, (size_t)latent_count(l) * sizeof *x);
    return ST_OK;
}

/* On the tail: of the finished blocks the decoder sees as many as later pictures depend on, and
 * makes the pictures of those that have none in the videos yet. */
static status replay_blocks(struct line_clips *l, struct live_clip *c, int64_t end)
{
    const float *x0;

    for (; c->replayed < end && (x0 = read_record(c, c->replayed)); c->replayed++)
        TRY(decode_link_send(l->link, c->replayed < c->coded ? DECODE_WARM : DECODE_BLOCK,
                             c->number, c->replayed, x0));
    return ST_OK;
}

/* ---- what the line hands out --------------------------------------------------------- */

static status send_finished(void *arg, int clip, int64_t block, const float *x0)
{
    struct line_clips *const l = arg;
    struct live_clip *const c = held_clip(l, clip);

    if (c->resume) TRY(replay_blocks(l, c, c->resumed));
    return decode_link_send(l->link, DECODE_BLOCK, clip, block, x0);
}

static bool is_checkpoint(void *arg, int clip, int64_t blocks)
{
    const struct line_clips *const l = arg;
    return clip_window_due(l->t, held_clip(l, clip), blocks);
}

static status send_window(void *arg, int clip, int64_t block, const float *x)
{
    struct line_clips *const l = arg;
    return decode_link_send(l->link, DECODE_WINDOW, clip, block, x);
}

static bool is_stopped(void *arg)
{
    const struct line_clips *const l = arg;
    struct comm *const world = l->t->world;

    if (l->t->rank->o->stop()) comm_stop(world);
    return comm_stopped(world);
}

/* To rank 0: how the line is supplied; a message that is lost is made good by the next. */
static status send_supply(const struct line_clips *l, int busy, int newest)
{
    struct comm_control const m = { .kind = CONTROL_TICK,
                                    .value = { [TICK_LINE] = l->t->me->line,
                                               [TICK_BUSY] = busy,
                                               [TICK_LEFT] = l->left,
                                               [TICK_ADMITTED] = l->admitted,
                                               [TICK_NEWEST] = newest } };
    return comm_send_control(l->t->world, 0, &m);
}

/* A clip in the line that its ranks have refused; NULL: none. */
static const struct live_clip *refused_clip(const struct line_clips *l)
{
    const struct live_clip *c = l->held;

    while (c && (c->refusal == ST_OK || c->cut)) c = c->next_held;
    return c;
}

/* On the head: all that has come to the board joins. */
static status decide_boundary(void *arg, int64_t tick, bool idle, struct line_decision *out)
{
    struct line_clips *const l = arg;
    const struct live_clip *const refused = refused_clip(l);
    struct board_state now;

    (void)tick;
    if (idle) TRY(send_supply(l, 0, -1));
    TRY(clip_board_state(l->t->board, l->t->me->line, idle, &l->known, &now));
    *out = (struct line_decision){ .admitted = now.posted, .cut = -1, .over = now.over };
    const struct live_clip *const asked = held_clip(l, now.cut);
    if (refused) out->cut = refused->number;
    else if (asked && !asked->cut) out->cut = now.cut;
    /* One that joins only now, or that comes with a refused one: at the next boundary. */
    if (now.cut > l->newest || (refused && now.cut >= 0)) now.cuts--;
    l->known = now;
    return ST_OK;
}

/* Clips before the oldest one in the line are through, if they have been in it; all of them are
 * when the line is idle. */
static void release_clips(struct line_clips *l, int oldest)
{
    bool const idle = line_is_idle(l->line);

    for (struct live_clip **at = &l->held; *at;) {
        struct live_clip *const c = *at;
        if (c->number >= oldest && !idle) at = &c->next_held;
        else {
            *at = c->next_held;
            clip_board_release(l->t->board, c);
        }
    }
}

/* Whoever decodes learns that there is nothing to wait for. */
static status send_idle(struct line_clips *l)
{
    if (!l->link || !line_is_idle(l->line)) return ST_OK;
    return decode_link_send(l->link, DECODE_IDLE, l->newest, 0, NULL);
}

/* Blocks whose pictures were made before, or that go on to be decoded if no more enter. */
static int64_t count_sent(const struct live_clip *c)
{
    if (c->entered > c->resumed) return c->entered;
    return c->replayed > c->coded ? c->replayed : c->coded;
}

/* The blocks of a cut clip that have not entered never will. If there are any, it will not be
 * made: its encoder hears that from the tail, which no message but the world's end can keep from
 * it, and reports it. */
static status drop_clip(void *arg, int clip)
{
    struct line_clips *const l = arg;
    struct live_clip *const c = held_clip(l, clip);

    if (c->cut || c->entered == c->spec.blocks) return ST_OK;
    c->cut = true;
    l->left -= c->spec.blocks - c->entered;
    status const why = c->refusal == ST_OK ? ST_CANCELED : c->refusal;
    if (l->link) TRY(decode_link_cut(l->link, clip, count_sent(c), why));
    release_clips(l, -1);
    return send_idle(l);
}

/* ---- a clip that joins ------------------------------------------------------------------- */

static void hold_clip(struct line_clips *l, struct live_clip *c)
{
    c->next_held = l->held;
    l->held = c;
    l->admitted++;
    l->newest = c->number;
    c->entered = c->resumed;
    l->left += c->spec.blocks - c->entered;
}

static status begin_resume(struct line_clips *l, struct live_clip *c)
{
    int const frames = l->t->g.policy.frames_per_block;
    int64_t const past = (vae_past() + frames - 1) / frames;

    c->replayed = c->coded > past ? c->coded - past : 0;
    if (open_resume(l, c) != ST_OK) note_unread(c);
    return judge_reading(l, c);
}

static status take_entry(void *arg, int64_t i, struct timeline_entry *out)
{
    struct line_clips *const l = arg;
    struct live_clip *c;

    *out = (struct timeline_entry){ .clip = -1 };
    TRY(clip_board_nth(l->t->board, l->t->me->line, i, &c));
    hold_clip(l, c);
    if (c->resume_dir) TRY(begin_resume(l, c));
    if (c->refusal != ST_OK) return drop_clip(l, c->number);
    bool const goes_on = c->resume && c->resumed >= c->given_blocks;
    *out = (struct timeline_entry){ .clip = c->number,
                                    .blocks = c->spec.blocks,
                                    .clean = goes_on ? c->resumed : c->given_blocks,
                                    .opening = c->given_blocks,
                                    .chosen = goes_on,
                                    .goes_on = goes_on && kv_policy_joint(&l->t->g.policy) };
    return ST_OK;
}

/* ---- a tick that has ended --------------------------------------------------------------- */

/* Of a clip that goes on its whole window enters in one tick. */
static void count_entry(struct line_clips *l, struct place p)
{
    struct live_clip *const c = held_clip(l, p.clip);

    if (p.block < c->entered) return;
    l->left -= p.block + 1 - c->entered;
    c->entered = p.block + 1;
}

/* Blocks that exist pass the clean stage alone: by then all that came before has left the line.
 * Those of a clip that goes on are replayed; given ones go on to the decoder. */
static status follow_given(struct line_clips *l)
{
    struct place const p = line_place_of(l->line, l->t->g.schedule.levels);
    struct live_clip *const c = p.clip >= 0 && l->link ? held_clip(l, p.clip) : NULL;

    if (c && p.block < c->resumed) return replay_blocks(l, c, p.block + 1);
    if (!c || p.block >= c->given_blocks) return ST_OK;
    memcpy(l->record, c->given + p.block * latent_count(l),
           (size_t)latent_count(l) * sizeof *l->record);
    return decode_link_send(l->link, DECODE_BLOCK, p.clip, p.block, l->record);
}

/* Before the tick of the last block of an attempt: have all before it been read? */
static status judge_given(const struct line_clips *l)
{
    struct place const p = line_place_of(l->line, l->t->g.schedule.levels);
    struct live_clip *const c = p.clip >= 0 ? held_clip(l, p.clip) : NULL;

    return c && c->resume && p.block == c->resumed - 2 ? judge_reading(l, c) : ST_OK;
}

/* The line's places say which clips have a block in it. */
status line_clips_follow(struct line_clips *l)
{
    int busy = 0, oldest = -1, newest = -1;

    for (int s = 0; s <= l->t->g.schedule.levels; s++) {
        struct place const p = line_place_of(l->line, s);
        if (p.clip < 0) continue;
        busy++;
        if (oldest < 0 || p.clip < oldest) oldest = p.clip;
        if (p.clip > newest) newest = p.clip;
        count_entry(l, p);
    }
    TRY(follow_given(l));
    TRY(judge_given(l));
    release_clips(l, oldest);
    TRY(send_idle(l));
    return l->t->me->place ? ST_OK : send_supply(l, busy, newest);
}

/* ---- opening ------------------------------------------------------------------------------ */

status line_clips_open(struct line_clips **out, struct group *t, const struct line *line,
                       struct decode_link *link, struct track *track)
{
    struct line_clips *const l = *out = calloc(1, sizeof *l);

    if (!l) return fail(ST_NOMEM, "the line's clips: no memory");
    *l = (struct line_clips){ .t = t, .line = line, .link = link, .track = track, .newest = -1 };
    l->record = calloc((size_t)record_count(l), sizeof *l->record);
    if (l->record) return ST_OK;
    line_clips_close(out);
    return fail(ST_NOMEM, "the line's clips: no memory");
}

void line_clips_close(struct line_clips **clips)
{
    if (*clips) free((*clips)->record);
    free(*clips); /* its clips are the board's */
    *clips = NULL;
}

struct line_io line_clips_io(struct line_clips *l)
{
    return (struct line_io){ .arg = l,
                             .decide = decide_boundary,
                             .entry = take_entry,
                             .dropped = drop_clip,
                             .noise = fill_noise,
                             .context_id = find_context,
                             .context = fill_context,
                             .cut = begins_scene,
                             .recache = asks_for_recache,
                             .given = fill_given,
                             .chosen = find_choice,
                             .window = fill_window,
                             .checkpoint = is_checkpoint,
                             .keep = send_window,
                             .finished = send_finished,
                             .stop = is_stopped };
}
