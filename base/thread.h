/*
 * thread.h - a thread that has a name, speaks for a rank and ends with a status; and a
 * condition variable whose timed waits follow a clock that only moves forward.
 */
#ifndef THREAD_H
#define THREAD_H

#include "base/base.h"

#include <pthread.h>

/* What a failure on another thread needs to become the failure of the one that started it.
 * It stays where it is, zeroed before the first start, from task_start until task_join. */
enum { TASK_NAME = 16 };
struct task {
    char name[TASK_NAME]; /* cut; what top and a debugger show */
    int rank;             /* its log lines are this rank's; -1: no rank */
    status (*main)(void *arg);
    void *arg;
    pthread_t thread;
    bool started; /* and not joined yet */

    /* written by the thread as it ends, to be read after the join */
    status st;
    struct error error;
};

/* Start main(arg) on a thread of its own. It begins with an empty error record and the
 * signal mask of its starter. ST_NOMEM: there is no thread, and nothing to join. */
status task_start(struct task *t, const char *name, int rank, status (*main)(void *arg),
                  void *arg) MUST_USE;

/* Wait until it has ended. `st` is what the caller has come to itself: of the two the weightier
 * (status_outweighs) is returned, and if that is the thread's, its error record becomes this
 * thread's. Nothing to wait for where none was started: then `st`. After it the task may be
 * started again. */
status task_join(struct task *t, status st);

/* Its timed waits take times of CLOCK_MONOTONIC. Whoever opens, destroys. */
void condvar_init(pthread_cond_t *c);

/* Wait for it, with the lock, so many seconds at most; false: they have passed. */
bool condvar_wait_for(pthread_cond_t *c, pthread_mutex_t *lock, double seconds);

#endif /* THREAD_H */
