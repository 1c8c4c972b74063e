/* comm_mpi_init.c - the beginning of the world. */
#include "base/clock.h"
#include "base/thread.h"
#include "comm/mpi/comm_mpi.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static status checked(const char *call, int code)
{
    char why[MPI_MAX_ERROR_STRING] = "";
    int len = 0;

    if (code == MPI_SUCCESS) return ST_OK;
    (void)MPI_Error_string(code, why, &len);
    return fail(ST_COMM, "%s: %s", call, why);
}

/* Machines, numbered as they first appear. */
static status find_nodes(struct mpi_world *w, int *node)
{
    char(*name)[MPI_MAX_PROCESSOR_NAME] = calloc((size_t)w->size, sizeof *name);
    char mine[MPI_MAX_PROCESSOR_NAME] = "";
    int len = 0, nodes = 0;
    status st = ST_OK;

    if (!name) return fail(ST_NOMEM, "names of %d ranks", w->size);
    TRY_OUT(checked("MPI_Get_processor_name", MPI_Get_processor_name(mine, &len)));
    TRY_OUT(checked("MPI_Allgather", MPI_Allgather(mine, (int)sizeof mine, MPI_CHAR, name,
                                                   (int)sizeof mine, MPI_CHAR, w->data)));
    for (int r = 0; r < w->size; r++) {
        int same = 0;
        while (strcmp(name[same], name[r])) same++;
        node[r] = same < r ? node[same] : nodes++;
    }
out:
    free(name);
    return st;
}

static status find_tags(struct mpi_world *w)
{
    int *tag_max = NULL, known = 0;

    TRY(checked("MPI_Comm_get_attr",
                MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, (void *)&tag_max, &known)));
    if (!known) return fail(ST_COMM, "MPI does not say which tags it has");
    w->tag_max = *tag_max;
    return ST_OK;
}

/* Else each process would take itself for the whole world. */
static status check_size(const struct mpi_world *w, int launched)
{
    if (launched <= w->size) return ST_OK;
    return fail(ST_ARG,
                "the launcher has started %d ranks and MPI knows of %d: use the mpirun of the MPI "
                "that rollmill is built with, or srun --mpi=pmix",
                launched, w->size);
}

static status make_home(struct mpi_world *w)
{
    struct mpi_group *home = NULL;
    size_t const n = (size_t)w->size;

    w->notes = calloc(n, sizeof(struct inbox *));
    w->notes_moving = calloc(n, sizeof *w->notes_moving);
    w->goodbye = calloc(n, sizeof *w->goodbye);
    if (!w->notes || !w->notes_moving || !w->goodbye)
        return fail(ST_NOMEM, "a world of %d ranks", w->size);
    TRY(mpi_group_open(&home, w, w->size));
    home->base.rank = w->rank;
    for (int r = 0; r < w->size; r++) home->members[r] = r;
    return find_nodes(w, home->node);
}

status mpi_begin(struct mpi_world *w)
{
    int const launched = comm_launcher_size(); /* MPI_Init may change what it says */
    int level = 0;

    TRY(checked("MPI_Init_thread", MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level)));
    if (level < MPI_THREAD_FUNNELED)
        return fail(ST_COMM, "MPI allows no threads (level %d)", level);
    TRY(checked("MPI_Comm_dup", MPI_Comm_dup(MPI_COMM_WORLD, &w->data)));
    TRY(checked("MPI_Comm_dup", MPI_Comm_dup(MPI_COMM_WORLD, &w->control)));
    TRY(checked("MPI_Comm_set_errhandler", MPI_Comm_set_errhandler(w->data, MPI_ERRORS_RETURN)));
    TRY(checked("MPI_Comm_set_errhandler", MPI_Comm_set_errhandler(w->control, MPI_ERRORS_RETURN)));
    TRY(checked("MPI_Comm_rank", MPI_Comm_rank(w->data, &w->rank)));
    TRY(checked("MPI_Comm_size", MPI_Comm_size(w->data, &w->size)));
    TRY(check_size(w, launched));
    TRY(find_tags(w));
    w->moved_at = clock_seconds();
    return make_home(w);
}

/* Signals are for the threads of the program. */
static status start_thread(struct mpi_world *w)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int const rc = pthread_create(&w->thread, NULL, mpi_thread, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc ? fail(ST_NOMEM, "cannot start a thread for MPI: %s", strerror(rc)) : ST_OK;
}

static struct mpi_world *world_new(void)
{
    struct mpi_world *const w = calloc(1, sizeof *w);

    if (!w) return NULL;
    w->aborted_by = -1;
    w->last = &w->first;
    pthread_mutex_init(&w->lock, NULL);
    condvar_init(&w->work);
    condvar_init(&w->changed);
    return w;
}

/* A world that does not come in time is left to its thread, which is inside MPI. */
static status wait_for_others(struct mpi_world *w, double deadline_s, bool *abandoned)
{
    struct timespec const until = rules_until(deadline_s);
    status st = ST_OK;
    bool late = false;

    pthread_mutex_lock(&w->lock);
    while (w->phase == WORLD_OPENS && !late)
        late = pthread_cond_timedwait(&w->changed, &w->lock, &until) == ETIMEDOUT;
    *abandoned = w->phase == WORLD_OPENS;
    if (*abandoned) {
        w->phase = WORLD_ABANDONED;
        st = fail(ST_COMM, "waited %g s for the other ranks to begin", deadline_s);
    } else if (w->phase == WORLD_OVER) {
        error_adopt(&w->error);
        st = w->error.st;
    }
    pthread_mutex_unlock(&w->lock);
    return st;
}

status comm_mpi_init(struct comm **out, double deadline_s)
{
    bool abandoned = false;

    *out = NULL;
    TRY(rules_deadline(deadline_s));
    struct mpi_world *const w = world_new();
    if (!w) return fail(ST_NOMEM, "a world");
    status st = start_thread(w);
    if (st != ST_OK) {
        mpi_world_free(w);
        return st;
    }
    st = wait_for_others(w, deadline_s, &abandoned);
    if (abandoned) pthread_detach(w->thread);
    else if (st != ST_OK) {
        pthread_join(w->thread, NULL);
        mpi_world_free(w);
    } else {
        *out = &w->groups->base;
        (*out)->deadline_s = deadline_s;
    }
    return st;
}
