/*
 * comm_thread_run.c - one thread per rank, and the one failure that counts.
 *
 * The first failure in time is the cause and the others its consequences, so it is kept as it
 * happens, not by order of rank as tasks are joined. A rank that fails aborts the group, else the
 * others would wait for it until their deadlines.
 */
#include "base/thread.h"
#include "comm/comm.h"

#include <stdio.h>
#include <stdlib.h>

struct run {
    comm_main main;
    void *arg;
    pthread_mutex_t lock;
    status st; /* the first of those that no other outweighs */
    struct error error;
};

struct runner {
    struct run *run;
    struct comm *comm;
    struct task task;
};

static void keep_failure(struct run *run, status st)
{
    pthread_mutex_lock(&run->lock);
    if (status_outweighs(st, run->st)) {
        run->st = st;
        run->error = *error_last();
    }
    pthread_mutex_unlock(&run->lock);
}

static status run_rank(void *arg)
{
    struct runner *const r = arg;
    status const st = r->run->main(r->comm, r->run->arg);

    if (st != ST_OK) {
        keep_failure(r->run, st);
        comm_abort(r->comm);
    }
    return st;
}

static status start_rank(struct runner *r, int rank)
{
    char name[32];

    snprintf(name, sizeof name, "rank %d", rank);
    return task_start(&r->task, name, -1, run_rank, r);
}

status comm_thread_run(struct comm **group, int size, comm_main main, void *arg)
{
    struct run run = { .main = main, .arg = arg };
    struct runner *const runners = calloc((size_t)size, sizeof *runners);
    int started = 1;

    if (!runners) return fail(ST_NOMEM, "%d thread ranks", size);
    pthread_mutex_init(&run.lock, NULL);
    for (int r = 0; r < size; r++) runners[r] = (struct runner){ .run = &run, .comm = group[r] };
    while (started < size && start_rank(&runners[started], started) == ST_OK) started++;

    if (started == size) (void)run_rank(&runners[0]);
    else {
        keep_failure(&run, error_last()->st);
        comm_abort(group[0]);
    }
    for (int r = 1; r < started; r++) (void)task_join(&runners[r].task, ST_OK);
    pthread_mutex_destroy(&run.lock);
    if (run.st != ST_OK) error_adopt(&run.error);
    free(runners);
    return run.st;
}
