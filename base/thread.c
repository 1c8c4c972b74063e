/* thread.c - a thread whose failure is handed to the one that joins it. */
#define _GNU_SOURCE /* pthread_setname_np */
#include "base/thread.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static void *task_main(void *arg)
{
    struct task *const t = arg;

    pthread_setname_np(pthread_self(), t->name);
    log_set_rank(t->rank);
    t->st = t->main(t->arg);
    if (t->st != ST_OK) t->error = *error_last();
    return NULL;
}

status task_start(struct task *t, const char *name, int rank, status (*main)(void *arg), void *arg)
{
    *t = (struct task){ .rank = rank, .main = main, .arg = arg };
    snprintf(t->name, sizeof t->name, "%s", name);
    int const rc = pthread_create(&t->thread, NULL, task_main, t);
    if (rc) return fail(ST_NOMEM, "cannot start the thread \"%s\": %s", name, strerror(rc));
    t->started = true;
    return ST_OK;
}

status task_join(struct task *t, status st)
{
    if (!t->started) return st;
    pthread_join(t->thread, NULL);
    t->started = false;
    if (!status_outweighs(t->st, st)) return st;
    error_adopt(&t->error);
    return t->st;
}

void condvar_init(pthread_cond_t *c)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(c, &attr);
    pthread_condattr_destroy(&attr);
}

bool condvar_wait_for(pthread_cond_t *c, pthread_mutex_t *lock, double seconds)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)seconds;
    until.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return pthread_cond_timedwait(c, lock, &until) != ETIMEDOUT;
}
