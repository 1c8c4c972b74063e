/* comm_mpi_progress.c - the thread of a process that is MPI's. */
#include "base/clock.h"
#include "comm/mpi/comm_mpi.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/prctl.h>

status mpi_broken(const struct mpi_group *g)
{
    const struct mpi_world *const w = g->world;

    if (w->aborted_by >= 0) return rules_aborted(&g->base, w->aborted_by);
    if (*w->trouble) return fail(ST_COMM, "rank %d: %s", w->rank, w->trouble);
    return ST_OK;
}

void mpi_wake_all(struct mpi_world *w)
{
    for (struct mpi_group *g = w->groups; g; g = g->next) pthread_cond_broadcast(&g->changed);
}

bool mpi_wait(struct mpi_group *g, const struct timespec *until)
{
    return pthread_cond_timedwait(&g->changed, &g->world->lock, until) != ETIMEDOUT;
}

static void note_trouble(struct mpi_world *w)
{
    char why[MPI_MAX_ERROR_STRING] = "";
    int len = 0;

    if (!w->failed_call || *w->trouble) return;
    (void)MPI_Error_string(w->failed_code, why, &len);
    snprintf(w->trouble, sizeof w->trouble, "%.60s: %s", w->failed_call, why);
    mpi_wake_all(w);
}

static void deliver(struct mpi_world *w, struct packet *list)
{
    for (const struct packet *p = list; p; p = p->next) {
        if (p->kind == PACKET_TOLD) tell_deliver(w, p);
        else if (p->group && p->kind == PACKET_PIECE) parts_deliver(p->group, p);
        else if (p->group) meet_deliver(p->group, p);
    }
    packets_free(list);
}

static void collect(struct mpi_world *w)
{
    for (struct mpi_group **at = &w->groups; *at;) {
        struct mpi_group *const g = *at;
        if (g->closed) {
            packets_leave_group(w, g);
            *at = g->next;
            mpi_group_free(g);
            continue;
        }
        if (!g->listening) meet_listen(g);
        parts_collect(g);
        at = &g->next;
    }
    tell_collect(w);
}

static bool awaits(const struct mpi_world *w)
{
    for (const struct mpi_group *g = w->groups; g; g = g->next)
        if (g->open || g->meets) return true;
    return w->left_at > 0 || packets_sending(w) > 0;
}

static bool flows(const struct mpi_world *w)
{
    for (const struct mpi_group *g = w->groups; g; g = g->next)
        if (parts_flow(g)) return true;
    return false;
}

static void nap(struct mpi_world *w, double s)
{
    struct timespec const until = rules_until(s);
    (void)pthread_cond_timedwait(&w->work, &w->lock, &until);
}

static void look_again(struct mpi_world *w)
{
    pthread_mutex_unlock(&w->lock);
    (void)sched_yield();
    pthread_mutex_lock(&w->lock);
}

/* Right after something moved more is likely; while tensors flow the next piece is.
 * Then sleep an eighth of the time nothing has moved. */
static void rest(struct mpi_world *w)
{
    double const idle = clock_seconds() - w->moved_at;
    bool const flow = flows(w);

    if (!awaits(w)) nap(w, 4e-3);
    else if (idle < (flow ? 2e-3 : 30e-6)) look_again(w);
    else if (flow) nap(w, 50e-6);
    else nap(w, idle < 160e-6 ? 20e-6 : idle < 8e-3 ? idle / 8 : 1e-3);
}

static struct packet *take_queue(struct mpi_world *w)
{
    struct packet *const list = w->first;

    w->first = NULL;
    w->last = &w->first;
    return list;
}

/* What did not find room goes before what was queued since. */
static void put_back(struct mpi_world *w, struct packet *list)
{
    struct packet **end = &list;

    if (!list) return;
    while (*end) end = &(*end)->next;
    *end = w->first;
    if (!w->first) w->last = end;
    w->first = list;
}

static enum ending live(struct mpi_world *w)
{
    enum ending how = END_NOT;

    pthread_mutex_lock(&w->lock);
    while (how == END_NOT) {
        struct packet *const list = take_queue(w);
        pthread_mutex_unlock(&w->lock);
        struct packet *const left = packets_post(w, list);
        struct packet *const over = packets_test(w);
        pthread_mutex_lock(&w->lock);
        put_back(w, left);
        note_trouble(w);
        deliver(w, over);
        collect(w);
        how = leave_consider(w);
        if (how == END_NOT && !over && (left || !w->first)) rest(w);
    }
    pthread_mutex_unlock(&w->lock);
    return how;
}

void *mpi_thread(void *world)
{
    struct mpi_world *const w = world;

    (void)prctl(PR_SET_TIMERSLACK, 1000UL); /* ns; its naps are short */
    status const st = mpi_begin(w);

    pthread_mutex_lock(&w->lock);
    bool const wanted = w->phase == WORLD_OPENS;
    if (wanted) {
        w->phase = st == ST_OK ? WORLD_LIVES : WORLD_OVER;
        w->error = *error_last();
    }
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    if (st != ST_OK || !wanted) return NULL;

    mpi_end(w, live(w));
    pthread_mutex_lock(&w->lock);
    w->phase = WORLD_OVER;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
    return NULL;
}
