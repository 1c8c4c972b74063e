/*
 * comm_mpi_finalize.c - the end of the world: together, or by the one that failed.
 *
 * Each rank sends all others a shutdown message with its exit code, and looks at theirs. If all
 * codes are the same, nobody failed and nothing is under way: MPI_Finalize. Else the first rank
 * that failed by itself ends all processes; the others wait for that, so that none is inside
 * MPI_Finalize when it is ended.
 */
#include "base/clock.h"
#include "comm/mpi/comm_mpi_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { GRACE_S = 2, EXIT_APART = 71 /* this rank was well, the world was not */ };

static bool all_have_shut_down(const struct mpi_world *w)
{
    for (int r = 0; r < w->size; r++)
        if (!w->shutdown_msg[r].here) return false;
    return true;
}

static bool all_codes_equal(const struct mpi_world *w)
{
    for (int r = 0; r < w->size; r++)
        if (w->shutdown_msg[r].code != w->shutdown_msg[0].code) return false;
    return true;
}

static bool anyone_failed(const struct mpi_world *w)
{
    for (int r = 0; r < w->size; r++)
        if (w->shutdown_msg[r].own_failure) return true;
    return false;
}

/* Whose exit code becomes the world's, once all messages are here. */
static int find_culprit(const struct mpi_world *w)
{
    int first = -1;

    for (int r = 0; r < w->size; r++) {
        if (w->shutdown_msg[r].own_failure) return r;
        if (first < 0 && w->shutdown_msg[r].code) first = r;
    }
    return first;
}

enum ending mpi_choose_ending(const struct mpi_world *w)
{
    if (!(w->shutdown_at > 0)) return END_NOT;

    const struct shutdown_msg *const mine = &w->shutdown_msg[w->rank];
    double const waited = clock_seconds() - w->shutdown_at;

    if (all_have_shut_down(w) && all_codes_equal(w) && !anyone_failed(w)) {
        if (!w->first && !packets_sending(w)) return END_FINALIZE;
        return waited > GRACE_S ? END_ABORT : END_NOT;
    }
    if (all_have_shut_down(w) && find_culprit(w) == w->rank) return END_ABORT;
    if (mine->own_failure && waited > GRACE_S) return END_ABORT;
    if (waited <= w->patience_s) return END_NOT;
    return mine->code ? END_EXIT : END_ABORT;
}

/* MPI_Finalize wants nothing under way. */
static bool cancel_receives(struct mpi_world *w)
{
    struct timespec const pause = { .tv_nsec = 100000 };
    double const begun = clock_seconds();

    packets_cancel(w);
    while (w->active && clock_seconds() - begun < GRACE_S) {
        packets_free(packets_test(w));
        nanosleep(&pause, NULL);
    }
    return !w->active;
}

void mpi_end(struct mpi_world *w, enum ending how)
{
    int const mine = w->shutdown_msg[w->rank].code, code = mine ? mine : EXIT_APART;

    if (how == END_FINALIZE && cancel_receives(w)) {
        (void)MPI_Finalize();
        return;
    }
    if (how != END_EXIT) (void)MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}

int comm_mpi_finalize(struct comm **world, int code, bool own_failure)
{
    struct mpi_world *const w = group_of(*world)->world;
    double const patience_s = (*world)->deadline_s + 2 * GRACE_S;
    struct timespec const until = comm_time_after(patience_s + 3 * GRACE_S);
    bool late = false;

    (void)fflush(NULL);
    pthread_mutex_lock(&w->lock);
    w->shutdown_msg[w->rank] = (struct shutdown_msg){ true, own_failure && code, code };
    w->patience_s = patience_s;
    w->shutdown_at = clock_seconds();
    w->announce |= 1U << MSG_SHUTDOWN;
    pthread_cond_signal(&w->work);
    while (w->phase != WORLD_OVER && !late)
        late = pthread_cond_timedwait(&w->changed, &w->lock, &until) == ETIMEDOUT;
    pthread_mutex_unlock(&w->lock);
    if (late) _exit(code ? code : EXIT_APART);

    (void)task_join(&w->task, ST_OK);
    mpi_world_free(w);
    *world = NULL;
    return code;
}

void mpi_close(struct comm **c)
{
    if (!*c) return;
    struct mpi_group *const g = group_of(*c);
    struct mpi_world *const w = g->world;

    if (g->id == 0) {
        (void)comm_mpi_finalize(c, 0, false);
        return;
    }
    pthread_mutex_lock(&w->lock);
    g->open = false;
    g->closed = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    *c = NULL;
}
