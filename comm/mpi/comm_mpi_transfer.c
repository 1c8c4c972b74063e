/*
 * comm_mpi_transfer.c - post and wait: tensors pass in pieces, in the order of the transfers.
 *
 * From one rank to another a few pieces are under way at a time, so memory is bounded and a tensor
 * begins to arrive before all of it is copied. Every piece carries dtype and shape of its tensor,
 * and the first is small: a receiver whose tensor does not fit finds out early and touches nothing.
 * MPI keeps the order of messages with one tag between two ranks, and all pieces of a group have
 * one: so the n-th piece asked for is the n-th sent, and pieces need no number.
 */
#include "comm/mpi/comm_mpi_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int piece_count(const struct tensor *t)
{
    size_t const bytes = tensor_bytes(t);
    return bytes <= FIRST_BYTES ? 1 : 1 + (int)((bytes - FIRST_BYTES - 1) / PIECE_BYTES + 1);
}

static size_t piece_offset(int piece)
{
    return piece ? FIRST_BYTES + (size_t)(piece - 1) * PIECE_BYTES : 0;
}

static size_t piece_capacity(int piece) { return piece ? PIECE_BYTES : FIRST_BYTES; }

/* Bytes of a piece; all but the last are full. */
static size_t bytes_in_piece(const struct posted *p, int piece)
{
    size_t const left = tensor_bytes(&p->xfer.t) - piece_offset(piece);
    return left < piece_capacity(piece) ? left : piece_capacity(piece);
}

static unsigned char *piece_address(const struct posted *p, int piece)
{
    return (unsigned char *)p->xfer.t.data + piece_offset(piece);
}

static status record_xfers(struct mpi_group *g, const struct comm_xfer *xfers, int count)
{
    if (count > g->cap) {
        struct posted *const more = realloc(g->posted, (size_t)count * sizeof *more);
        if (!more) return fail(ST_NOMEM, "post: %d transfers", count);
        g->posted = more;
        g->cap = count;
    }
    for (int i = 0; i < count; i++) {
        if (tensor_bytes(&xfers[i].t) / PIECE_BYTES >= INT32_MAX)
            return fail(ST_ARG, "post: transfer %d has %zu bytes", i, tensor_bytes(&xfers[i].t));
        g->posted[i] = (struct posted){ .xfer = xfers[i], .pieces = piece_count(&xfers[i].t) };
    }
    g->count = count;
    g->open = true;
    return ST_OK;
}

static status post_in_group(struct mpi_group *g, const struct comm_xfer *xfers, int count)
{
    TRY(comm_check_post(&g->base, xfers, count, g->open));
    TRY(mpi_broken(g));
    if (g->out_of_step)
        return fail(ST_COMM, "post: rank %d failed in its last wait", g->base.world_rank);
    TRY(record_xfers(g, xfers, count));
    pthread_cond_signal(&g->world->work);
    return ST_OK;
}

status mpi_post(struct comm *c, const struct comm_xfer *xfers, int count)
{
    struct mpi_group *const g = group_of(c);

    pthread_mutex_lock(&g->world->lock);
    status const st = post_in_group(g, xfers, count);
    pthread_mutex_unlock(&g->world->lock);
    return st;
}

static bool pieces_left(const struct mpi_group *g)
{
    for (int i = 0; i < g->count; i++)
        if (g->posted[i].done < g->posted[i].pieces) return true;
    return false;
}

static status check_misfits(const struct mpi_group *g)
{
    for (int i = 0; i < g->count; i++) {
        const struct posted *const p = &g->posted[i];
        if (p->misfit)
            return comm_check_fit(&g->base, &p->xfer.t, g->members[p->xfer.peer], &p->sent);
    }
    return ST_OK;
}

static status fail_pieces_missing(const struct mpi_group *g)
{
    struct strbuf who = { 0 };

    for (int r = 0; r < g->base.size; r++)
        for (int send = 0; send < 2; send++) {
            int n = 0;
            for (int i = 0; i < g->count; i++) {
                const struct posted *const p = &g->posted[i];
                n += p->xfer.peer == r && p->xfer.send == (bool)send && p->done < p->pieces;
            }
            comm_list_xfers(&who, g->members[r], send, n);
        }
    return comm_fail_waited(&g->base, NULL, &who);
}

static status wait_for_pieces(struct mpi_group *g)
{
    struct timespec const until = comm_time_after(g->base.deadline_s);
    bool late = false;

    while (pieces_left(g)) {
        TRY(mpi_broken(g));
        TRY(check_misfits(g));
        if (late) return fail_pieces_missing(g);
        late = !mpi_wait(g, &until);
    }
    return ST_OK;
}

status mpi_wait_posted(struct comm *c)
{
    struct mpi_group *const g = group_of(c);

    pthread_mutex_lock(&g->world->lock);
    status const st = wait_for_pieces(g);
    g->out_of_step |= st != ST_OK;
    g->open = false;
    g->count = 0;
    pthread_mutex_unlock(&g->world->lock);
    return st;
}

/* May the caller's memory be touched? */
static bool may_copy(const struct mpi_group *g) { return g->open && g->world->aborted_by < 0; }

status mpi_attach(struct comm *c, const struct memory *m)
{
    struct mpi_group *const g = group_of(c);

    pthread_mutex_lock(&g->world->lock);
    g->attached = m != NULL;
    if (m) g->memory = *m;
    pthread_mutex_unlock(&g->world->lock);
    return ST_OK;
}

/* Between a tensor and a packet. */
static void copy_piece(struct mpi_group *g, const struct comm_xfer *p, void *to, const void *from,
                       size_t bytes)
{
    struct mpi_world *const w = g->world;

    if (!comm_xfer_on_card(p, g->attached)) {
        if (bytes) memcpy(to, from, bytes);
        return;
    }
    if (device_copy(&g->memory, to, from, bytes) == ST_OK || *w->trouble) return;
    snprintf(w->trouble, sizeof w->trouble, "%.200s", error_last()->msg);
    mpi_wake_all(w);
}

/* One more piece of transfer i. false: no memory for it. */
static bool queue_piece(struct mpi_group *g, int i)
{
    struct posted *const p = &g->posted[i];
    bool const send = p->xfer.send;
    struct piece_head head = { .whole = p->xfer.t };
    size_t const n = send ? bytes_in_piece(p, p->asked) : piece_capacity(p->asked);
    struct packet *const packet =
        packet_new(PACKET_PIECE, g, g->members[p->xfer.peer], (int)(sizeof head + n));

    if (!packet) return false;
    head.whole.data = NULL;
    packet->receive = !send;
    packet->xfer = i;
    packet->piece = p->asked++;
    if (send) memcpy(packet->bytes, &head, sizeof head);
    if (send)
        copy_piece(g, &p->xfer, packet->bytes + sizeof head, piece_address(p, packet->piece), n);
    g->moving[send][p->xfer.peer]++;
    packet_queue(g->world, packet);
    return true;
}

void xfers_collect(struct mpi_group *g)
{
    if (!may_copy(g)) return;
    for (int i = 0; i < g->count; i++) {
        const struct posted *const p = &g->posted[i];
        while (p->asked < p->pieces && g->moving[p->xfer.send][p->xfer.peer] < PIECES_MOVING)
            if (!queue_piece(g, i)) return;
    }
}

bool xfers_flow(const struct mpi_group *g)
{
    for (int i = 0; g->open && i < g->count; i++)
        if (g->posted[i].done && g->posted[i].done < g->posted[i].pieces) return true;
    return false;
}

static void store_piece(struct mpi_group *g, struct posted *p, const struct packet *packet)
{
    const struct tensor *const t = &p->xfer.t;
    size_t const n = bytes_in_piece(p, packet->piece);
    struct piece_head head;

    memcpy(&head, packet->bytes, sizeof head);
    if (head.whole.dtype != t->dtype || tensor_bytes(&head.whole) != tensor_bytes(t)) {
        p->misfit = true;
        p->sent = head.whole;
    } else copy_piece(g, &p->xfer, piece_address(p, packet->piece), packet->bytes + sizeof head, n);
}

void xfers_deliver(struct mpi_group *g, const struct packet *packet)
{
    if (!may_copy(g)) return;
    struct posted *const p = &g->posted[packet->xfer];
    g->moving[p->xfer.send][p->xfer.peer]--;
    if (packet->receive) store_piece(g, p, packet);
    if (p->misfit || ++p->done == p->pieces) pthread_cond_broadcast(&g->changed);
}
