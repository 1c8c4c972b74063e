/* queue_look.c - what is in the queue, for people: rows become structs. */
#include "jobs/queue/queue_internal.h"

/* A caller's function, of whichever kind, and its argument. */
struct each_job {
    void (*call)(void *arg, const struct queue_job_status *s);
    void *arg;
};

static void get_job(void *arg, const struct store_row *r)
{
    const struct each_job *const e = arg;
    struct queue_job_status const s = { .id = row_number(r, 0),
                                        .uid = r->text[1],
                                        .name = r->text[2],
                                        .owner = r->text[3],
                                        .priority = row_number(r, 4),
                                        .want = row_number(r, 5),
                                        .closed = row_number(r, 6),
                                        .outcome = row_number(r, 7),
                                        .created = row_number(r, 8),
                                        .clips = row_number(r, 9),
                                        .ready = row_number(r, 10),
                                        .running = row_number(r, 11),
                                        .done = row_number(r, 12),
                                        .failed = row_number(r, 13),
                                        .canceled = row_number(r, 14),
                                        .waits_for = row_number(r, 15),
                                        .blocks = row_number(r, 16) };
    e->call(e->arg, &s);
}

enum queue_answer queue_jobs(struct queue *q,
                             void (*each)(void *arg, const struct queue_job_status *s), void *arg)
{
    struct each_job e = { each, arg };
    return queue_look(q, STATEMENT_jobs, NO_VALUES, get_job, &e);
}

struct each_clip {
    void (*call)(void *arg, const struct queue_clip_status *s);
    void *arg;
};

static void get_clip(void *arg, const struct store_row *r)
{
    const struct each_clip *const e = arg;
    struct queue_clip_status const s = { .index = row_number(r, 0),
                                         .state = row_number(r, 1),
                                         .attempt = row_number(r, 2),
                                         .errors = row_number(r, 3),
                                         .crashes = row_number(r, 4),
                                         .preempts = row_number(r, 5),
                                         .folder = r->text[6],
                                         .task = r->text[7],
                                         .values = r->text[8],
                                         .host = r->text[9],
                                         .end = r->text[10],
                                         .message = r->text[11],
                                         .blocks_done = row_number(r, 12),
                                         .blocks = row_number(r, 13) };
    e->call(e->arg, &s);
}

enum queue_answer queue_clips(struct queue *q, int64_t job, int64_t from, int limit,
                              void (*each)(void *arg, const struct queue_clip_status *s), void *arg)
{
    struct each_clip e = { each, arg };
    return queue_look(q, STATEMENT_clips, VALUES(NUMBER(job), NUMBER(from), NUMBER(limit)),
                      get_clip, &e);
}

struct each_world {
    void (*call)(void *arg, const struct queue_world_status *s);
    void *arg;
};

static void get_world(void *arg, const struct store_row *r)
{
    const struct each_world *const e = arg;
    struct queue_world_status const s = { .id = row_number(r, 0),
                                          .state = row_number(r, 1),
                                          .drain = row_number(r, 2),
                                          .joined = row_number(r, 3),
                                          .seen = row_number(r, 4),
                                          .lease_until = row_number(r, 5),
                                          .clips = row_number(r, 6),
                                          .pid = row_number(r, 7),
                                          .host = r->text[8],
                                          .group = r->text[9],
                                          .launcher = r->text[10],
                                          .nonce = r->text[11] };
    e->call(e->arg, &s);
}

enum queue_answer queue_worlds(struct queue *q, bool all,
                               void (*each)(void *arg, const struct queue_world_status *s),
                               void *arg)
{
    struct each_world e = { each, arg };
    return queue_look(q, STATEMENT_worlds, VALUES(NUMBER(all)), get_world, &e);
}

struct each_event {
    void (*call)(void *arg, const struct queue_event *s);
    void *arg;
};

static void get_event(void *arg, const struct store_row *r)
{
    const struct each_event *const e = arg;
    struct queue_event const s = { .id = row_number(r, 0),
                                   .at = row_number(r, 1),
                                   .job = row_number(r, 2),
                                   .world = row_number(r, 3),
                                   .kind = r->text[4],
                                   .text = r->text[5] };
    e->call(e->arg, &s);
}

enum queue_answer queue_events(struct queue *q, int64_t job, int64_t after, int limit,
                               void (*each)(void *arg, const struct queue_event *e), void *arg)
{
    struct each_event e = { each, arg };
    return queue_look(q, STATEMENT_events, VALUES(NUMBER(job), NUMBER(after), NUMBER(limit)),
                      get_event, &e);
}

struct each_attempt {
    void (*call)(void *arg, const struct queue_attempt *a);
    void *arg;
};

static void get_attempt(void *arg, const struct store_row *r)
{
    const struct each_attempt *const e = arg;
    struct queue_attempt const s = { .attempt = row_number(r, 0),
                                     .world = row_number(r, 1),
                                     .began = row_number(r, 2),
                                     .ended = row_number(r, 3),
                                     .blocks = row_number(r, 4),
                                     .host = r->text[5],
                                     .end = r->text[6],
                                     .message = r->text[7] };
    e->call(e->arg, &s);
}

enum queue_answer queue_attempts(struct queue *q, int64_t job, int64_t index,
                                 void (*each)(void *arg, const struct queue_attempt *a), void *arg)
{
    struct each_attempt e = { each, arg };
    return queue_look(q, STATEMENT_attempts, VALUES(NUMBER(job), NUMBER(index)), get_attempt, &e);
}

/* ---- the farm at a glance ---- */

struct each_brief {
    queue_brief_fn call;
    void *arg;
};

/* The columns that all three lists begin with. */
static struct queue_clip_brief read_brief(const struct store_row *r)
{
    return (struct queue_clip_brief){ .job = row_number(r, 0),
                                      .uid = r->text[1],
                                      .index = row_number(r, 2),
                                      .attempt = row_number(r, 3),
                                      .world = row_number(r, 4),
                                      .host = r->text[5],
                                      .values = "",
                                      .end = "",
                                      .message = "",
                                      .folder = "" };
}

static void get_running(void *arg, const struct store_row *r)
{
    const struct each_brief *const e = arg;
    struct queue_clip_brief b = read_brief(r);

    b.began = row_number(r, 6);
    b.entered = row_number(r, 7);
    b.blocks_done = row_number(r, 8);
    b.blocks = row_number(r, 9);
    b.values = r->text[10];
    e->call(e->arg, &b);
}

static void get_failed(void *arg, const struct store_row *r)
{
    const struct each_brief *const e = arg;
    struct queue_clip_brief b = read_brief(r);

    b.ended = row_number(r, 6);
    b.end = r->text[7];
    b.message = r->text[8];
    b.values = r->text[9];
    e->call(e->arg, &b);
}

static void get_finished(void *arg, const struct store_row *r)
{
    const struct each_brief *const e = arg;
    struct queue_clip_brief b = read_brief(r);

    b.ended = row_number(r, 6);
    b.folder = r->text[7];
    b.pictures = row_number(r, 8);
    b.values = r->text[9];
    e->call(e->arg, &b);
}

enum queue_answer queue_running(struct queue *q, int limit, queue_brief_fn each, void *arg)
{
    struct each_brief e = { each, arg };
    return queue_look(q, STATEMENT_running, VALUES(NUMBER(limit)), get_running, &e);
}

enum queue_answer queue_failed(struct queue *q, int limit, queue_brief_fn each, void *arg)
{
    struct each_brief e = { each, arg };
    return queue_look(q, STATEMENT_failed, VALUES(NUMBER(limit)), get_failed, &e);
}

enum queue_answer queue_finished(struct queue *q, int limit, queue_brief_fn each, void *arg)
{
    struct each_brief e = { each, arg };
    return queue_look(q, STATEMENT_finished, VALUES(NUMBER(limit)), get_finished, &e);
}

struct each_pace {
    void (*call)(void *arg, const struct queue_pace *p);
    void *arg;
};

static void get_pace(void *arg, const struct store_row *r)
{
    const struct each_pace *const e = arg;
    struct queue_pace const p = { .from = row_number(r, 0),
                                  .clips = row_number(r, 1),
                                  .pictures = row_number(r, 2) };
    e->call(e->arg, &p);
}

enum queue_answer queue_pace(struct queue *q, int64_t span_ms, int64_t since,
                             void (*each)(void *arg, const struct queue_pace *p), void *arg)
{
    struct each_pace e = { each, arg };
    return queue_look(q, STATEMENT_pace, VALUES(NUMBER(span_ms), NUMBER(since)), get_pace, &e);
}

struct each_owner {
    void (*call)(void *arg, const struct queue_owner *o);
    void *arg;
};

static void get_owner(void *arg, const struct store_row *r)
{
    const struct each_owner *const e = arg;
    struct queue_owner const o = { .owner = r->text[0],
                                   .clips = row_number(r, 1),
                                   .done = row_number(r, 2),
                                   .running = row_number(r, 3),
                                   .ready = row_number(r, 4),
                                   .failed = row_number(r, 5),
                                   .video_ms = row_number(r, 6),
                                   .world_ms = row_number(r, 7) };
    e->call(e->arg, &o);
}

enum queue_answer queue_owners(struct queue *q,
                               void (*each)(void *arg, const struct queue_owner *o), void *arg)
{
    struct each_owner e = { each, arg };
    return queue_look(q, STATEMENT_owners, NO_VALUES, get_owner, &e);
}

enum queue_answer queue_now(struct queue *q, int64_t *ms)
{
    struct queue_numbers got = { 0 };
    enum queue_answer const a = queue_look(q, STATEMENT_now, NO_VALUES, row_first_column, &got);

    *ms = got.v[0];
    return a;
}
