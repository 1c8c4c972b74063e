/*
 * comm_mpi_init.c - the table of operations, and how a world begins.
 *
 * All of it is done by the thread that will call MPI from then on. MPI_Init waits for the other
 * ranks inside MPI and cannot be told to stop waiting: the caller's deadline is kept outside, and
 * when it passes, the thread and the world it looks at are left behind, for the process to end.
 */
#include "base/clock.h"
#include "comm/mpi/comm_mpi_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

static const struct comm_ops mpi_ops = {
    .post = mpi_post,
    .wait = mpi_wait_posted,
    .agree = mpi_agree,
    .split = mpi_split,
    .send_control = mpi_send_control,
    .poll_control = mpi_poll_control,
    .stop = mpi_stop,
    .stopped = mpi_stopped,
    .abort = mpi_abort,
    .aborted = mpi_aborted,
    .close = mpi_close,
    .attach = mpi_attach,
};

static status check_mpi(const char *call, int code)
{
    char why[MPI_MAX_ERROR_STRING] = "";
    int len = 0;

    if (code == MPI_SUCCESS) return ST_OK;
    (void)MPI_Error_string(code, why, &len);
    return fail(ST_COMM, "%s: %s", call, why);
}

/* Machines are numbered as they first appear. */
static status number_machines(struct mpi_world *w, int *node)
{
    char(*name)[MPI_MAX_PROCESSOR_NAME] = calloc((size_t)w->size, sizeof *name);
    char mine[MPI_MAX_PROCESSOR_NAME] = "";
    int len = 0, nodes = 0;
    status st = ST_OK;

    if (!name) return fail(ST_NOMEM, "names of %d ranks", w->size);
    TRY_OUT(check_mpi("MPI_Get_processor_name", MPI_Get_processor_name(mine, &len)));
    TRY_OUT(check_mpi("MPI_Allgather", MPI_Allgather(mine, (int)sizeof mine, MPI_CHAR, name,
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

static status find_tag_limit(struct mpi_world *w)
{
    int *tag_max = NULL, known = 0;

    TRY(check_mpi("MPI_Comm_get_attr",
                  MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, (void *)&tag_max, &known)));
    if (!known) return fail(ST_COMM, "MPI does not report its largest tag (MPI_TAG_UB)");
    w->tag_max = *tag_max;
    return ST_OK;
}

/* Else each process would take itself for the whole world. */
static status check_launched_size(const struct mpi_world *w, int launched)
{
    if (launched <= w->size) return ST_OK;
    return fail(ST_ARG,
                "the launcher has started %d ranks and MPI knows of %d: use the mpirun of the MPI "
                "that rollmill is built with, or srun --mpi=pmix",
                launched, w->size);
}

static status open_world_group(struct mpi_world *w)
{
    struct mpi_group *home = NULL;
    size_t const n = (size_t)w->size;

    w->outbox = calloc(n, sizeof(struct mailbox *));
    w->controls_moving = calloc(n, sizeof *w->controls_moving);
    w->shutdown_msg = calloc(n, sizeof *w->shutdown_msg);
    if (!w->outbox || !w->controls_moving || !w->shutdown_msg)
        return fail(ST_NOMEM, "a world of %d ranks", w->size);
    TRY(mpi_group_open(&home, w, w->size, &mpi_ops));
    home->base.rank = w->rank;
    for (int r = 0; r < w->size; r++) home->members[r] = r;
    return number_machines(w, home->node);
}

static status open_world(struct mpi_world *w)
{
    int const launched = comm_launcher_size(); /* MPI_Init may change what it says */
    int level = 0;

    TRY(check_mpi("MPI_Init_thread", MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level)));
    if (level < MPI_THREAD_FUNNELED)
        return fail(ST_COMM, "MPI allows no threads (level %d)", level);
    TRY(check_mpi("MPI_Comm_dup", MPI_Comm_dup(MPI_COMM_WORLD, &w->data)));
    TRY(check_mpi("MPI_Comm_dup", MPI_Comm_dup(MPI_COMM_WORLD, &w->control)));
    TRY(check_mpi("MPI_Comm_set_errhandler", MPI_Comm_set_errhandler(w->data, MPI_ERRORS_RETURN)));
    TRY(check_mpi("MPI_Comm_set_errhandler",
                  MPI_Comm_set_errhandler(w->control, MPI_ERRORS_RETURN)));
    TRY(check_mpi("MPI_Comm_rank", MPI_Comm_rank(w->data, &w->rank)));
    TRY(check_mpi("MPI_Comm_size", MPI_Comm_size(w->data, &w->size)));
    TRY(check_launched_size(w, launched));
    TRY(find_tag_limit(w));
    w->moved_at = clock_seconds();
    return open_world_group(w);
}

/* The thread: the whole life of a world. */
static status run_world(void *world)
{
    struct mpi_world *const w = world;

    (void)prctl(PR_SET_TIMERSLACK, 1000UL); /* ns; its sleeps are short */
    status const st = open_world(w);

    pthread_mutex_lock(&w->lock);
    bool const wanted = w->phase == WORLD_OPENS;
    if (wanted) w->phase = st == ST_OK ? WORLD_LIVES : WORLD_OVER;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (st != ST_OK || !wanted) return st;

    mpi_end(w, mpi_progress(w));
    pthread_mutex_lock(&w->lock);
    w->phase = WORLD_OVER;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return ST_OK;
}

/* Signals are for the threads of the program. */
static status start_mpi_thread(struct mpi_world *w)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    status const st = task_start(&w->task, "mpi", -1, run_world, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return st;
}

/* ST_OK: it is open, or its thread has ended. A world that does not come in time is left to its
 * thread, which is inside MPI. */
static status wait_until_open(struct mpi_world *w, double deadline_s, bool *open)
{
    struct timespec const until = comm_time_after(deadline_s);
    status st = ST_OK;
    bool late = false;

    pthread_mutex_lock(&w->lock);
    while (w->phase == WORLD_OPENS && !late)
        late = pthread_cond_timedwait(&w->changed, &w->lock, &until) == ETIMEDOUT;
    *open = w->phase == WORLD_LIVES;
    if (w->phase == WORLD_OPENS) {
        w->phase = WORLD_ABANDONED;
        pthread_detach(w->task.thread);
        st = fail(ST_COMM, "waited %g s for the other ranks to start", deadline_s);
    }
    pthread_mutex_unlock(&w->lock);
    return st;
}

status comm_mpi_init(struct comm **out, double deadline_s)
{
    bool open = false;

    *out = NULL;
    TRY(comm_check_deadline(deadline_s));
    struct mpi_world *const w = mpi_world_new();
    if (!w) return fail(ST_NOMEM, "a world");
    status st = start_mpi_thread(w);
    if (st == ST_OK) {
        TRY(wait_until_open(w, deadline_s, &open));
        if (!open) st = task_join(&w->task, ST_OK);
    }
    if (st != ST_OK) {
        mpi_world_free(w);
        return st;
    }
    *out = &w->groups->base;
    (*out)->deadline_s = deadline_s;
    return ST_OK;
}
