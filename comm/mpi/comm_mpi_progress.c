/*
 * comm_mpi_progress.c - the progress engine: the loop of the one thread that calls MPI.
 *
 * Why a thread of its own. MPI moves messages only while some call of it is made, and ranks
 * compute for seconds between two calls of comm.h. With a loop beside them a tensor crosses while
 * they compute, a stop or an abort arrives while they wait for something else, and any thread of
 * the process may use a comm though MPI is opened for one thread (MPI_THREAD_FUNNELED).
 *
 * A turn. Take what is queued; without the lock post it and test what is under way; with the
 * lock again deliver what is over to its group, and let groups, collectives and control turn
 * what they want by now into new packets. MPI is never entered with the lock, so no caller waits
 * for MPI, and packets under way belong to this thread alone.
 *
 * When nothing moves, the thread must neither burn a core that a rank computes on nor add its
 * sleep to every exchange. Right after something moved it yields, longer while a tensor is half
 * over, as the next piece is due at once; then it sleeps an eighth of the time that nothing has
 * moved, up to a millisecond. A caller that wants something wakes it. If no caller waits for
 * anything, a look every 4 ms is enough for control messages.
 *
 * What must hold: no call of MPI that blocks, here or in comm_mpi_packet.c. A loop that stood
 * still could neither send the other ranks an abort nor receive one.
 */
#include "base/clock.h"
#include "comm/mpi/comm_mpi_internal.h"

#include <sched.h>
#include <stdio.h>

static void record_trouble(struct mpi_world *w)
{
    char why[MPI_MAX_ERROR_STRING] = "";
    int len = 0;

    if (!w->failed_call || *w->trouble) return;
    (void)MPI_Error_string(w->failed_code, why, &len);
    snprintf(w->trouble, sizeof w->trouble, "%.60s: %s", w->failed_call, why);
    mpi_wake_all(w);
}

static void deliver_packets(struct mpi_world *w, struct packet *list)
{
    for (const struct packet *p = list; p; p = p->next) {
        if (p->kind == PACKET_CONTROL) control_deliver(w, p);
        else if (p->group && p->kind == PACKET_PIECE) xfers_deliver(p->group, p);
        else if (p->group) collective_deliver(p->group, p);
    }
    packets_free(list);
}

static void collect_packets(struct mpi_world *w)
{
    for (struct mpi_group **at = &w->groups; *at;) {
        struct mpi_group *const g = *at;
        if (g->closed) {
            packets_leave_group(w, g);
            *at = g->next;
            mpi_group_free(g);
            continue;
        }
        if (!g->listening) collective_listen(g);
        xfers_collect(g);
        at = &g->next;
    }
    control_collect(w);
}

static bool awaits_anything(const struct mpi_world *w)
{
    for (const struct mpi_group *g = w->groups; g; g = g->next)
        if (g->open || g->in_collective) return true;
    return w->shutdown_at > 0 || packets_sending(w) > 0;
}

static bool tensors_flow(const struct mpi_world *w)
{
    for (const struct mpi_group *g = w->groups; g; g = g->next)
        if (xfers_flow(g)) return true;
    return false;
}

static void sleep_on_work(struct mpi_world *w, double s)
{
    struct timespec const until = comm_time_after(s);
    (void)pthread_cond_timedwait(&w->work, &w->lock, &until);
}

static void yield_lock(struct mpi_world *w)
{
    pthread_mutex_unlock(&w->lock);
    (void)sched_yield();
    pthread_mutex_lock(&w->lock);
}

/* Right after something moved more is likely; while tensors flow the next piece is.
 * Then sleep an eighth of the time nothing has moved. */
static void pause_loop(struct mpi_world *w)
{
    double const idle = clock_seconds() - w->moved_at;
    bool const flow = tensors_flow(w);

    if (!awaits_anything(w)) sleep_on_work(w, 4e-3);
    else if (idle < (flow ? 2e-3 : 30e-6)) yield_lock(w);
    else if (flow) sleep_on_work(w, 50e-6);
    else sleep_on_work(w, idle < 160e-6 ? 20e-6 : idle < 8e-3 ? idle / 8 : 1e-3);
}

static struct packet *take_queued(struct mpi_world *w)
{
    struct packet *const list = w->first;

    w->first = NULL;
    w->last = &w->first;
    return list;
}

/* What there was no memory for goes before what was queued since. */
static void requeue_first(struct mpi_world *w, struct packet *list)
{
    struct packet **end = &list;

    if (!list) return;
    while (*end) end = &(*end)->next;
    *end = w->first;
    if (!w->first) w->last = end;
    w->first = list;
}

enum ending mpi_progress(struct mpi_world *w)
{
    enum ending how = END_NOT;

    pthread_mutex_lock(&w->lock);
    while (how == END_NOT) {
        struct packet *const list = take_queued(w);
        pthread_mutex_unlock(&w->lock);
        struct packet *const left = packets_post(w, list);
        struct packet *const over = packets_test(w);
        pthread_mutex_lock(&w->lock);
        requeue_first(w, left);
        record_trouble(w);
        deliver_packets(w, over);
        collect_packets(w);
        how = mpi_choose_ending(w);
        if (how == END_NOT && !over && (left || !w->first)) pause_loop(w);
    }
    pthread_mutex_unlock(&w->lock);
    return how;
}
