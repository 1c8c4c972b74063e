/*
 * clip_starts.c - on rank 0: the clips that come next, each with what it begins with, prepared
 * beside the running line.
 *
 * Given blocks are read, or decoded and encoded; of an attempt to go on from all latents are read,
 * so that it is known to be whole. Either may take a while. So a thread does it, one clip after the
 * other, ahead of the lines, and whoever asks goes on meanwhile.
 *
 * The source may take a clip back at any time, and its clip_spec with it. So a clip is copied
 * before it is prepared, and known by its ticket; one that nobody asks for any more is dropped, and
 * its preparation ends at the next picture or piece of a file. Given blocks may be as large as a
 * clip's latents: what is prepared are the few clips that are asked for, and no more.
 */
#include "base/strbuf.h"
#include "jobs/spec/spec_json.h"
#include "pipeline/engine/dispatch/dispatch_internal.h"
#include "pipeline/engine/output_formats.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { NO_TICKET = -1 };

struct prepared_clip {
    int64_t ticket;
    struct live_clip *live; /* owned */
    struct error why;       /* ST_OK: it can be handed to a line */
};

struct clip_starts {
    struct group *t;
    struct start_reader *reader;
    struct background thread;

    struct prepared_clip next;  /* the thread's while it answers, but for the ticket */
    struct group_verdict fault; /* the thread's, too: no start can be read any more */
    atomic_bool unwanted;       /* nobody asks for the next clip any more */

    struct prepared_clip clip[STARTS_AHEAD];
    int clips;
};

/* ---- the thread -------------------------------------------------------------------------- */

/* Nobody waits for the clip any more. */
static bool is_unwanted(void *arg)
{
    struct clip_starts *const s = arg;
    return comm_stopped(s->t->world) || comm_aborted(s->t->world) || atomic_load(&s->unwanted);
}

static status prepare_clip(void *arg)
{
    struct clip_starts *const s = arg;
    struct live_clip *const c = s->next.live;
    bool at_fault;

    status st = start_reader_read(s->reader, c, &at_fault);
    if (st != ST_OK && at_fault) group_verdict_set(&s->fault, st, 0, error_last()->msg);
    if (st == ST_OK) st = clip_find_resume(s->t, c, is_unwanted, s);
    if (st == ST_OK) return ST_OK;
    s->next.why = *error_last();
    error_clear();
    return ST_OK;
}

status clip_starts_open(struct clip_starts **out, struct group *t)
{
    struct clip_starts *const s = *out = calloc(1, sizeof *s);

    if (!s) return fail(ST_NOMEM, "clips: no memory");
    s->t = t;
    s->next.ticket = NO_TICKET;
    background_open(&s->thread, &(struct background_config){
                                    .name = "starts", .t = t, .answer = prepare_clip, .arg = s });
    return start_reader_open(&s->reader, t, is_unwanted, s);
}

void clip_starts_close(struct clip_starts **starts)
{
    struct clip_starts *const s = *starts;

    if (!s) return;
    atomic_store(&s->unwanted, true);
    background_close(&s->thread);
    live_clip_free(s->next.live);
    for (int i = 0; i < s->clips; i++) live_clip_free(s->clip[i].live);
    start_reader_close(&s->reader);
    free(s);
    *starts = NULL;
}

status clip_starts_start(struct clip_starts *s) { return background_start(&s->thread); }

status clip_starts_end(struct clip_starts *s, status st)
{
    atomic_store(&s->unwanted, true);
    return background_end(&s->thread, st);
}

/* ---- asking ------------------------------------------------------------------------------ */

/* What a live clip is made of is what the other ranks read, too. */
static status copy_clip(struct live_clip **out, const struct clip_spec *spec)
{
    struct strbuf json = { 0 };
    struct live_clip *c = calloc(1, sizeof *c);
    status st = ST_OK;

    *out = NULL;
    if (!c) return fail(ST_NOMEM, "clip %s", spec->name);
    TRY_OUT(clip_spec_to_json(&json, spec));
    TRY_OUT(clip_spec_from_json(&c->spec, json.s, json.len));
    c->formats = clip_pixel_formats(&c->spec);
    *out = c;
    c = NULL; /* handed over */
out:
    strbuf_free(&json);
    live_clip_free(c);
    return st;
}

static bool is_among(int64_t ticket, const struct work_item *item, int items)
{
    for (int i = 0; i < items; i++)
        if (item[i].ticket == ticket) return true;
    return false;
}

static struct prepared_clip *find_prepared(struct clip_starts *s, int64_t ticket)
{
    for (int i = 0; i < s->clips; i++)
        if (s->clip[i].ticket == ticket) return &s->clip[i];
    return NULL;
}

/* Takes the clip over. */
static void keep_prepared(struct clip_starts *s, struct prepared_clip *p)
{
    s->clip[s->clips++] = *p;
    *p = (struct prepared_clip){ .ticket = NO_TICKET };
}

/* The caller's now. */
static struct prepared_clip take_prepared(struct clip_starts *s, struct prepared_clip *at)
{
    struct prepared_clip const p = *at;

    *at = s->clip[--s->clips];
    return p;
}

static void drop_others(struct clip_starts *s, const struct work_item *item, int items)
{
    for (int i = s->clips; i-- > 0;)
        if (!is_among(s->clip[i].ticket, item, items))
            live_clip_free(take_prepared(s, &s->clip[i]).live);
    if (s->next.ticket != NO_TICKET && !is_among(s->next.ticket, item, items))
        atomic_store(&s->unwanted, true);
}

void clip_starts_ask(struct clip_starts *s, const struct work_item *item, int items)
{
    drop_others(s, item, items);
    for (int i = 0; i < items && background_is_idle(&s->thread); i++) {
        if (find_prepared(s, item[i].ticket)) continue;
        s->next = (struct prepared_clip){ .ticket = item[i].ticket };
        if (copy_clip(&s->next.live, item[i].clip) != ST_OK) {
            s->next.why = *error_last();
            error_clear();
            keep_prepared(s, &s->next);
            continue;
        }
        s->fault = (struct group_verdict){ .st = ST_OK };
        atomic_store(&s->unwanted, false);
        background_ask(&s->thread);
    }
}

void clip_starts_collect(struct clip_starts *s, struct group_verdict *failed)
{
    *failed = (struct group_verdict){ .st = ST_OK };
    if (!background_take(&s->thread)) return;
    *failed = s->fault;
    if (atomic_load(&s->unwanted) || s->next.why.st == ST_CANCELED) {
        live_clip_free(s->next.live);
        s->next = (struct prepared_clip){ .ticket = NO_TICKET };
    } else keep_prepared(s, &s->next);
}

bool clip_starts_has(struct clip_starts *s, int64_t ticket)
{
    return find_prepared(s, ticket) != NULL;
}

status clip_starts_give(struct clip_starts *s, int64_t ticket, struct live_clip **out)
{
    struct prepared_clip const p = take_prepared(s, find_prepared(s, ticket));

    *out = NULL;
    if (p.why.st == ST_OK) {
        *out = p.live;
        return ST_OK;
    }
    live_clip_free(p.live);
    error_adopt(&p.why);
    return p.why.st;
}
