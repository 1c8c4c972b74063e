/*
 * queue_link.h - a world's thread that speaks with the queue, and the work source that the engine
 * asks: between them a list of the clips that this world holds.
 *
 *   queue (database) <--calls-- the link's thread <--list--> work source <--calls-- dispatcher
 *
 * The engine never waits for the database. The thread claims clips ahead, renews the lease, tells
 * what has ended, and learns what a person wants stopped; while the database is away the world
 * renders what it holds. The thread makes no call of comm.
 */
#ifndef QUEUE_LINK_H
#define QUEUE_LINK_H

#include "pipeline/engine/work_source.h"

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
    bool (*loading)(void); /* nothing is in work yet: a stop ends the process with stopped_code */
    int stopped_code;
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

#endif /* QUEUE_LINK_H */
