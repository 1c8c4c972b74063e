/*
 * queue.h - the queue of clips in a database: SQLite on one machine, PostgreSQL for many.
 *
 * Rank 0 of a world calls this, from one thread. A world joins, claims clips ahead of time, beats,
 * ends each clip once, and leaves. A clip is done when its folder exists at its place; the
 * database only follows that, and says who should work on what. So the worst that a lost database,
 * lease or clock can do is that a clip is rendered twice and one of the two thrown away.
 *
 *   READY --claim, attempt + 1--> RUNNING --its folder exists--> DONE
 *     ^                              |
 *     +-- error, crash, preempt -----+--> FAILED    a budget is spent, or it cannot be rendered
 *     +-- retry <- FAILED, CANCELED  +--> CANCELED
 *
 * A world has one lease for all that it holds. What it writes names its worker and the attempt,
 * and attempts only grow, so a world that lost its lease changes nothing of its heir's. Times are
 * milliseconds of the database's clock since 1970; 0 is never.
 *
 * Every call may be made again with the same arguments, and is when the answer was QUEUE_DOWN.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "base/base.h"

enum queue_answer {
    QUEUE_OK,
    QUEUE_LOST,    /* this world, or this clip, is held no more: stop work on it */
    QUEUE_DOWN,    /* no answer in time: go on rendering, ask again */
    QUEUE_REFUSED, /* wrong use, another version, no right: asking again does not help */
};

/* How an attempt ended, and what that is charged to. */
enum queue_end {
    QUEUE_END_DONE,
    QUEUE_END_SPEC,    /* the clip cannot be rendered as it is asked for: fails at once */
    QUEUE_END_ERROR,   /* its pictures, its encoder, memory for it: one error */
    QUEUE_END_CRASH,   /* its world died or hung: one crash */
    QUEUE_END_HOST,    /* disk full, device lost: the host's fault, free */
    QUEUE_END_UNABLE,  /* this machine has not what it asks for: elsewhere, or else as spec; free */
    QUEUE_END_PREEMPT, /* the world was told to stop: one preemption if the clip had begun */
    QUEUE_END_CANCEL,  /* a person canceled it */
};
const char *queue_end_name(enum queue_end e); /* "done", "spec", ... */

enum queue_state {
    QUEUE_READY,
    QUEUE_RUNNING,
    QUEUE_DONE,
    QUEUE_FAILED,
    QUEUE_CANCELED,
};
const char *queue_state_name(enum queue_state s); /* "ready", "running", ... */

/* What a person wants of a job. */
enum queue_want { QUEUE_RUN, QUEUE_HOLD, QUEUE_CANCEL, QUEUE_GIVEN_UP };

enum {
    QUEUE_HOLDS = 256,      /* clips of a world */
    QUEUE_GROUP = 96,       /* bytes of a group's name */
    QUEUE_TASK = 17,        /* bytes of a task id */
    QUEUE_MESSAGE = 1000,   /* bytes of a message that is kept; longer ones are cut */
    QUEUE_LEASE_MS = 60000, /* a world silent so long is taken for dead, unless it says other */
};

struct queue;

/* ---- opening ---- */

/* By its URL, sqlite:PATH or postgresql://...; `make`: tables are made where there are none. *q is
 * set whatever the answer, for queue_error (NULL for want of memory); close it. A store that never
 * answered is QUEUE_REFUSED: a wrong password looks like a server that is away; but one that is
 * starting or recovering says so, and is waited for, a minute at most. SQLite's file must lie on a
 * disk of this machine, for its locks do not hold elsewhere. */
enum queue_answer queue_open(struct queue **q, const char *url, bool make);
void queue_close(struct queue **q);             /* NULL is fine; sets NULL */
const char *queue_error(const struct queue *q); /* of the last answer that was not QUEUE_OK */
bool queue_url_has_password(const char *url);   /* which `ps` would show */

/* Bring an older queue's tables to this version; *from is the version that was found. */
enum queue_answer queue_upgrade(struct queue **q, const char *url, int *from);

/* ---- submitting ---- */

struct queue_after {
    const char *job; /* its uid, or its name: the newest job of that name */
    bool any;        /* any end will do; else success */
};

struct queue_job {
    const char *uid; /* name and 8 hex digits of what it stands for: the same job is one job */
    const char *name, *owner, *group;
    const char *spec; /* what a world expands again */
    const struct queue_after *after;
    int afters;
    int64_t need_mib; /* memory a world must have */
    int64_t priority; /* 0..100, higher first */
    int64_t clips;
    int64_t max_failed; /* more failed clips than this: the job is given up; -1: never */
    int64_t max_worlds; /* 0: no limit */
    int64_t budget_error, budget_crash, budget_preempt, backoff_ms;
    bool held;
};

struct queue_new_clip {
    const char *task, *folder;
    const char *values; /* of the sweep's axes, JSON: for people */
    int64_t blocks;
    int64_t pictures, video_ms; /* of its video, and how long that is */
};

/* A job with all its clips, at once or not at all; `next` fills in clip i. *fresh is false if a job
 * of this uid is there already: nothing is added, *id is that one. */
enum queue_answer queue_submit(struct queue *q, const struct queue_job *job,
                               void (*next)(void *arg, int64_t i, struct queue_new_clip *clip),
                               void *arg, int64_t *id, bool *fresh);

/* ---- a world ---- */

struct queue_world {
    const char *host;
    const char *place;    /* boot id and pid namespace: where its pid means something; or "" */
    const char *nonce;    /* of this life of the world: joining twice is joining once */
    const char *launcher; /* "slurm 4711_3", or "" */
    int64_t pid, pid_start;
    int64_t mib; /* memory it has */
    int lease_ms;
};

/* When the process of this pid began, in ticks since boot: both together are one process. 0:
 * there is none, or it is dead and not yet reaped. */
int64_t queue_pid_start(int64_t pid);

/* Enter this world. What `w` points at must stay. */
enum queue_answer queue_join(struct queue *q, const struct queue_world *w);

struct queue_clip {
    int64_t job, index, attempt;
    int64_t blocks;
    int64_t blocks_done; /* set by the world before it beats: -1 waits, 0 entered the line */
    bool stop;           /* a person canceled it: end it with QUEUE_END_CANCEL */
    bool lost;           /* somebody else's by now: drop it without a word */
    char group[QUEUE_GROUP], task[QUEUE_TASK];
    char *folder; /* the clip's own; queue_clip_free */
};
void queue_clip_free(struct queue_clip *clip);

enum queue_claimed {
    QUEUE_CLAIMED,
    QUEUE_EMPTY,       /* nothing that this world could take, now or later */
    QUEUE_LATER,       /* nothing now; there are clips that must wait a while */
    QUEUE_OTHER_GROUP, /* the best clip is of another group: drain the line, then ask */
    QUEUE_DRAIN,       /* a person wants this world to end */
    QUEUE_BLOCKED,     /* this host failed too often */
};

/* Bring what this world holds up to `hold` clips, all of one job a call. mine [QUEUE_HOLDS], *n of
 * them, is what it knew and is made to be all it holds: clips of a claim whose answer was lost
 * are among them, and what is not is marked lost. With *n > 0 only clips of `group` are taken;
 * else `group` is what is loaded, preferred at equal priority, "": none. */
enum queue_answer queue_claim(struct queue *q, const char *group, int hold, struct queue_clip *mine,
                              int *n, enum queue_claimed *what);

/* Renew the lease, report progress, learn of stop, lost and drain. QUEUE_LOST: all clips are lost;
 * join anew under another nonce. */
enum queue_answer queue_beat(struct queue *q, struct queue_clip *mine, int n, bool *drain);

/* An attempt has ended. With QUEUE_END_DONE the folder must stand, whoever put it there.
 * QUEUE_LOST: it does not count. */
enum queue_answer queue_end(struct queue *q, const struct queue_clip *clip, enum queue_end how,
                            const char *message);

/* Hand back all that is held. */
enum queue_answer queue_leave(struct queue *q);

/* The text that the job was submitted with; malloc'ed. */
enum queue_answer queue_job_spec(struct queue *q, int64_t job, char **spec);

/* Sleep up to ms, or until *news: somebody submitted or released something; of SQLite, wrote. */
enum queue_answer queue_wait(struct queue *q, int ms, bool *news);

/* ---- the controls ---- */

enum queue_verb {
    QUEUE_DO_HOLD,
    QUEUE_DO_RELEASE,
    QUEUE_DO_CANCEL,
    QUEUE_DO_PRIORITY,    /* arg: 0..100 */
    QUEUE_DO_RETRY,       /* all failed and canceled clips */
    QUEUE_DO_CANCEL_CLIP, /* arg: the clip */
    QUEUE_DO_RETRY_CLIP,  /* arg: the clip */
    QUEUE_DO_DISCARD,     /* arg: a clip that is done, and whose folder is gone */
    QUEUE_DO_DRAIN,       /* job: a world's number, 0: all */
    QUEUE_DO_PRUNE,       /* arg: an age in ms; one closed job of that age a call, and old events */
};

/* *changed: rows that it applied to; none is no failure. `who` is for the log. */
enum queue_answer queue_control(struct queue *q, enum queue_verb verb, int64_t job, int64_t arg,
                                const char *who, int64_t *changed);

/* ---- looking ---- */

struct queue_job_status {
    int64_t id, priority, want, closed, outcome;
    int64_t clips, ready, running, done, failed, canceled;
    int64_t waits_for; /* jobs that must end before it */
    int64_t blocks;    /* done, of running clips */
    int64_t created;
    const char *uid, *name, *owner;
};
enum queue_answer queue_jobs(struct queue *q,
                             void (*each)(void *arg, const struct queue_job_status *s), void *arg);

struct queue_clip_status {
    int64_t index, state, attempt, errors, crashes, preempts, blocks_done, blocks;
    const char *folder, *task, *values, *host;
    const char *end, *message; /* of the last attempt */
};
/* `limit` clips from index `from` on. */
enum queue_answer queue_clips(struct queue *q, int64_t job, int64_t from, int limit,
                              void (*each)(void *arg, const struct queue_clip_status *s),
                              void *arg);

struct queue_world_status {
    int64_t id, state, drain, joined, seen, lease_until, clips, pid;
    const char *host, *group, *launcher, *nonce;
};
/* Worlds that live, or `all`. */
enum queue_answer queue_worlds(struct queue *q, bool all,
                               void (*each)(void *arg, const struct queue_world_status *s),
                               void *arg);

struct queue_event {
    int64_t id, at, job, world;
    const char *kind, *text;
};
/* Those after number `after`, of a job or of all (0), the newest `limit`; oldest first. */
enum queue_answer queue_events(struct queue *q, int64_t job, int64_t after, int limit,
                               void (*each)(void *arg, const struct queue_event *e), void *arg);

struct queue_attempt {
    int64_t attempt, world, began, ended, blocks;
    const char *host, *end, *message;
};
enum queue_answer queue_attempts(struct queue *q, int64_t job, int64_t index,
                                 void (*each)(void *arg, const struct queue_attempt *a), void *arg);

/* ---- the whole farm at a glance ---- */

/* A clip in work, failed or finished. What a list does not say is 0 or "". */
struct queue_clip_brief {
    int64_t job, index, attempt, world;
    const char *uid, *values, *host;
    int64_t began, entered;      /* running: claimed; in the line, 0: not yet known to be */
    int64_t blocks_done, blocks; /* running; -1: waits in its world */
    int64_t ended;
    const char *end, *message; /* failed: of the last attempt */
    const char *folder;        /* finished */
    int64_t pictures;          /* finished */
};
typedef void (*queue_brief_fn)(void *arg, const struct queue_clip_brief *b);

/* At most `limit` rows: the oldest claims, the newest failures, the newest ends first. */
enum queue_answer queue_running(struct queue *q, int limit, queue_brief_fn each, void *arg);
enum queue_answer queue_failed(struct queue *q, int limit, queue_brief_fn each, void *arg);
enum queue_answer queue_finished(struct queue *q, int limit, queue_brief_fn each, void *arg);

/* Clips that ended in the `span_ms` from `from` on, and their pictures. */
struct queue_pace {
    int64_t from, clips, pictures;
};
/* Since `since`, oldest first; spans without an end are left out. */
enum queue_answer queue_pace(struct queue *q, int64_t span_ms, int64_t since,
                             void (*each)(void *arg, const struct queue_pace *p), void *arg);

struct queue_owner {
    const char *owner;
    int64_t clips, done, running, ready, failed;
    int64_t video_ms; /* of clips that are done */
    /* Its share of the lives of the worlds that worked for it, by blocks made; ms. */
    int64_t world_ms;
};
enum queue_answer queue_owners(struct queue *q,
                               void (*each)(void *arg, const struct queue_owner *o), void *arg);

enum queue_answer queue_now(struct queue *q, int64_t *ms);

#endif /* QUEUE_H */
