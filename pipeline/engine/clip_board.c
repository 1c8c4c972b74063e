/*
 * clip_board.c - the clips that a rank has received, and who still needs them.
 *
 * A clip's description comes by the feed, its blocks by the line: whichever of the two is first
 * here waits for the other. So every look-up of a clip that is not there yet waits; it ends when
 * the clip comes, or when nothing can come any more because the feed broke.
 */
#include "base/array.h"
#include "base/clock.h"
#include "base/thread.h"
#include "pipeline/engine/engine_internal.h"

#include <stdlib.h>

/* A stop is looked for so often while a rank waits for work. */
static double const look_every_s = 0.1;

/* A head that waits for work comes back after so many looks, to report that it is idle. */
enum { LOOKS = 10 };

struct clip_board {
    struct comm *world;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct board_clip {
        struct live_clip *clip;
        int64_t nth; /* of its line */
    } * clip;        /* [clips]: those in use */
    int clips, room;
    struct board_line {
        int64_t posted;
        int *cut; /* [cuts] */
        int cuts, cut_room;
        bool over;
    } line[ROLES_RANKS];
    bool broken;
    struct error why;
};

void live_clip_free(struct live_clip *c)
{
    if (!c) return;
    for (int i = 0; i < c->texts; i++) free(c->text[i].rows);
    free(c->text);
    free(c->text_of);
    free(c->given);
    if (c->resume) snapshot_reader_close(c->resume);
    free(c->resume);
    free(c->last);
    free(c->resume_dir);
    snapshot_unlock(&c->lock);
    clip_spec_free(&c->spec);
    free(c);
}

status clip_board_open(struct clip_board **out, struct comm *world)
{
    struct clip_board *const b = calloc(1, sizeof *b);

    *out = NULL;
    if (!b) return fail(ST_NOMEM, "clips in work: no memory");
    b->world = world;
    pthread_mutex_init(&b->lock, NULL);
    condvar_init(&b->changed);
    *out = b;
    return ST_OK;
}

void clip_board_close(struct clip_board **board)
{
    struct clip_board *const b = *board;

    if (!b) return;
    for (int i = 0; i < b->clips; i++) live_clip_free(b->clip[i].clip);
    for (int i = 0; i < COUNT_OF(b->line); i++) free(b->line[i].cut);
    free(b->clip);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b);
    *board = NULL;
}

/* ---- what a feed puts there -------------------------------------------------------- */

static void break_with(struct clip_board *b, const struct error *why)
{
    if (!b->broken) b->why = *why;
    b->broken = true;
    pthread_cond_broadcast(&b->changed);
}

static status make_room(struct clip_board *b)
{
    struct board_clip *const more = array_grow(b->clip, b->clips, &b->room, sizeof *more);

    if (!more) return fail(ST_NOMEM, "%d clips in work", b->clips + 1);
    b->clip = more;
    return ST_OK;
}

void clip_board_post(struct clip_board *b, struct live_clip *c, int users)
{
    pthread_mutex_lock(&b->lock);
    struct board_line *const line = &b->line[c->line];
    int64_t const nth = line->posted++;

    c->users = users;
    c->posted = clock_seconds();
    c->came = c->coded;
    c->ends = c->spec.blocks;
    if (users && make_room(b) == ST_OK)
        b->clip[b->clips++] = (struct board_clip){ .clip = c, .nth = nth };
    else {
        if (users) break_with(b, error_last());
        live_clip_free(c);
    }
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

void clip_board_cut(struct clip_board *b, int line, int number)
{
    pthread_mutex_lock(&b->lock);
    struct board_line *const l = &b->line[line];
    int *const more = array_grow(l->cut, l->cuts, &l->cut_room, sizeof *more);

    if (more) {
        l->cut = more;
        l->cut[l->cuts++] = number;
    } /* else the clip is rendered though nobody wants it */
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

bool clip_board_is_cut(struct clip_board *b, int line, int number)
{
    bool cut = false;

    pthread_mutex_lock(&b->lock);
    for (int i = 0; i < b->line[line].cuts && !cut; i++) cut = b->line[line].cut[i] == number;
    pthread_mutex_unlock(&b->lock);
    return cut;
}

void clip_board_end(struct clip_board *b, int line)
{
    pthread_mutex_lock(&b->lock);
    b->line[line].over = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

void clip_board_break(struct clip_board *b, const struct error *why)
{
    pthread_mutex_lock(&b->lock);
    break_with(b, why);
    pthread_mutex_unlock(&b->lock);
}

/* ---- what workers take ------------------------------------------------------------- */

static bool is_news(const struct board_line *a, const struct board_state *known)
{
    return a->posted != known->posted || a->cuts != known->cuts || a->over != known->over;
}

/* With the lock: until something changes, or it is time to look for a stop. ST_PEER behind a
 * feed that broke. */
static status wait_for_change(struct clip_board *b)
{
    if (b->broken) {
        error_adopt(&b->why);
        return b->why.st;
    }
    if (comm_aborted(b->world)) return fail(ST_PEER, "another rank has failed");
    condvar_wait_for(&b->changed, &b->lock, look_every_s);
    return ST_OK;
}

status clip_board_state(struct clip_board *b, int line, bool wait, const struct board_state *known,
                        struct board_state *out)
{
    const struct board_line *const l = &b->line[line];
    status st = ST_OK;

    pthread_mutex_lock(&b->lock);
    for (int i = 0; wait && i < LOOKS && st == ST_OK && !is_news(l, known); i++) {
        st = wait_for_change(b);
        if (st == ST_OK && comm_stopped(b->world)) st = fail(ST_CANCELED, "stopped");
    }
    *out = (struct board_state){
        .posted = l->posted, .cuts = known->cuts, .cut = -1, .over = l->over
    };
    if (l->cuts > known->cuts) out->cut = l->cut[out->cuts++];
    pthread_mutex_unlock(&b->lock);
    return st;
}

static struct live_clip *look_up(const struct clip_board *b, int line, int64_t nth, int number)
{
    for (int i = 0; i < b->clips; i++) {
        struct live_clip *const c = b->clip[i].clip;
        if (number >= 0 ? c->number == number : c->line == line && b->clip[i].nth == nth) return c;
    }
    return NULL;
}

static status await_clip(struct clip_board *b, int line, int64_t nth, int number,
                         struct live_clip **out)
{
    status st = ST_OK;

    pthread_mutex_lock(&b->lock);
    while (!(*out = look_up(b, line, nth, number)) && st == ST_OK) st = wait_for_change(b);
    pthread_mutex_unlock(&b->lock);
    return *out ? ST_OK : st;
}

status clip_board_nth(struct clip_board *b, int line, int64_t i, struct live_clip **out)
{
    return await_clip(b, line, i, -1, out);
}

status clip_board_find(struct clip_board *b, int number, struct live_clip **out)
{
    return await_clip(b, -1, -1, number, out);
}

status clip_board_formats(struct clip_board *b, int number, unsigned *out)
{
    struct live_clip *c;

    TRY(clip_board_find(b, number, &c));
    pthread_mutex_lock(&b->lock);
    c = look_up(b, -1, -1, number); /* it may have gone meanwhile, if its encoder failed */
    *out = c ? c->formats : 0;
    pthread_mutex_unlock(&b->lock);
    return c ? ST_OK : fail(ST_PEER, "clip %d is not there any more", number);
}

/* With the lock. The clip if nobody needs it any more, off the board; else NULL. */
static struct live_clip *drop_user(struct clip_board *b, int i)
{
    struct live_clip *const c = b->clip[i].clip;

    if (--c->users) return NULL;
    b->clip[i] = b->clip[--b->clips];
    return c;
}

void clip_board_release(struct clip_board *b, struct live_clip *c)
{
    struct live_clip *last = NULL;

    pthread_mutex_lock(&b->lock);
    for (int i = 0; i < b->clips; i++)
        if (b->clip[i].clip == c) {
            last = drop_user(b, i);
            break;
        }
    pthread_mutex_unlock(&b->lock);
    live_clip_free(last);
}
