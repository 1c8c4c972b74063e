/*
 * pool.h - a fixed set of threads that share out numbered tasks.
 *
 * One pool per rank; its size is that rank's share of --threads. A task must
 * give the same bytes whichever thread runs it and however many there are:
 * split work by size, never by the number of threads.
 */
#ifndef POOL_H
#define POOL_H

#include "base/base.h"

struct pool;

/* A task. `worker` is 0..threads-1 and picks per-thread scratch. What it
 * returns stops the rest as soon as may be. */
typedef status (*pool_task)(void *arg, int64_t task, int worker);

/* threads >= 1; the caller is worker 0, so threads - 1 are started.
 * Whoever opens, closes. */
status pool_open(struct pool **out, int threads) MUST_USE;
void pool_close(struct pool **p); /* NULL is fine; sets NULL */

/* Run tasks 0..tasks-1, in any order, and return when all are over. One caller
 * at a time, never from inside a task. The first failure is returned with its
 * error record, as if it had happened on the calling thread. */
status pool_run(struct pool *p, int64_t tasks, pool_task task, void *arg) MUST_USE;

/* Threads this process may use: its affinity mask, at least 1. */
int pool_cpus(void);

#endif /* POOL_H */
