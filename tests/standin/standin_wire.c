/* standin_wire.c - the thread of a stand-in communicator: sockets, steps, pauses. */
#define _GNU_SOURCE
#include "tests/standin/standin_wire.h"

#include "tests/standin/standin.h"
#include "tests/support/rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { LENGTH = sizeof(uint64_t) };
#define BYE UINT64_MAX

static void sleep_us(long us)
{
    struct timespec const t = { .tv_nsec = us * 1000L };
    nanosleep(&t, NULL);
}

static void delay_at_random(struct ncclComm *c)
{
    if (c->plan.delay_us && rng_below(&c->rng, 3) == 0)
        sleep_us(rng_below(&c->rng, c->plan.delay_us + 1));
}

static bool has_quit(struct ncclComm *c)
{
    pthread_mutex_lock(&c->lock);
    bool const quit = c->quit;
    pthread_mutex_unlock(&c->lock);
    return quit;
}

static bool is_lost(struct ncclComm *c)
{
    pthread_mutex_lock(&c->lock);
    bool const yes = c->lost;
    pthread_mutex_unlock(&c->lock);
    if (yes) sleep_us(200);
    return yes;
}

void standin_state(struct ncclComm *c, ncclResult_t state, const char *why)
{
    if (c->state != ncclSuccess && c->state != ncclInProgress) return;
    c->state = state;
    snprintf(c->why, sizeof c->why, "%s", why);
}

static void set_state(struct ncclComm *c, ncclResult_t state, const char *why)
{
    pthread_mutex_lock(&c->lock);
    standin_state(c, state, why);
    pthread_mutex_unlock(&c->lock);
}

/* ---- finding the peers --------------------------------------------------------------- */

static socklen_t peer_address(const struct ncclComm *c, int rank, struct sockaddr_un *a)
{
    *a = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int const n = snprintf(a->sun_path + 1, sizeof a->sun_path - 1, "%s-%d", c->id, rank);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static bool open_listener(struct ncclComm *c)
{
    struct sockaddr_un a;
    socklen_t const n = peer_address(c, c->rank, &a);

    c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return c->listener >= 0 && !bind(c->listener, (struct sockaddr *)&a, n) &&
           !listen(c->listener, c->size);
}

static bool connect_to(struct ncclComm *c, int rank)
{
    struct sockaddr_un a;
    socklen_t const n = peer_address(c, rank, &a);
    int const fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && !connect(fd, (struct sockaddr *)&a, n) &&
        send(fd, &c->rank, sizeof c->rank, MSG_NOSIGNAL) == (ssize_t)sizeof c->rank) {
        c->peer[rank] = fd;
        return true;
    }
    if (fd >= 0) close(fd);
    return false;
}

static void accept_peers(struct ncclComm *c)
{
    int rank = -1;
    int const fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0) return;
    if (recv(fd, &rank, sizeof rank, MSG_WAITALL) == (ssize_t)sizeof rank && rank > c->rank &&
        rank < c->size)
        c->peer[rank] = fd;
    else close(fd);
}

static bool all_connected(const struct ncclComm *c)
{
    for (int r = 0; r < c->size; r++)
        if (r != c->rank && c->peer[r] < 0) return false;
    return true;
}

static bool find_peers(struct ncclComm *c)
{
    if (!open_listener(c)) standin_stop("no socket for rank %d", c->rank);
    while (!all_connected(c)) {
        if (has_quit(c)) return false;
        delay_at_random(c);
        if (is_lost(c)) continue;
        for (int r = 0; r < c->rank; r++)
            if (c->peer[r] < 0) (void)connect_to(c, r);
        accept_peers(c);
        sleep_us(100);
    }
    return true;
}

/* ---- moving bytes --------------------------------------------------------------------- */

static void lose_peer(struct ncclComm *c, int peer)
{
    char why[64];

    if (c->plan.silent) return;
    snprintf(why, sizeof why, "rank %d is gone (stand-in)", peer);
    set_state(c, ncclRemoteError, why);
}

/* What lies at `done` of a part: its length, or its bytes. */
static unsigned char *part_bytes(struct standin_part *p, size_t *room)
{
    bool const front = p->done < LENGTH;

    *room = front ? LENGTH - p->done : p->bytes - (p->done - LENGTH);
    return front ? (unsigned char *)(p->send ? &p->bytes : &p->sent) + p->done
                 : p->at + (p->done - LENGTH);
}

/* false: nothing moved. */
static bool move_part(struct ncclComm *c, struct standin_part *p)
{
    size_t room;

    if (c->bye[p->peer]) return false; /* it has ended in the meantime */
    unsigned char *const at = part_bytes(p, &room);
    size_t const most = 1 + (size_t)rng_below(&c->rng, 1 << 17), n = room < most ? room : most;
    int const fd = c->peer[p->peer];
    ssize_t const moved =
        p->send ? send(fd, at, n, MSG_DONTWAIT | MSG_NOSIGNAL) : recv(fd, at, n, MSG_DONTWAIT);

    if (moved <= 0) {
        if (moved == 0 || (errno != EAGAIN && errno != EINTR)) lose_peer(c, p->peer);
        return false;
    }
    p->done += (size_t)moved;
    c->bye[p->peer] |= !p->send && p->done == LENGTH && p->sent == BYE;
    if (c->bye[p->peer]) lose_peer(c, p->peer);
    else if (!p->send && p->done == LENGTH && p->sent != p->bytes)
        standin_stop("rank %d takes %llu bytes, rank %d sends %llu", c->rank,
                     (unsigned long long)p->bytes, p->peer, (unsigned long long)p->sent);
    return true;
}

static bool is_over(const struct standin_part *p) { return p->done == LENGTH + p->bytes; }

/* Is it the oldest to or from its peer? */
static bool is_next(const struct standin_group *g, int i)
{
    for (int j = 0; j < i; j++)
        if (g->part[j].peer == g->part[i].peer && g->part[j].send == g->part[i].send &&
            !is_over(&g->part[j]))
            return false;
    return true;
}

/* All ranks called the same. */
static void check_calls(const struct ncclComm *c, const struct standin_group *g)
{
    for (int i = 0; i < g->calls; i++) {
        const struct standin_call *const of = g->call + i * c->size, *const own = &of[c->rank];
        for (int r = 0; r < c->size; r++)
            if (memcmp(&of[r], own, sizeof *own) != 0)
                standin_stop("rank %d: call %llu, window %llu + %llu, %llu bytes; rank %d: "
                             "call %llu, window %llu + %llu, %llu bytes",
                             c->rank, (unsigned long long)own->number,
                             (unsigned long long)own->window, (unsigned long long)own->place,
                             (unsigned long long)own->bytes, r, (unsigned long long)of[r].number,
                             (unsigned long long)of[r].window, (unsigned long long)of[r].place,
                             (unsigned long long)of[r].bytes);
    }
}

static void report_group_end(struct ncclComm *c, struct standin_group *g)
{
    if (!g->told) return;
    pthread_mutex_lock(&c->lock);
    if (g->window) *g->window = (ncclWindow_t)(void *)&c->window[g->call[c->rank].window - 1];
    standin_state(c, ncclSuccess, "");
    pthread_mutex_unlock(&c->lock);
}

static void run_group(struct ncclComm *c, struct standin_group *g)
{
    int left = g->count;

    while (g->ready && cudaEventQuery(g->ready) != cudaSuccess && !has_quit(c)) sleep_us(60);
    while (left && !has_quit(c)) {
        bool moved = false;
        left = 0;
        for (int i = 0; i < g->count && !is_lost(c); i++) {
            if (is_over(&g->part[i])) continue;
            if (is_next(g, i)) moved |= move_part(c, &g->part[i]);
        }
        for (int i = 0; i < g->count; i++) left += !is_over(&g->part[i]);
        if (left && !moved) sleep_us(60);
        delay_at_random(c);
    }
    if (left) return;
    check_calls(c, g);
    report_group_end(c, g);
}

/* ---- the end ----------------------------------------------------------------------------- */

static void send_goodbye(struct ncclComm *c)
{
    uint64_t const bye = BYE;

    for (int r = 0; r < c->size && !c->said; r++)
        if (r != c->rank) (void)!send(c->peer[r], &bye, sizeof bye, MSG_NOSIGNAL);
    c->said = true;
}

/* Have all said theirs? */
static bool all_said_goodbye(struct ncclComm *c)
{
    bool all = true;

    for (int r = 0; r < c->size; r++) {
        uint64_t word = 0;
        if (r == c->rank || c->bye[r]) continue;
        ssize_t const n = recv(c->peer[r], &word, sizeof word, MSG_DONTWAIT);
        if (n == (ssize_t)sizeof word && word == BYE) c->bye[r] = true;
        else if (n == 0) lose_peer(c, r);
        all &= c->bye[r];
    }
    return all;
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* The next group; NULL: none now. */
static struct standin_group *take_group(struct ncclComm *c, bool *finalize)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 1000000;
    if (until.tv_nsec >= 1000000000L) until.tv_sec++, until.tv_nsec -= 1000000000L;
    pthread_mutex_lock(&c->lock);
    if (!c->first && !c->quit) (void)pthread_cond_timedwait(&c->work, &c->lock, &until);
    struct standin_group *const g = c->first;
    *finalize = c->finalize && !g;
    pthread_mutex_unlock(&c->lock);
    return g;
}

static void drop_group(struct ncclComm *c, struct standin_group *g)
{
    pthread_mutex_lock(&c->lock);
    c->first = g->next;
    if (!c->first) c->last = &c->first;
    pthread_mutex_unlock(&c->lock);
    if (g->stream) standin_stream_over(g->stream);
    if (g->ready) (void)cudaEventDestroy(g->ready);
    free(g->call);
    free(g);
}

void *standin_wire(void *comm)
{
    struct ncclComm *const c = comm;
    bool finalize = false;

    delay_at_random(c);
    if (find_peers(c)) set_state(c, ncclSuccess, "");
    while (!has_quit(c)) {
        struct standin_group *const g = take_group(c, &finalize);
        if (g) {
            delay_at_random(c);
            run_group(c, g);
            drop_group(c, g);
        } else if (finalize && !is_lost(c)) {
            send_goodbye(c);
            if (all_said_goodbye(c)) set_state(c, ncclSuccess, "");
        }
    }
    while (c->first) drop_group(c, c->first);
    return NULL;
}
