/*
 * dispatch_list.c - rank 0: the clips in work, and what their lines have left.
 *
 * One table under one lock. The dispatcher's thread adds clips, hands them to lines and takes them
 * off; other threads only note in it what they have been told: a line's head with every tick, an
 * encoder with every block (both may be lost, and the next of its kind makes it good), and an
 * encoder's report of a clip's end, which cannot be lost. So nobody who reports waits for the
 * source, and the source is called with no lock held.
 */
#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "pipeline/engine/dispatch/dispatch_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a line's head has said last. */
struct supply {
    int64_t handed;         /* clips, by the dispatcher */
    int64_t admitted, left; /* clips; blocks of them that have not entered */
    bool ended;             /* its encoder */
    int busy, shown;        /* stages with a block; that events know */
    struct {
        bool held; /* the encoder has not let go of it yet */
        int number;
        int64_t grace_ms;
    } expired; /* the first clip that took too long */
};

struct dispatch_list {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool news;                     /* since the dispatcher waited last */
    struct dispatch_entry **entry; /* [entries], in the order they came */
    int entries, room;
    int lines;
    struct supply line[ROLES_RANKS];
};

status dispatch_list_open(struct dispatch_list **out)
{
    struct dispatch_list *const l = *out = calloc(1, sizeof *l);

    if (!l) return fail(ST_NOMEM, "clips in work: no memory");
    pthread_mutex_init(&l->lock, NULL);
    condvar_init(&l->changed);
    return ST_OK;
}

static void free_entry(struct dispatch_entry *e)
{
    free(e->why);
    snapshot_unlock(&e->lock);
    free(e);
}

void dispatch_list_close(struct dispatch_list **list)
{
    struct dispatch_list *const l = *list;

    if (!l) return;
    for (int i = 0; i < l->entries; i++) free_entry(l->entry[i]);
    free(l->entry);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l);
    *list = NULL;
}

void dispatch_list_set_lines(struct dispatch_list *l, int lines) { l->lines = lines; }

/* ---- what others report, on their threads --------------------------------------------- */

static struct dispatch_entry *find_entry(const struct dispatch_list *l, int number)
{
    for (int i = 0; i < l->entries; i++)
        if (l->entry[i]->number == number) return l->entry[i];
    return NULL;
}

static void signal_news(struct dispatch_list *l)
{
    l->news = true;
    pthread_cond_signal(&l->changed);
}

static void settle_entry(struct dispatch_entry *e, status st, const char *why)
{
    if (e->over) return;
    e->over = true;
    e->st = st;
    e->why = why && *why ? strdup(why) : NULL;
}

/* Clips of the line that nobody has reported will not be. */
static void settle_line(struct dispatch_list *l, int line)
{
    for (int i = 0; i < l->entries; i++)
        if (l->entry[i]->line == line) settle_entry(l->entry[i], ST_CANCELED, "stopped");
}

static void mark_begun(struct dispatch_entry *e)
{
    if (!e->begun) e->begun_at = e->moved_at = clock_seconds();
    e->begun = true;
}

/* Up to and with this block it is encoded. */
static void note_encoded(struct dispatch_entry *e, int64_t block)
{
    mark_begun(e);
    if (block < e->encoded) return;
    e->encoded = block + 1;
    e->moved_at = clock_seconds();
}

/* True: the clip took too long, and was put in its place at that very moment. */
static bool note_let_go(struct supply *s, const struct clip_report *r)
{
    if (!s->expired.held || s->expired.number != r->number) return false;
    s->expired.held = false;
    return r->st == ST_OK;
}

void dispatch_list_take_report(struct dispatch_list *l, int line, const struct clip_report *r)
{
    pthread_mutex_lock(&l->lock);
    struct dispatch_entry *const e = r->number >= 0 ? find_entry(l, r->number) : NULL;

    bool const late = note_let_go(&l->line[line], r);

    if (r->number < 0) {
        l->line[line].ended = true;
        settle_line(l, line);
    } else if (e) {
        if (r->st == ST_OK) note_encoded(e, e->item.clip->blocks - 1);
        settle_entry(e, (status)r->st, r->why);
    }
    signal_news(l);
    pthread_mutex_unlock(&l->lock);
    if (late) log_warn("a clip that exceeded its run.timeouts has finished after all");
}

/* Its first block stands at stage 0, or has stood there. Of a clip that goes on the clean passes
 * of all finished blocks come first, one a tick: each is a step. */
static void note_entered(struct dispatch_entry *e)
{
    mark_begun(e);
    if (e->resumed && e->encoded == e->resumed) e->moved_at = clock_seconds();
}

static void note_tick(struct dispatch_list *l, const int64_t value[])
{
    int const line = (int)value[TICK_LINE];

    l->line[line].busy = (int)value[TICK_BUSY];
    l->line[line].left = value[TICK_LEFT];
    l->line[line].admitted = value[TICK_ADMITTED];
    for (int i = 0; i < l->entries; i++) {
        struct dispatch_entry *const e = l->entry[i];
        if (e->line == line && e->number <= value[TICK_NEWEST]) note_entered(e);
    }
}

static void note_block(struct dispatch_list *l, const int64_t value[])
{
    struct dispatch_entry *const e = find_entry(l, (int)value[BLOCK_CLIP]);

    if (e) note_encoded(e, value[BLOCK_NUMBER]);
}

void dispatch_list_take_control(void *list, const struct comm_control *m)
{
    struct dispatch_list *const l = list;

    pthread_mutex_lock(&l->lock);
    if (m->kind == CONTROL_TICK) note_tick(l, m->value);
    if (m->kind == CONTROL_BLOCK) note_block(l, m->value);
    signal_news(l);
    pthread_mutex_unlock(&l->lock);
}

void dispatch_list_wake(struct dispatch_list *l)
{
    pthread_mutex_lock(&l->lock);
    signal_news(l);
    pthread_mutex_unlock(&l->lock);
}

/* ---- what the dispatcher asks ----------------------------------------------------------- */

void dispatch_list_wait(struct dispatch_list *l, double seconds)
{
    pthread_mutex_lock(&l->lock);
    if (!l->news) condvar_wait_for(&l->changed, &l->lock, seconds);
    l->news = false;
    pthread_mutex_unlock(&l->lock);
}

bool dispatch_list_next_change(struct dispatch_list *l, struct dispatch_entry *out)
{
    bool found = false;

    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->entries && !found; i++) {
        struct dispatch_entry *const e = l->entry[i];
        found = e->over || e->begun != e->begun_reported || e->encoded > e->reported;
        if (!found) continue;
        *out = *e;
        e->begun_reported = e->begun;
        e->reported = e->encoded;
        if (!e->over) break;
        memmove(l->entry + i, l->entry + i + 1, (size_t)(l->entries - i - 1) * sizeof *l->entry);
        l->entries--;
        free(e);
    }
    pthread_mutex_unlock(&l->lock);
    return found;
}

bool dispatch_list_take_busy(struct dispatch_list *l, int line, int *busy)
{
    pthread_mutex_lock(&l->lock);
    *busy = l->line[line].busy;
    bool const news = *busy != l->line[line].shown;
    l->line[line].shown = *busy;
    pthread_mutex_unlock(&l->lock);
    return news;
}

int dispatch_list_count_waiting(struct dispatch_list *l)
{
    int n = 0;

    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->entries; i++) n += !l->entry[i]->begun && !l->entry[i]->over;
    pthread_mutex_unlock(&l->lock);
    return n;
}

int dispatch_list_find_unhanded(struct dispatch_list *l, struct dispatch_entry *out[], int most)
{
    int n = 0;

    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->entries && n < most; i++)
        if (l->entry[i]->line < 0 && !l->entry[i]->over) out[n++] = l->entry[i];
    pthread_mutex_unlock(&l->lock);
    return n;
}

/* Blocks that the line still can let in, and those of clips that it has not admitted yet. */
static int64_t blocks_left(const struct dispatch_list *l, int line)
{
    int64_t n = l->line[line].left;

    for (int i = 0; i < l->entries; i++) {
        const struct dispatch_entry *const e = l->entry[i];
        if (e->line == line && !e->over && e->nth >= l->line[line].admitted)
            n += e->item.clip->blocks;
    }
    return n;
}

int dispatch_list_find_line(struct dispatch_list *l, int64_t blocks)
{
    int line = -1;

    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->lines; i++) {
        int64_t const left = blocks_left(l, i);
        if (left >= blocks) continue;
        blocks = left;
        line = i;
    }
    pthread_mutex_unlock(&l->lock);
    return line;
}

bool dispatch_list_ended(struct dispatch_list *l)
{
    bool all = true;

    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->lines; i++) all = all && l->line[i].ended;
    pthread_mutex_unlock(&l->lock);
    return all;
}

/* ---- what it does --------------------------------------------------------------------- */

status dispatch_list_add(struct dispatch_list *l, const struct work_item *item)
{
    struct dispatch_entry *const e = calloc(1, sizeof *e);
    status st = ST_OK;

    if (!e) return fail(ST_NOMEM, "clip %s", item->clip->name);
    *e = (struct dispatch_entry){ .item = *item, .number = -1, .line = -1 };
    pthread_mutex_lock(&l->lock);
    struct dispatch_entry **const more = array_grow(l->entry, l->entries, &l->room, sizeof *more);
    if (more) {
        l->entry = more;
        l->entry[l->entries++] = e;
    } else st = fail(ST_NOMEM, "%d clips in work", l->entries + 1);
    pthread_mutex_unlock(&l->lock);
    if (st != ST_OK) free(e);
    return st;
}

void dispatch_list_drop(struct dispatch_list *l)
{
    pthread_mutex_lock(&l->lock);
    while (l->entries) free_entry(l->entry[--l->entries]);
    pthread_mutex_unlock(&l->lock);
}

void dispatch_list_hand(struct dispatch_list *l, struct dispatch_entry *e, struct live_clip *c,
                        int line, int number)
{
    pthread_mutex_lock(&l->lock);
    e->encoded = e->reported = e->resumed = c->coded;
    c->number = e->number = number;
    c->line = e->line = line;
    e->lock = c->lock;
    c->lock = NULL;
    e->nth = l->line[line].handed++;
    pthread_mutex_unlock(&l->lock);
}

void dispatch_list_refuse(struct dispatch_list *l, struct dispatch_entry *e, status st,
                          const char *why)
{
    pthread_mutex_lock(&l->lock);
    settle_entry(e, st, why);
    pthread_mutex_unlock(&l->lock);
}

void dispatch_list_refuse_unhanded(struct dispatch_list *l, status st, const char *why)
{
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->entries; i++)
        if (l->entry[i]->line < 0) settle_entry(l->entry[i], st, why);
    pthread_mutex_unlock(&l->lock);
}

int dispatch_list_withdraw(struct dispatch_list *l, int64_t ticket, int *number)
{
    int line = -1;

    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->entries; i++) {
        struct dispatch_entry *const e = l->entry[i];
        if (e->item.ticket != ticket || e->over) continue;
        line = e->line;
        *number = e->number;
        if (line < 0) settle_entry(e, ST_CANCELED, "withdrawn");
    }
    pthread_mutex_unlock(&l->lock);
    return line;
}

void dispatch_list_settle(struct dispatch_list *l, const char *why)
{
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->entries; i++) settle_entry(l->entry[i], ST_CANCELED, why);
    pthread_mutex_unlock(&l->lock);
}

/* ---- time -------------------------------------------------------------------------------- */

/* A limit of 0: never. */
static bool has_passed(int64_t limit_ms, double since, double now)
{
    return limit_ms && (now - since) * 1000 > (double)limit_ms;
}

/* Its encoder may hang, so it is not waited for: the clip has failed, and is cut. */
static void expire_entry(struct dispatch_list *l, struct dispatch_entry *e, double now)
{
    const struct clip_spec *const c = e->item.clip;
    struct supply *const line = &l->line[e->line];
    char why[128];

    if (has_passed(c->timeout_ms, e->begun_at, now))
        snprintf(why, sizeof why, "run.timeouts.clip: not done after %lld s, at block %lld of %lld",
                 (long long)c->timeout_ms / 1000, (long long)e->encoded, (long long)c->blocks);
    else if (has_passed(c->stall_ms, e->moved_at, now))
        snprintf(why, sizeof why, "run.timeouts.stall: no block for %lld s, behind %lld of %lld",
                 (long long)c->stall_ms / 1000, (long long)e->encoded, (long long)c->blocks);
    else return;
    settle_entry(e, ST_MISMATCH, why);
    if (line->expired.held) return;
    line->expired.held = true;
    line->expired.number = e->number;
    line->expired.grace_ms = c->grace_ms;
}

void dispatch_list_expire(struct dispatch_list *l)
{
    double const now = clock_seconds();

    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->entries; i++)
        if (l->entry[i]->begun && !l->entry[i]->over) expire_entry(l, l->entry[i], now);
    pthread_mutex_unlock(&l->lock);
}

struct grace {
    int64_t most_ms;
    bool limited; /* by each clip */
};

static void count_grace(struct grace *g, int64_t ms)
{
    g->limited = g->limited && ms;
    if (ms > g->most_ms) g->most_ms = ms;
}

int64_t dispatch_list_grace(struct dispatch_list *l)
{
    struct grace g = { .limited = true };

    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->entries; i++)
        if (l->entry[i]->line >= 0 && !l->entry[i]->over)
            count_grace(&g, l->entry[i]->item.clip->grace_ms);
    for (int i = 0; i < l->lines; i++)
        if (l->line[i].expired.held && !l->line[i].ended)
            count_grace(&g, l->line[i].expired.grace_ms);
    pthread_mutex_unlock(&l->lock);
    return g.limited ? g.most_ms : 0;
}
