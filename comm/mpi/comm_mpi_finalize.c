/*
 * comm_mpi_finalize.c - the end of the world: together, or by the one that failed.
 *
 * Each rank says good-bye to all, with its code, and looks at what the others
 * said. All the same, nobody failed and nothing under way: MPI_Finalize. Else the
 * first rank that failed by itself ends all processes; the others wait for that, so
 * that none is inside MPI_Finalize when it is ended.
 */
#include "base/clock.h"
#include "comm/mpi/comm_mpi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { GRACE_S = 2, EXIT_APART = 71 /* this rank was well, the world was not */ };

static bool all_said(const struct mpi_world *w)
{
    for (int r = 0; r < w->size; r++)
        if (!w->goodbye[r].here) return false;
    return true;
}

static bool all_alike(const struct mpi_world *w)
{
    for (int r = 0; r < w->size; r++)
        if (w->goodbye[r].code != w->goodbye[0].code) return false;
    return true;
}

static bool anyone_failed(const struct mpi_world *w)
{
    for (int r = 0; r < w->size; r++)
        if (w->goodbye[r].own_failure) return true;
    return false;
}

/* Whose code it is, once all have spoken. */
static int culprit(const struct mpi_world *w)
{
    int first = -1;

    for (int r = 0; r < w->size; r++) {
        if (w->goodbye[r].own_failure) return r;
        if (first < 0 && w->goodbye[r].code) first = r;
    }
    return first;
}

enum ending leave_consider(const struct mpi_world *w)
{
    if (!(w->left_at > 0)) return END_NOT;

    const struct goodbye *const mine = &w->goodbye[w->rank];
    double const waited = clock_seconds() - w->left_at;

    if (all_said(w) && all_alike(w) && !anyone_failed(w)) {
        if (!w->first && !packets_sending(w)) return END_FINALIZE;
        return waited > GRACE_S ? END_ABORT : END_NOT;
    }
    if (all_said(w) && culprit(w) == w->rank) return END_ABORT;
    if (mine->own_failure && waited > GRACE_S) return END_ABORT;
    if (waited <= w->patience_s) return END_NOT;
    return mine->code ? END_EXIT : END_ABORT;
}

/* MPI_Finalize wants nothing under way. */
static bool quiet(struct mpi_world *w)
{
    struct timespec const nap = { .tv_nsec = 100000 };
    double const begun = clock_seconds();

    packets_cancel(w);
    while (w->active && clock_seconds() - begun < GRACE_S) {
        packets_free(packets_test(w));
        nanosleep(&nap, NULL);
    }
    return !w->active;
}

void mpi_end(struct mpi_world *w, enum ending how)
{
    int const mine = w->goodbye[w->rank].code, code = mine ? mine : EXIT_APART;

    if (how == END_FINALIZE && quiet(w)) {
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
    struct timespec const until = rules_until(patience_s + 3 * GRACE_S);
    bool late = false;

    (void)fflush(NULL);
    pthread_mutex_lock(&w->lock);
    w->goodbye[w->rank] = (struct goodbye){ true, own_failure && code, code };
    w->patience_s = patience_s;
    w->left_at = clock_seconds();
    w->tell |= 1U << TOLD_GOODBYE;
    pthread_cond_signal(&w->work);
    while (w->phase != WORLD_OVER && !late)
        late = pthread_cond_timedwait(&w->changed, &w->lock, &until) == ETIMEDOUT;
    pthread_mutex_unlock(&w->lock);
    if (late) _exit(code ? code : EXIT_APART);

    pthread_join(w->thread, NULL);
    mpi_world_free(w);
    *world = NULL;
    return code;
}
