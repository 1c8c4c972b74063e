/* made_source.c - a clip comes when so much has been encoded, begun or asked for in vain, so that a
 * test says when it joins without a clock; what the engine reports of it is written down. */
#include "tests/engine/made_source.h"
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static bool has_come(const struct made_source *s, const struct made_clip *c)
{
    return !c->given && s->blocks >= c->after_blocks && s->begun >= c->after_begun &&
           s->asked_in_vain >= c->after_asked && s->told >= c->after_told;
}

static struct work_item item_of(const struct made_source *s, int i)
{
    return (struct work_item){ i, &s->clip[i].spec, s->clip[i].model };
}

static status give_next(void *arg, const struct work_item *group, double wait_s,
                        struct work_item *out, enum work_next *what)
{
    struct made_source *const s = arg;
    bool of_group = false, others = false;

    for (int i = 0; i < s->clips; i++) {
        struct work_item const item = item_of(s, i);
        bool const same = !group || work_same_group(group, &item);
        if (s->clip[i].given) continue;
        of_group = of_group || same;
        others = others || !same;
        if (!same || !has_come(s, &s->clip[i])) continue;
        s->clip[i].given = true;
        s->clip[i].given_at = clock_seconds();
        *out = item;
        *what = WORK_CLIP;
        return ST_OK;
    }
    *what = of_group ? WORK_LATER : others ? WORK_OTHER : WORK_END;
    s->gave_up = s->gave_up || s->asked_in_vain >= MADE_PATIENCE;
    if (s->gave_up) *what = WORK_END;
    if (*what == WORK_LATER) s->asked_in_vain++;
    if (*what == WORK_LATER && wait_s > 0)
        nanosleep(&(struct timespec){ .tv_nsec = 1000000L }, NULL);
    return ST_OK;
}

static status sum_outlook(void *arg, const struct work_item *first, struct work_outlook *out)
{
    const struct made_source *const s = arg;

    *out = (struct work_outlook){ .more = s->more };
    if (s->opening) s->opening(first->ticket);
    for (int i = 0; i < (s->view ? s->view : s->clips); i++) {
        struct work_item const item = item_of(s, i);
        const struct clip_spec *const c = &s->clip[i].spec;
        if (!work_same_group(first, &item)) continue;
        work_outlook_add(out, c);
        out->texts += c->prompts;
    }
    out->tokens = 64 * out->texts;
    return ST_OK;
}

static void note_begun(void *arg, int64_t ticket)
{
    struct made_source *const s = arg;

    s->clip[ticket].begun++;
    s->begun++;
}

static void note_progress(void *arg, int64_t ticket, int64_t blocks)
{
    struct made_source *const s = arg;

    s->blocks += blocks - s->clip[ticket].blocks;
    s->clip[ticket].blocks = blocks;
    if (s->stop && s->blocks >= s->stop_at) atomic_store(s->stop, true);
    if (s->moving) s->moving(ticket);
}

static void note_told(struct made_source *s, struct made_clip *c)
{
    c->told_at = clock_seconds();
    s->told++;
    s->asked_in_vain = 0;
}

static void note_done(void *arg, int64_t ticket)
{
    struct made_source *const s = arg;

    s->clip[ticket].done++;
    note_told(s, &s->clip[ticket]);
}

static void note_failed(void *arg, int64_t ticket, status st, const char *why)
{
    struct made_source *const s = arg;
    struct made_clip *const c = &s->clip[ticket];

    c->failed++;
    c->st = st;
    snprintf(c->why, sizeof c->why, "%s", why);
    note_told(s, c);
    s->lefts += s->left && s->left(s);
    if (s->failing) s->failing(ticket);
}

static int64_t withdraw(void *arg)
{
    struct made_source *const s = arg;

    for (int i = 0; i < s->clips; i++) {
        struct made_clip *const c = &s->clip[i];
        if (!c->given || c->withdrawn || c->withdraw_at < 0 || c->blocks < c->withdraw_at) continue;
        if (c->withdraw_if && !atomic_load(c->withdraw_if)) continue;
        c->withdrawn = true;
        return i;
    }
    return -1;
}

struct work_source made_source_of(struct made_source *s)
{
    static const struct work_source_ops ops = { .next = give_next,
                                                .outlook = sum_outlook,
                                                .begun = note_begun,
                                                .progress = note_progress,
                                                .done = note_done,
                                                .failed = note_failed,
                                                .withdrawn = withdraw };
    return (struct work_source){ &ops, s };
}
