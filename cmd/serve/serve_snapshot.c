/* serve_snapshot.c - the queue's rows as one JSON value, which page, metrics and API show. */
#include "base/clock.h"
#include "base/json_build.h"
#include "base/log.h"
#include "base/utf8.h"
#include "cmd/queue/queue_json.h"
#include "cmd/serve/serve_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double const fresh_s = 1, slow_s = 60, again_s = 5, rest = 20;
enum { SHEET_MOST = 64 << 20 };

/* One snapshot in the making. */
struct taking {
    const struct serve_roots *roots;
    const json_t *known; /* folders of the snapshot before */
    const json_t *old;   /* that snapshot; or NULL */
    bool slow_due;       /* what is slow to read is to be read; else it is taken from `old` */
    bool slow_asked;     /* it was, whether or not it was answered */
    json_t *list, *folder;
    int64_t now;
};

/* ---- rows ---- */

static void take_job(void *arg, const struct queue_job_status *s)
{
    struct taking *const t = arg;
    json_add(&t->list, queue_job_json(s));
}

static void take_world(void *arg, const struct queue_world_status *s)
{
    struct taking *const t = arg;
    json_add(&t->list, queue_world_json(s, t->now));
}

static void take_owner(void *arg, const struct queue_owner *o)
{
    struct taking *const t = arg;
    json_add(&t->list, queue_owner_json(o));
}

static void take_pace(void *arg, const struct queue_pace *p)
{
    struct taking *const t = arg;
    json_t *o = json_object();

    json_set_number(&o, "from_ms", p->from);
    json_set_number(&o, "clips", p->clips);
    json_set_number(&o, "pictures", p->pictures);
    json_add(&t->list, o);
}

static json_t *brief_json(const struct queue_clip_brief *b)
{
    json_t *o = json_object();

    json_set_number(&o, "id", b->job);
    json_set_text(&o, "job", b->uid);
    json_set_number(&o, "clip", b->index);
    json_set_number(&o, "attempt", b->attempt);
    json_set_number(&o, "world", b->world);
    json_set_text(&o, "host", b->host);
    json_set_text(&o, "values", b->values);
    return o;
}

/* By the pace since it entered the line; nobody knows before its first block. */
static json_t *eta_json(const struct queue_clip_brief *b, int64_t now)
{
    if (b->entered <= 0 || b->blocks_done <= 0 || now < b->entered) return json_null();
    double const each = (double)(now - b->entered) / (double)b->blocks_done;
    return json_integer((json_int_t)((double)(b->blocks - b->blocks_done) * each));
}

static void take_running(void *arg, const struct queue_clip_brief *b)
{
    struct taking *const t = arg;
    json_t *o = brief_json(b);

    json_set_number(&o, "began_ms", b->began);
    json_set_number(&o, "entered_ms", b->entered);
    json_set(&o, "in_line", json_boolean(b->blocks_done >= 0));
    json_set_number(&o, "blocks_done", b->blocks_done > 0 ? b->blocks_done : 0);
    json_set_number(&o, "blocks", b->blocks);
    json_set(&o, "eta_ms", eta_json(b, t->now));
    json_add(&t->list, o);
}

static void take_failed(void *arg, const struct queue_clip_brief *b)
{
    struct taking *const t = arg;
    json_t *o = brief_json(b);

    json_set_number(&o, "ended_ms", b->ended);
    json_set_text(&o, "end", b->end);
    json_set_text(&o, "message", b->message);
    json_add(&t->list, o);
}

/* Where a finished clip lies, and its sheet's name or null; looked up once in its life. */
static json_t *find_folder(const struct taking *t, const char *key, const char *folder)
{
    json_t *const known = json_object_get(t->known, key);

    if (known) return json_incref(known);
    json_t *o = json_object();
    char *const name =
        utf8_valid(folder, strlen(folder)) ? serve_sheet_name(t->roots, folder) : NULL;
    json_set_text(&o, "folder", folder);
    json_set(&o, "sheet", name ? json_from_text(name) : json_null());
    free(name);
    return o;
}

static void take_finished(void *arg, const struct queue_clip_brief *b)
{
    struct taking *const t = arg;
    json_t *o = brief_json(b);
    char key[80];

    snprintf(key, sizeof key, "%lld/%lld/%lld", (long long)b->job, (long long)b->index,
             (long long)b->attempt);
    json_t *const folder = find_folder(t, key, b->folder);
    bool const sheet = json_is_string(json_object_get(folder, "sheet"));
    json_set(&t->folder, key, folder);
    json_set_number(&o, "ended_ms", b->ended);
    json_set_number(&o, "pictures", b->pictures);
    json_set(&o, "sheet", sheet ? json_sprintf("/sheet/%s", key) : json_null());
    json_add(&t->list, o);
}

/* ---- the whole ---- */

static enum queue_answer read_jobs(struct queue *q, struct taking *t)
{
    return queue_jobs(q, take_job, t);
}

static enum queue_answer read_worlds(struct queue *q, struct taking *t)
{
    return queue_worlds(q, false, take_world, t);
}

static enum queue_answer read_owners(struct queue *q, struct taking *t)
{
    return queue_owners(q, take_owner, t);
}

static enum queue_answer read_running(struct queue *q, struct taking *t)
{
    return queue_running(q, SERVE_LIST, take_running, t);
}

static enum queue_answer read_failed(struct queue *q, struct taking *t)
{
    return queue_failed(q, SERVE_LIST, take_failed, t);
}

static enum queue_answer read_finished(struct queue *q, struct taking *t)
{
    return queue_finished(q, SERVE_SHEETS, take_finished, t);
}

static enum queue_answer read_pace(struct queue *q, struct taking *t)
{
    int64_t const since = (t->now / SERVE_PACE_MS - SERVE_PACES + 1) * SERVE_PACE_MS;
    return queue_pace(q, SERVE_PACE_MS, since, take_pace, t);
}

/* Those that go through all clips, or all of a day, are read once a minute. */
static const struct part {
    const char *name;
    enum queue_answer (*read)(struct queue *q, struct taking *t);
    bool slow;
} parts[] = {
    { "jobs", read_jobs, false },         { "worlds", read_worlds, false },
    { "running", read_running, false },   { "failed", read_failed, false },
    { "finished", read_finished, false }, { "owners", read_owners, true },
    { "pace", read_pace, true },
};

static enum queue_answer take_part(struct queue *q, const struct part *p, struct taking *t,
                                   json_t **all)
{
    t->list = json_array();
    enum queue_answer const a = p->read(q, t);
    json_set(all, p->name, t->list);
    return a;
}

/* As it was, or empty, where it is not due or not answered; nothing slow is asked for then. */
static enum queue_answer take_slow_part(struct queue *q, const struct part *p, struct taking *t,
                                        json_t **all)
{
    json_t *const old = json_object_get(t->old, p->name);

    t->slow_asked = t->slow_asked || t->slow_due;
    if (t->slow_due && take_part(q, p, t, all) == QUEUE_OK) return QUEUE_OK;
    if (t->slow_due) log_warn("serve: %s could not be read: %s", p->name, queue_error(q));
    t->slow_due = false;
    json_set(all, p->name, old ? json_incref(old) : json_array());
    return QUEUE_OK;
}

/* NULL: no answer, or no memory; *a says which. */
static json_t *take_all(struct queue *q, struct taking *t, enum queue_answer *a)
{
    json_t *all = json_object();

    *a = queue_now(q, &t->now);
    json_set_number(&all, "now_ms", t->now);
    json_set_number(&all, "pace_span_ms", SERVE_PACE_MS);
    for (int i = 0; i < COUNT_OF(parts) && *a == QUEUE_OK; i++)
        *a = parts[i].slow ? take_slow_part(q, &parts[i], t, &all)
                           : take_part(q, &parts[i], t, &all);
    if (*a == QUEUE_OK && t->folder) return all;
    json_decref(all);
    return NULL;
}

/* Seconds that must lie between two readings that take so long. */
static double rest_after(double took, double least)
{
    return rest * took > least ? rest * took : least;
}

bool serve_snapshot_renew(struct serve_snapshot *s, struct queue *q, const struct serve_roots *r)
{
    double const now = clock_seconds();
    struct taking t = { .roots = r, .known = s->folder, .old = s->all };
    enum queue_answer a;

    if (s->tried > 0 && now - s->tried < (s->away ? again_s : rest_after(s->took, fresh_s)))
        return s->all != NULL;
    t.folder = json_object();
    t.slow_due = s->slow_taken == 0 || now - s->slow_taken >= rest_after(s->slow_took, slow_s);
    json_t *const all = take_all(q, &t, &a);
    s->away = !all;
    s->tried = clock_seconds();
    *(t.slow_asked ? &s->slow_took : &s->took) = s->tried - now;
    if (t.slow_asked) s->slow_taken = now;
    if (!all) {
        json_decref(t.folder);
        snprintf(s->why, sizeof s->why, "%s", a == QUEUE_OK ? "no memory" : queue_error(q));
        return s->all != NULL;
    }
    json_decref(s->all);
    json_decref(s->folder);
    s->all = all;
    s->folder = t.folder;
    s->taken = s->tried;
    return true;
}

void serve_snapshot_free(struct serve_snapshot *s)
{
    json_decref(s->all);
    json_decref(s->folder);
    *s = (struct serve_snapshot){ 0 };
}

int serve_snapshot_sheet(const struct serve_snapshot *s, const struct serve_roots *r,
                         const char *key, int64_t *size)
{
    const json_t *const at = json_object_get(s->folder, key);
    const char *const folder = json_string_value(json_object_get(at, "folder"));
    const char *const name = json_string_value(json_object_get(at, "sheet"));

    return folder && name ? serve_roots_file(r, folder, name, SHEET_MOST, size) : -1;
}

static void take_clip(void *arg, const struct queue_clip_status *s)
{
    json_add(arg, queue_clip_json(s));
}

json_t *serve_clips(struct queue *q, int64_t job, int64_t from)
{
    json_t *list = json_array(), *o = json_object();
    enum queue_answer const a = queue_clips(q, job, from, SERVE_LIST, take_clip, &list);

    json_set_number(&o, "id", job);
    json_set(&o, "clips", list);
    if (a == QUEUE_OK) return o;
    json_decref(o);
    return NULL;
}
