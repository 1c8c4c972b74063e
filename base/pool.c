/*
 * pool.c - threads that take numbered tasks from a counter.
 *
 * Kernels call pool_run thousands of times a second, for tasks of microseconds. So both sides look
 * at an atomic for a while, yielding, before they sleep on a condition variable; and tasks are
 * taken one by one, so that a thread that lost its processor delays one task and no more.
 */
#define _GNU_SOURCE
#include "base/pool.h"
#include "base/thread.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct worker {
    struct pool *pool;
    struct task task;
    int index;
};

struct pool {
    struct worker *workers; /* workers[0] is the caller and has no thread */
    int started;            /* threads that exist, for close */

    pthread_mutex_t lock;
    pthread_cond_t go, done;
    atomic_uint_fast64_t round; /* counts pool_run calls; a change wakes the workers */
    atomic_int busy;            /* threads still in this round */
    atomic_bool quit;           /* these three change under lock; they are looked at without */

    pool_task task;
    void *arg;
    int64_t tasks;
    atomic_int_fast64_t next;
    atomic_bool failed;
    status st; /* first failure of the round, under lock */
    struct error error;
};

static void run_tasks(struct pool *p, int worker)
{
    for (;;) {
        int64_t const i = atomic_fetch_add(&p->next, 1);
        if (i >= p->tasks || atomic_load(&p->failed)) return;
        status const st = p->task(p->arg, i, worker);
        if (st == ST_OK) continue;

        pthread_mutex_lock(&p->lock);
        if (p->st == ST_OK) {
            p->st = st;
            p->error = *error_last();
        }
        pthread_mutex_unlock(&p->lock);
        atomic_store(&p->failed, true);
    }
}

/* The next round mostly comes within microseconds: look some times before sleeping,
 * and let whoever else wants the processor have it in between. */
enum { LOOKS = 300 };

static void await_round(struct pool *p, uint64_t seen)
{
    for (int i = 0; i < LOOKS; i++) {
        if (atomic_load(&p->round) != seen || atomic_load(&p->quit)) return;
        sched_yield();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->round) == seen && !atomic_load(&p->quit))
        pthread_cond_wait(&p->go, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static void await_workers(struct pool *p)
{
    for (int i = 0; i < LOOKS; i++) {
        if (!atomic_load(&p->busy)) return;
        sched_yield();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->busy)) pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static status worker_main(void *arg)
{
    struct worker *const w = arg;
    struct pool *const p = w->pool;

    for (uint64_t seen = 0;; seen++) {
        await_round(p, seen);
        if (atomic_load(&p->quit)) return ST_OK;
        run_tasks(p, w->index);
        if (atomic_fetch_sub(&p->busy, 1) > 1) continue;
        pthread_mutex_lock(&p->lock);
        pthread_cond_signal(&p->done);
        pthread_mutex_unlock(&p->lock);
    }
}

status pool_open(struct pool **out, int threads)
{
    *out = NULL;
    if (threads < 1) return fail(ST_ARG, "pool: %d threads; at least 1", threads);

    status st = ST_OK;
    struct pool *p = calloc(1, sizeof *p);
    struct worker *const workers = calloc((size_t)threads, sizeof *workers);
    if (!p || !workers) {
        free(p);
        free(workers);
        return fail(ST_NOMEM, "pool: no memory for %d threads", threads);
    }
    p->workers = workers;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->go, NULL);
    pthread_cond_init(&p->done, NULL);
    for (int i = 1; i < threads; i++) {
        struct worker *const w = &workers[i];
        char name[32]; /* cut by task_start */
        w->pool = p;
        w->index = i;
        snprintf(name, sizeof name, "pool %d", i);
        TRY_OUT(task_start(&w->task, name, -1, worker_main, w));
        p->started++;
    }
    *out = p;
    p = NULL; /* handed over */
out:
    pool_close(&p);
    return st;
}

void pool_close(struct pool **pool)
{
    struct pool *const p = *pool;

    if (!p) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->quit, true);
    pthread_cond_broadcast(&p->go);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i <= p->started; i++) task_join(&p->workers[i].task, ST_OK);
    pthread_cond_destroy(&p->go);
    pthread_cond_destroy(&p->done);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
    *pool = NULL;
}

status pool_run(struct pool *p, int64_t tasks, pool_task task, void *arg)
{
    if (tasks <= 0) return ST_OK;

    pthread_mutex_lock(&p->lock);
    p->task = task;
    p->arg = arg;
    p->tasks = tasks;
    p->st = ST_OK;
    atomic_store(&p->next, 0);
    atomic_store(&p->failed, false);
    atomic_store(&p->busy, p->started);
    atomic_fetch_add(&p->round, 1);
    pthread_cond_broadcast(&p->go);
    pthread_mutex_unlock(&p->lock);

    run_tasks(p, 0);
    await_workers(p);
    if (p->st != ST_OK) error_adopt(&p->error);
    return p->st;
}

int pool_cpus(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int const n = CPU_COUNT(&set);
    return n > 0 ? n : 1;
}
