/*
 * comm_mpi_control.c - what one process sends another outside of any group: control messages,
 * stop, abort, shutdown.
 *
 * They travel on an MPI communicator of their own, so no tensor delays them. Control messages
 * wait in an outbox for each peer, which drops the oldest when it is full: a peer that stands
 * still costs bounded memory, and never a wait. Stop, abort and shutdown are bits of what is still
 * to be sent to all; a bit stays set until there was memory for all packets.
 */
#include "comm/mpi/comm_mpi_internal.h"

#include <stdlib.h>
#include <string.h>

status mpi_send_control(struct comm *c, int peer, const struct comm_control *control)
{
    struct mpi_world *const w = group_of(c)->world;
    status st = comm_check_control(c, peer, group_of(c)->id == 0);

    if (st != ST_OK) return st;
    pthread_mutex_lock(&w->lock);
    if (peer != w->rank && !w->outbox[peer]) w->outbox[peer] = calloc(1, sizeof *w->outbox[peer]);
    struct mailbox *const box = peer == w->rank ? &w->mailbox : w->outbox[peer];
    if (box) mailbox_put(box, control, w->rank);
    else st = fail(ST_NOMEM, "a control message for rank %d", peer);
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    return st;
}

bool mpi_poll_control(struct comm *c, struct comm_control *out, int *from)
{
    struct mpi_world *const w = group_of(c)->world;

    pthread_mutex_lock(&w->lock);
    bool const any = group_of(c)->id == 0 && mailbox_take(&w->mailbox, out, from);
    pthread_mutex_unlock(&w->lock);
    return any;
}

static void ask_to_announce(struct mpi_world *w, enum msg_kind kind)
{
    w->announce |= 1U << kind;
    pthread_cond_signal(&w->work);
}

void mpi_stop(struct comm *c)
{
    struct mpi_world *const w = group_of(c)->world;

    pthread_mutex_lock(&w->lock);
    if (!w->stop) ask_to_announce(w, MSG_STOP);
    w->stop = true;
    pthread_mutex_unlock(&w->lock);
}

bool mpi_stopped(struct comm *c)
{
    struct mpi_world *const w = group_of(c)->world;

    pthread_mutex_lock(&w->lock);
    bool const stop = w->stop;
    pthread_mutex_unlock(&w->lock);
    return stop;
}

static void record_abort(struct mpi_world *w, int rank)
{
    if (w->aborted_by < 0) w->aborted_by = rank;
    mpi_wake_all(w);
}

/* Nothing touches a caller's memory after this: all who would need the lock. */
void mpi_abort(struct comm *c)
{
    struct mpi_world *const w = group_of(c)->world;

    pthread_mutex_lock(&w->lock);
    if (w->aborted_by < 0) ask_to_announce(w, MSG_ABORT);
    record_abort(w, w->rank);
    pthread_mutex_unlock(&w->lock);
}

bool mpi_aborted(struct comm *c)
{
    struct mpi_world *const w = group_of(c)->world;

    pthread_mutex_lock(&w->lock);
    bool const yes = w->aborted_by >= 0;
    pthread_mutex_unlock(&w->lock);
    return yes;
}

static struct packet *make_control_packet(int peer, const struct control_msg *m)
{
    struct packet *const p = packet_new(PACKET_CONTROL, NULL, peer, (int)sizeof *m);

    if (p) memcpy(p->bytes, m, sizeof *m);
    return p;
}

/* false: no memory for it now. */
static bool send_to_all(struct mpi_world *w, const struct control_msg *m)
{
    struct packet *list = NULL;

    for (int r = 0; r < w->size; r++) {
        if (r == w->rank) continue;
        struct packet *const p = make_control_packet(r, m);
        if (!p) {
            packets_free(list);
            return false;
        }
        p->next = list;
        list = p;
    }
    packets_queue(w, list);
    return true;
}

static void queue_controls(struct mpi_world *w, int peer)
{
    struct mailbox *const box = w->outbox[peer];

    while (box && box->count && w->controls_moving[peer] < CONTROLS_MOVING) {
        struct control_msg m = { .kind = MSG_CONTROL };
        struct packet *const p = make_control_packet(peer, &m);
        int from = 0;
        if (!p) return;
        (void)mailbox_take(box, &m.u.control, &from);
        memcpy(p->bytes, &m, sizeof m);
        w->controls_moving[peer]++;
        packet_queue(w, p);
    }
}

static void listen_for_control(struct mpi_world *w)
{
    struct packet *const p =
        packet_new(PACKET_CONTROL, NULL, MPI_ANY_SOURCE, (int)sizeof(struct control_msg));

    if (!p) return;
    p->receive = true;
    packet_queue(w, p);
    w->listening = true;
}

void control_collect(struct mpi_world *w)
{
    if (!w->listening) listen_for_control(w);
    for (int r = 0; r < w->size; r++) queue_controls(w, r);
    for (int kind = MSG_STOP; kind <= MSG_SHUTDOWN; kind++) {
        struct control_msg m = { .kind = (enum msg_kind)kind };
        if (!(w->announce & 1U << kind)) continue;
        if (m.kind == MSG_SHUTDOWN) m.u.shutdown = w->shutdown_msg[w->rank];
        if (send_to_all(w, &m)) w->announce &= ~(1U << kind);
    }
}

static void take_control_msg(struct mpi_world *w, int from, const struct control_msg *m)
{
    switch (m->kind) {
    case MSG_CONTROL: mailbox_put(&w->mailbox, &m->u.control, from); break;
    case MSG_STOP: w->stop = true; break;
    case MSG_ABORT: record_abort(w, from); break;
    case MSG_SHUTDOWN: w->shutdown_msg[from] = m->u.shutdown; break;
    }
}

void control_deliver(struct mpi_world *w, const struct packet *p)
{
    struct control_msg m;

    memcpy(&m, p->bytes, sizeof m);
    if (p->receive) {
        w->listening = false;
        take_control_msg(w, p->peer, &m);
    } else if (m.kind == MSG_CONTROL) w->controls_moving[p->peer]--;
}
