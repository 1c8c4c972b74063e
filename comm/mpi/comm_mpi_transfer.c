/* comm_mpi_transfer.c - start and finish: tensors pass in pieces, in the order of the parts. */
#include "comm/comm_device.h"
#include "comm/mpi/comm_mpi.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int pieces_of(const struct tensor *t)
{
    size_t const bytes = tensor_bytes(t);
    return bytes <= FIRST_BYTES ? 1 : 1 + (int)((bytes - FIRST_BYTES - 1) / PIECE_BYTES + 1);
}

static size_t offset_of(int piece)
{
    return piece ? FIRST_BYTES + (size_t)(piece - 1) * PIECE_BYTES : 0;
}

static size_t room_of(int piece) { return piece ? PIECE_BYTES : FIRST_BYTES; }

/* Bytes of a piece; all but the last fill their room. */
static size_t bytes_of(const struct posted *p, int piece)
{
    size_t const left = tensor_bytes(&p->part.t) - offset_of(piece);
    return left < room_of(piece) ? left : room_of(piece);
}

static unsigned char *place_of(const struct posted *p, int piece)
{
    return (unsigned char *)p->part.t.data + offset_of(piece);
}

static status make_posted(struct mpi_group *g, const struct comm_xfer *parts, int count)
{
    if (count > g->cap) {
        struct posted *const more = realloc(g->posted, (size_t)count * sizeof *more);
        if (!more) return fail(ST_NOMEM, "start: %d parts", count);
        g->posted = more;
        g->cap = count;
    }
    for (int i = 0; i < count; i++) {
        if (tensor_bytes(&parts[i].t) / PIECE_BYTES >= INT32_MAX)
            return fail(ST_ARG, "start: part %d has %zu bytes", i, tensor_bytes(&parts[i].t));
        g->posted[i] = (struct posted){ .part = parts[i], .pieces = pieces_of(&parts[i].t) };
    }
    g->count = count;
    g->open = true;
    return ST_OK;
}

static status start(struct mpi_group *g, const struct comm_xfer *parts, int count)
{
    TRY(rules_parts(&g->base, parts, count, g->open));
    TRY(mpi_broken(g));
    if (g->out_of_step)
        return fail(ST_COMM, "start: rank %d failed in its last exchange", g->base.world_rank);
    TRY(make_posted(g, parts, count));
    pthread_cond_signal(&g->world->work);
    return ST_OK;
}

status mpi_post(struct comm *c, const struct comm_xfer *parts, int count)
{
    struct mpi_group *const g = group_of(c);

    pthread_mutex_lock(&g->world->lock);
    status const st = start(g, parts, count);
    pthread_mutex_unlock(&g->world->lock);
    return st;
}

static bool pending(const struct mpi_group *g)
{
    for (int i = 0; i < g->count; i++)
        if (g->posted[i].done < g->posted[i].pieces) return true;
    return false;
}

static status fits(const struct mpi_group *g)
{
    for (int i = 0; i < g->count; i++) {
        const struct posted *const p = &g->posted[i];
        if (p->misfit) return rules_fit(&g->base, &p->part.t, g->members[p->part.peer], &p->sent);
    }
    return ST_OK;
}

static status waited_for_parts(const struct mpi_group *g)
{
    struct strbuf who = { 0 };

    for (int r = 0; r < g->base.size; r++)
        for (int send = 0; send < 2; send++) {
            int n = 0;
            for (int i = 0; i < g->count; i++) {
                const struct posted *const p = &g->posted[i];
                n += p->part.peer == r && p->part.send == (bool)send && p->done < p->pieces;
            }
            rules_add_parts(&who, g->members[r], send, n);
        }
    return rules_waited(&g->base, "", &who);
}

static status wait_for_parts(struct mpi_group *g)
{
    struct timespec const until = rules_until(g->base.deadline_s);
    bool late = false;

    while (pending(g)) {
        TRY(mpi_broken(g));
        TRY(fits(g));
        if (late) return waited_for_parts(g);
        late = !mpi_wait(g, &until);
    }
    return ST_OK;
}

status mpi_wait_posted(struct comm *c)
{
    struct mpi_group *const g = group_of(c);

    pthread_mutex_lock(&g->world->lock);
    status const st = wait_for_parts(g);
    g->out_of_step |= st != ST_OK;
    g->open = false;
    g->count = 0;
    pthread_mutex_unlock(&g->world->lock);
    return st;
}

/* May the caller's memory be touched? */
static bool moves(const struct mpi_group *g) { return g->open && g->world->aborted_by < 0; }

status mpi_attach(struct comm *c, const struct memory *m)
{
    struct mpi_group *const g = group_of(c);

    pthread_mutex_lock(&g->world->lock);
    g->attached = m != NULL;
    if (m) g->memory = *m;
    pthread_mutex_unlock(&g->world->lock);
    return ST_OK;
}

/* Between a part and a packet. */
static void move(struct mpi_group *g, const struct comm_xfer *p, void *to, const void *from,
                 size_t bytes)
{
    struct mpi_world *const w = g->world;

    if (!rules_on_card(p, g->attached)) {
        if (bytes) memcpy(to, from, bytes);
        return;
    }
    if (device_copy(&g->memory, to, from, bytes) == ST_OK || *w->trouble) return;
    snprintf(w->trouble, sizeof w->trouble, "%.200s", error_last()->msg);
    mpi_wake_all(w);
}

/* One more piece of part i. false: no memory for it. */
static bool ask(struct mpi_group *g, int i)
{
    struct posted *const p = &g->posted[i];
    bool const send = p->part.send;
    struct piece_head head = { .whole = p->part.t };
    size_t const n = send ? bytes_of(p, p->asked) : room_of(p->asked);
    struct packet *const packet =
        packet_new(PACKET_PIECE, g, g->members[p->part.peer], (int)(sizeof head + n));

    if (!packet) return false;
    head.whole.data = NULL;
    packet->receive = !send;
    packet->part = i;
    packet->piece = p->asked++;
    if (send) memcpy(packet->bytes, &head, sizeof head);
    if (send) move(g, &p->part, packet->bytes + sizeof head, place_of(p, packet->piece), n);
    g->moving[send][p->part.peer]++;
    packet_queue(g->world, packet);
    return true;
}

void parts_collect(struct mpi_group *g)
{
    if (!moves(g)) return;
    for (int i = 0; i < g->count; i++) {
        const struct posted *const p = &g->posted[i];
        while (p->asked < p->pieces && g->moving[p->part.send][p->part.peer] < PIECES_MOVING)
            if (!ask(g, i)) return;
    }
}

bool parts_flow(const struct mpi_group *g)
{
    for (int i = 0; g->open && i < g->count; i++)
        if (g->posted[i].done && g->posted[i].done < g->posted[i].pieces) return true;
    return false;
}

static void take_in(struct mpi_group *g, struct posted *p, const struct packet *packet)
{
    const struct tensor *const t = &p->part.t;
    size_t const n = bytes_of(p, packet->piece);
    struct piece_head head;

    memcpy(&head, packet->bytes, sizeof head);
    if (head.whole.dtype != t->dtype || tensor_bytes(&head.whole) != tensor_bytes(t)) {
        p->misfit = true;
        p->sent = head.whole;
    } else move(g, &p->part, place_of(p, packet->piece), packet->bytes + sizeof head, n);
}

void parts_deliver(struct mpi_group *g, const struct packet *packet)
{
    if (!moves(g)) return;
    struct posted *const p = &g->posted[packet->part];
    g->moving[p->part.send][p->part.peer]--;
    if (packet->receive) take_in(g, p, packet);
    if (p->misfit || ++p->done == p->pieces) pthread_cond_broadcast(&g->changed);
}
