/* cmd_queue_internal.h - what the files of the queue's commands share. Private to cmd/queue. */
#ifndef CMD_QUEUE_INTERNAL_H
#define CMD_QUEUE_INTERNAL_H

#include "base/thread.h"
#include "cmd/opts.h"
#include "cmd/prompt_lengths.h"
#include "cmd/queue/queue_json.h"
#include "cmd/queue/queue_url.h"
#include "jobs/queue/queue.h"
#include "jobs/spec/model_spec.h"
#include "pipeline/engine/work_source.h"
#include "pipeline/output/attempts.h"

/* ---- queue_select.c ------------------------------------------------------------------------- */

/* Jobs and clips as people name them: harbour-dawn, harbour-dawn/17, harbour-*. */

/* A job that was named, and of it one clip or all. */
struct selected {
    int64_t job;
    char uid[96];
    int64_t first, last; /* clips; -1, -1: all */
};

struct selection {
    struct selected *at;
    int count;
};

/* A name is the job's number in the queue (name and 8 digits), or its name: the newest job that is
 * not closed, else the newest; with * or ? all whose name or number fits. Behind a slash: a clip,
 * or clips 3-7. ST_ARG names what nothing fits; ST_IO, ST_FORMAT: the queue. Whoever selects,
 * frees. */
status queue_select(struct selection *out, struct queue *q, char *const *names, int count) MUST_USE;
void queue_select_free(struct selection *s); /* safe on a zeroed one; zeroes it */

/* ---- queue_show.c --------------------------------------------------------------------------- */

/* What is in the queue, as tables for people and as JSON for programs. */

/* All jobs and the worlds that live: {"jobs": [...], "worlds": [...]}. */
status queue_show_all(struct queue *q, bool json) MUST_USE;

/* The clips of what was selected: {"jobs": [{..., "clips": [...]}]}. */
status queue_show_clips(struct queue *q, const struct selection *s, bool json) MUST_USE;

/* Of every owner: clips, hours of video made, hours that worlds spent on them. */
status queue_show_owners(struct queue *q, bool json) MUST_USE;

/* Events; of what was selected, with attempts where clips were. One a line. *after: those behind
 * this number, and becomes the last one shown. */
status queue_show_log(struct queue *q, const struct selection *s, bool json,
                      int64_t *after) MUST_USE;

/* Clear the terminal. */
void queue_show_clear(void);

/* ---- queue_clean.c -------------------------------------------------------------------------- */

/* What killed worlds have left beside the clips of a queue's jobs. */

/* Sweep (attempts.h) every output folder of the queue's jobs. *folders: how many there are. */
status queue_clean(struct queue *q, struct attempts_found *found, int *folders) MUST_USE;

/* ---- queue_job.c ---------------------------------------------------------------------------- */

/* A job file's job on its way into the queue and out of it.
 *
 * The queue keeps the job's own text, with where it stood, and of each clip its task id and
 * folder. A world expands the text again and refuses a clip of which it reckons another task id:
 * the program, the card or the model's files have changed since.
 */

/* ---- in ---- */

struct queue_submission {
    bool held;
    bool whole; /* the model's files are hashed whole; worlds do it likewise */
};

/* What became of one job. */
struct queue_submitted {
    const char *name, *uid;
    int64_t id, clips;
    bool fresh;
};

/* All jobs of the files, validated as `render` does before anything is submitted: models hashed,
 * encoders settled, output folders made. Each job enters the queue at once or not at all. `each` is
 * told of every one. Failures as those of work_list_open, and of the queue. */
status queue_jobs_submit(struct queue *q, char *const *paths, int count,
                         const struct queue_submission *s,
                         void (*each)(void *arg, const struct queue_submitted *s),
                         void *arg) MUST_USE;

/* ---- out ---- */

/* A job as a world renders it. */
struct queue_expanded {
    struct model_spec model;
    struct clip_list clips;
};

/* From the text that queue_job_spec gives; `name` for messages. ST_FORMAT for what cannot be
 * rendered, ST_DEVICE for an encoder that does not open here. Whoever expands, frees. */
status queue_job_expand(struct queue_expanded *out, const char *spec, const char *name) MUST_USE;
void queue_job_free(struct queue_expanded *x); /* safe on a zeroed one; zeroes it */

/* ---- queue_link.c --------------------------------------------------------------------------- */

/* A world's thread that speaks with the queue, and the work source that the engine
 * asks: between them a list of the clips that this world holds.
 *
 *   queue (database) <--calls-- the link's thread <--list--> work source <--calls-- dispatcher
 *
 * The engine never waits for the database. The thread claims clips ahead, renews the lease, tells
 * what has ended, and learns what a person wants stopped; while the database is away the world
 * renders what it holds. The thread makes no call of comm.
 */

struct queue_link;

struct queue_link_config {
    const char *url;
    int lease_ms;
    int ahead;             /* clips that wait here to be handed over, at most */
    bool stay;             /* an empty queue is waited at, not the end */
    double patience_s;     /* an idle world without an answer ends after so long */
    int64_t until;         /* seconds since 1970: then a stop is asked for; 0: never */
    void (*stop)(void);    /* asks for one */
    bool (*stopped)(void); /* was one asked for? */
    bool (*loading)(void); /* nothing is in work yet: a stop ends the process with stopped_code, */
    bool (*overdue)(void); /* and so it does once clips have had their grace */
    int stopped_code;
    const struct engine_options *engine; /* this world's; borrowed */
};

struct queue_link_counts {
    int64_t done, failed, handed_back, lost;
};

/* Join the queue and start the thread. ST_FORMAT, ST_IO with the queue's words. Whoever opens,
 * closes: what has ended is told, what has not is handed back. */
status queue_link_open(struct queue_link **out, const struct queue_link_config *c) MUST_USE;

/* NULL is fine; sets NULL. ST_CANCELED if the queue was away for longer than patience_s; else what
 * made it end before its time, or ST_OK. */
status queue_link_close(struct queue_link **link, struct queue_link_counts *counts) MUST_USE;

/* Borrows from the link. */
struct work_source queue_link_source(struct queue_link *l);

/* ---- held_clip.c ---------------------------------------------------------------------------- */

/* The clips that a world holds: the list between the link's thread and the source. */

/* A job as this world renders it. Kept while a clip of it is held, or it began the open group. */
struct held_job {
    int64_t id;
    struct queue_expanded x;
    int users;
    struct held_job *next;
};

enum held_state {
    HELD_READY, /* may be handed over */
    HELD_GIVEN, /* the engine has it */
    HELD_ENDED, /* the queue is to be told */
};

struct held_clip {
    int64_t ticket;
    struct queue_clip q; /* a copy, with a folder of its own */
    struct held_job *job;
    const struct clip_spec *spec; /* NULL for one that cannot be expanded here */
    enum held_state state;
    bool withdrawn; /* the engine knows that it is wanted no more */
    enum queue_end how;
    char *why;
    struct held_clip *next;
};

struct queue_link {
    struct queue_link_config c;
    struct task task;

    pthread_mutex_t lock;    /* of what follows */
    pthread_cond_t changed;  /* for the source: clips came, or the end */
    pthread_cond_t woken;    /* for the thread */
    struct held_clip *held;  /* in the order they came */
    char group[QUEUE_GROUP]; /* of the open line; "": none */
    int64_t leader;          /* job of the clip that began it */
    double group_since;
    bool other_group; /* the queue's best clip is of another group */
    bool over;        /* no more clips, ever */
    bool closing;     /* the engine is through */
    bool urgent;      /* something that the queue should know soon */
    int64_t tickets;
    struct queue_link_counts counts;

    /* the thread's own */
    struct queue *q;
    struct queue_world world;
    char nonce[40], host[128], place[160], launcher[64];
    struct queue_clip mine[QUEUE_HOLDS];
    int n;
    struct held_job *jobs;
    double beaten, asked, away_since; /* clock_seconds(); away_since 0: it answers */
    double pause;                     /* before the next question */
    bool news, drain;
    status end; /* why it ended before its time */
    char end_why[512];
};

/* With the lock. */
struct held_clip *held_find(const struct queue_link *l, int64_t ticket);
int held_count(const struct queue_link *l, enum held_state state);
void held_end(struct queue_link *l, struct held_clip *h, enum queue_end how, const char *why);
void held_remove(struct queue_link *l, struct held_clip *h); /* frees it */

/* The folder exists: is it this clip's? Then how it ended and why, without rendering it. */
bool held_check_folder(const struct queue_clip *c, enum queue_end *how, const char **why);

/* ---- queue_link_world.c: who this world is ---- */

/* Fill in host, place, nonce and launcher; a new nonce every time. */
status queue_link_identify(struct queue_link *l) MUST_USE;

#endif /* CMD_QUEUE_INTERNAL_H */
