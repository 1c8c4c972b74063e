/*
 * comm_mpi_packet.c - packets under way; with comm_mpi_init and _finalize all that calls MPI.
 *
 * A packet is one MPI message with its bytes. It waits in the world's queue, then belongs to a
 * request; the arrays of requests and packets grow together and stay without gaps, as
 * MPI_Testsome wants them. Pieces of tensors go by synchronous sends, so "sent" means that the
 * receiver has asked for them: a rank that waits in vain for its peer to receive finds out.
 */
#include "base/clock.h"
#include "comm/mpi/comm_mpi_internal.h"

#include <stdlib.h>

struct packet *packet_new(enum packet_kind kind, struct mpi_group *g, int peer, int size)
{
    struct packet *const p = malloc(sizeof *p + (size_t)size);

    if (p)
        *p = (struct packet){ .kind = kind,
                              .group = g,
                              .peer = peer,
                              .tag = g ? 2 * g->id + (kind == PACKET_CONTRIBUTION) : 0,
                              .size = size };
    return p;
}

void packet_queue(struct mpi_world *w, struct packet *p)
{
    p->next = NULL;
    *w->last = p;
    w->last = &p->next;
}

void packets_queue(struct mpi_world *w, struct packet *list)
{
    while (list) {
        struct packet *const next = list->next;
        packet_queue(w, list);
        list = next;
    }
}

void packets_free(struct packet *list)
{
    while (list) {
        struct packet *const next = list->next;
        free(list);
        list = next;
    }
}

/* For one more under way. */
static bool grow_requests(struct mpi_world *w)
{
    int const capacity = w->capacity ? 2 * w->capacity : 32;
    size_t const n = (size_t)capacity;

    if (w->active < w->capacity) return true;
    MPI_Request *const request = realloc(w->request, n * sizeof *request);
    if (request) w->request = request;
    struct packet **const packet = realloc(w->packet, n * sizeof *packet);
    if (packet) w->packet = packet;
    int *const index = realloc(w->index, n * sizeof *index);
    if (index) w->index = index;
    MPI_Status *const result = realloc(w->status, n * sizeof *result);
    if (result) w->status = result;
    if (!request || !packet || !index || !result) return false;
    w->capacity = capacity;
    return true;
}

static void record_failure(struct mpi_world *w, const char *call, int code)
{
    if (!w->failed_call) w->failed_call = call, w->failed_code = code;
}

static void post_packet(struct mpi_world *w, struct packet *p)
{
    MPI_Comm const comm = p->kind == PACKET_CONTROL ? w->control : w->data;
    MPI_Request *const request = &w->request[w->active];
    int rc = MPI_SUCCESS;

    if (p->receive) rc = MPI_Irecv(p->bytes, p->size, MPI_BYTE, p->peer, p->tag, comm, request);
    else if (p->kind == PACKET_PIECE)
        rc = MPI_Issend(p->bytes, p->size, MPI_BYTE, p->peer, p->tag, comm, request);
    else rc = MPI_Isend(p->bytes, p->size, MPI_BYTE, p->peer, p->tag, comm, request);
    if (rc == MPI_SUCCESS) w->packet[w->active++] = p;
    else {
        record_failure(w, p->receive ? "MPI_Irecv" : "MPI_Isend", rc);
        free(p);
    }
}

struct packet *packets_post(struct mpi_world *w, struct packet *list)
{
    if (list) w->moved_at = clock_seconds();
    while (list && grow_requests(w)) {
        struct packet *const next = list->next;
        post_packet(w, list);
        list = next;
    }
    return list;
}

static void cancel_marked(struct mpi_world *w)
{
    for (int i = 0; i < w->active; i++)
        if (w->packet[i]->cancel) {
            w->packet[i]->cancel = false;
            (void)MPI_Cancel(&w->request[i]);
        }
}

/* What became of a packet: its size and sender, or NULL if it was canceled. */
static struct packet *completed_packet(struct packet *p, const MPI_Status *s)
{
    int canceled = 0;

    (void)MPI_Test_cancelled(s, &canceled);
    if (canceled) {
        free(p);
        return NULL;
    }
    if (p->receive) {
        p->peer = s->MPI_SOURCE;
        (void)MPI_Get_count(s, MPI_BYTE, &p->size);
    }
    return p;
}

static void compact_requests(struct mpi_world *w)
{
    int n = 0;

    for (int i = 0; i < w->active; i++)
        if (w->packet[i]) {
            w->packet[n] = w->packet[i];
            w->request[n++] = w->request[i];
        }
    w->active = n;
}

struct packet *packets_test(struct mpi_world *w)
{
    struct packet *over = NULL, **end = &over;
    int n = 0;

    cancel_marked(w);
    int const rc = MPI_Testsome(w->active, w->request, &n, w->index, w->status);
    if (rc != MPI_SUCCESS && rc != MPI_ERR_IN_STATUS) record_failure(w, "MPI_Testsome", rc);
    for (int i = 0; n != MPI_UNDEFINED && i < n; i++) {
        struct packet *const p = w->packet[w->index[i]];

        w->packet[w->index[i]] = NULL;
        if (rc == MPI_ERR_IN_STATUS && w->status[i].MPI_ERROR != MPI_SUCCESS) {
            record_failure(w, p->receive ? "MPI_Irecv" : "MPI_Isend", w->status[i].MPI_ERROR);
            free(p);
            continue;
        }
        *end = completed_packet(p, &w->status[i]);
        if (!*end) continue;
        (*end)->next = NULL;
        end = &(*end)->next;
    }
    compact_requests(w);
    if (over) w->moved_at = clock_seconds();
    return over;
}

int packets_sending(const struct mpi_world *w)
{
    int n = 0;

    for (int i = 0; i < w->active; i++) n += !w->packet[i]->receive;
    return n;
}

void packets_cancel(struct mpi_world *w)
{
    for (int i = 0; i < w->active; i++) w->packet[i]->cancel = w->packet[i]->receive;
}

static void detach_packet(struct packet *p, const struct mpi_group *g)
{
    if (p->group != g) return;
    p->group = NULL;
    p->cancel = p->receive;
}

void packets_leave_group(struct mpi_world *w, const struct mpi_group *g)
{
    for (int i = 0; i < w->active; i++) detach_packet(w->packet[i], g);
    for (struct packet *p = w->first; p; p = p->next) detach_packet(p, g);
}
