/* held_clip.h - the clips that a world holds: the list between the link's thread and the source. */
#ifndef HELD_CLIP_H
#define HELD_CLIP_H

#include "base/thread.h"
#include "cmd/queue/queue_job.h"
#include "cmd/queue/queue_link.h"

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

/* The folder stands: is it this clip's? Then how it ended and why, without rendering it. */
bool held_check_folder(const struct queue_clip *c, enum queue_end *how, const char **why);

/* ---- queue_link_world.c: who this world is ---- */

/* Fill in host, place, nonce and launcher; a new nonce every time. */
status queue_link_identify(struct queue_link *l) MUST_USE;

#endif /* HELD_CLIP_H */
