/* comm_thread_run.c - one thread per rank, and the one failure that counts. */
#include "comm/comm.h"

#include <pthread.h>
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
    pthread_t thread;
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

static void *rank_main(void *arg)
{
    struct runner *const r = arg;
    status const st = r->run->main(r->comm, r->run->arg);

    if (st != ST_OK) {
        keep_failure(r->run, st);
        comm_abort(r->comm);
    }
    return NULL;
}

status comm_thread_run(struct comm **group, int size, comm_main main, void *arg)
{
    struct run run = { .main = main, .arg = arg };
    struct runner *const runners = calloc((size_t)size, sizeof *runners);
    int started = 1;

    if (!runners) return fail(ST_NOMEM, "%d thread ranks", size);
    pthread_mutex_init(&run.lock, NULL);
    for (int r = 0; r < size; r++) runners[r] = (struct runner){ .run = &run, .comm = group[r] };
    while (started < size &&
           !pthread_create(&runners[started].thread, NULL, rank_main, &runners[started]))
        started++;

    if (started == size) rank_main(&runners[0]);
    else {
        keep_failure(&run, fail(ST_NOMEM, "cannot start thread of rank %d of %d", started, size));
        comm_abort(group[0]);
    }
    for (int r = 1; r < started; r++) pthread_join(runners[r].thread, NULL);
    pthread_mutex_destroy(&run.lock);
    if (run.st != ST_OK) error_adopt(&run.error);
    free(runners);
    return run.st;
}
