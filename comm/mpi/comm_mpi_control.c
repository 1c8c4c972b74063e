/* comm_mpi_control.c - notes, stop, abort, good-bye: from one process to another. */
#include "comm/mpi/comm_mpi.h"

#include <stdlib.h>
#include <string.h>

status mpi_send_control(struct comm *c, int peer, const struct comm_control *note)
{
    struct mpi_world *const w = group_of(c)->world;
    status st = rules_note(c, peer, group_of(c)->id == 0);

    if (st != ST_OK) return st;
    pthread_mutex_lock(&w->lock);
    if (peer != w->rank && !w->notes[peer]) w->notes[peer] = calloc(1, sizeof *w->notes[peer]);
    struct inbox *const box = peer == w->rank ? &w->inbox : w->notes[peer];
    if (box) inbox_put(box, note, w->rank);
    else st = fail(ST_NOMEM, "note for rank %d", peer);
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    return st;
}

bool mpi_poll_control(struct comm *c, struct comm_control *out, int *from)
{
    struct mpi_world *const w = group_of(c)->world;

    pthread_mutex_lock(&w->lock);
    bool const any = group_of(c)->id == 0 && inbox_take(&w->inbox, out, from);
    pthread_mutex_unlock(&w->lock);
    return any;
}

static void tell_all(struct mpi_world *w, enum told_kind kind)
{
    w->tell |= 1U << kind;
    pthread_cond_signal(&w->work);
}

void mpi_stop(struct comm *c)
{
    struct mpi_world *const w = group_of(c)->world;

    pthread_mutex_lock(&w->lock);
    if (!w->stop) tell_all(w, TOLD_STOP);
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

static void aborted_by(struct mpi_world *w, int rank)
{
    if (w->aborted_by < 0) w->aborted_by = rank;
    mpi_wake_all(w);
}

/* Nothing touches a caller's memory after this: all who would need the lock. */
void mpi_abort(struct comm *c)
{
    struct mpi_world *const w = group_of(c)->world;

    pthread_mutex_lock(&w->lock);
    if (w->aborted_by < 0) tell_all(w, TOLD_ABORT);
    aborted_by(w, w->rank);
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

static struct packet *told_packet(int peer, const struct told *t)
{
    struct packet *const p = packet_new(PACKET_TOLD, NULL, peer, (int)sizeof *t);

    if (p) memcpy(p->bytes, t, sizeof *t);
    return p;
}

/* false: no memory for it now. */
static bool tell(struct mpi_world *w, const struct told *t)
{
    struct packet *list = NULL;

    for (int r = 0; r < w->size; r++) {
        if (r == w->rank) continue;
        struct packet *const p = told_packet(r, t);
        if (!p) {
            packets_free(list);
            return false;
        }
        p->next = list;
        list = p;
    }
    while (list) {
        struct packet *const next = list->next;
        packet_queue(w, list);
        list = next;
    }
    return true;
}

static void collect_notes(struct mpi_world *w, int peer)
{
    struct inbox *const box = w->notes[peer];

    while (box && box->count && w->notes_moving[peer] < NOTES_MOVING) {
        struct told t = { .kind = TOLD_NOTE };
        struct packet *const p = told_packet(peer, &t);
        int from = 0;
        if (!p) return;
        (void)inbox_take(box, &t.u.note, &from);
        memcpy(p->bytes, &t, sizeof t);
        w->notes_moving[peer]++;
        packet_queue(w, p);
    }
}

static void listen(struct mpi_world *w)
{
    struct packet *const p =
        packet_new(PACKET_TOLD, NULL, MPI_ANY_SOURCE, (int)sizeof(struct told));

    if (!p) return;
    p->receive = true;
    packet_queue(w, p);
    w->listening = true;
}

void tell_collect(struct mpi_world *w)
{
    if (!w->listening) listen(w);
    for (int r = 0; r < w->size; r++) collect_notes(w, r);
    for (int kind = TOLD_STOP; kind <= TOLD_GOODBYE; kind++) {
        struct told t = { .kind = (enum told_kind)kind };
        if (!(w->tell & 1U << kind)) continue;
        if (t.kind == TOLD_GOODBYE) t.u.goodbye = w->goodbye[w->rank];
        if (tell(w, &t)) w->tell &= ~(1U << kind);
    }
}

static void hear_of(struct mpi_world *w, int from, const struct told *t)
{
    switch (t->kind) {
    case TOLD_NOTE: inbox_put(&w->inbox, &t->u.note, from); break;
    case TOLD_STOP: w->stop = true; break;
    case TOLD_ABORT: aborted_by(w, from); break;
    case TOLD_GOODBYE: w->goodbye[from] = t->u.goodbye; break;
    }
}

void tell_deliver(struct mpi_world *w, const struct packet *p)
{
    struct told t;

    memcpy(&t, p->bytes, sizeof t);
    if (p->receive) {
        w->listening = false;
        hear_of(w, p->peer, &t);
    } else if (t.kind == TOLD_NOTE) w->notes_moving[p->peer]--;
}
