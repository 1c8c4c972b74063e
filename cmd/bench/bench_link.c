/*
 * bench_link.c - ranks that send a layer's keys and values to one another.
 *
 * A swap is all that a rank sends to and receives from the others in one layer. Two sizes are
 * timed: 64 bytes, which gives what a message costs, and the model's own, which gives what a
 * byte costs. Every swap uses another place in memory, so that the caches are as cold as in
 * a render, where a layer's keys and values have long left them.
 */
#include "base/clock.h"
#include "cmd/bench/bench_internal.h"
#include "comm/world.h"
#include "pipeline/engine/workload.h"

#include <stdlib.h>

enum { PAIR = 2, SWAPS = 20, TENSORS = 2 /* keys, values */, SMALL = 64 /* bytes of one */ };
static const size_t cold = (size_t)64 << 20; /* bytes: by then caches hold something else */

struct swap {
    size_t bytes;         /* of a tensor */
    bool shared;          /* the ranks are one process */
    double s, processors; /* of a swap: the median; of all processors, on average */
};

/* Memory of one rank: several places, so that none is at hand when its turn comes. */
struct swap_buffer {
    unsigned char *in, *out;
    size_t place; /* bytes */
    int places;
};

static status open_buffer(struct swap_buffer *m, const struct comm *c, const struct swap *w)
{
    m->place = TENSORS * w->bytes * (size_t)(c->size - 1);
    m->places = 1 + (int)(cold / m->place < SWAPS ? cold / m->place : SWAPS);
    m->in = calloc((size_t)m->places, m->place);
    m->out = calloc((size_t)m->places, m->place);
    if (m->in && m->out) return ST_OK;
    return fail(ST_NOMEM, "bench: %d times %zu bytes to swap", m->places, m->place);
}

static void close_buffer(struct swap_buffer *m)
{
    free(m->in);
    free(m->out);
}

static status swap_once(struct comm *c, const struct swap *w, const struct swap_buffer *m, int nth)
{
    struct comm_xfer xfer[2 * TENSORS * ROLES_RANKS];
    size_t at = m->place * (size_t)(nth % m->places);
    int count = 0;

    for (int r = 0; r < c->size; r++) {
        if (r == c->rank) continue;
        for (int i = 0; i < TENSORS; i++, at += w->bytes)
            for (int send = 0; send < 2; send++)
                xfer[count++] = (struct comm_xfer){
                    .t = { (send ? m->out : m->in) + at, DT_U8, 1, { (int64_t)w->bytes } },
                    .peer = r,
                    .send = send,
                };
    }
    TRY(comm_post(c, xfer, count));
    return comm_wait(c);
}

static status time_swaps(struct comm *c, struct swap *w, const struct swap_buffer *m)
{
    double run[SWAPS + 1], since = 0;

    for (int i = 0; i <= SWAPS; i++) { /* the first is not counted */
        double const begin = clock_seconds();
        if (i == 1) since = clock_process_seconds();
        TRY(swap_once(c, w, m, i));
        run[i] = clock_seconds() - begin;
    }
    double processors = clock_process_seconds() - since;
    if (!w->shared) TRY(comm_reduce_sum(c, &processors, 1));
    if (c->rank) return ST_OK;
    w->s = bench_median(run + 1, SWAPS);
    w->processors = processors / SWAPS;
    return ST_OK;
}

static status run_swaps(struct comm *c, void *arg)
{
    struct swap *const w = arg;
    struct swap_buffer m = { 0 };
    status st = open_buffer(&m, c, w);

    if (st == ST_OK) st = time_swaps(c, w, &m);
    close_buffer(&m);
    return st;
}

static status time_on_threads(struct swap *w)
{
    struct comm *group[PAIR] = { NULL };
    status st = ST_OK;

    w->shared = true;
    TRY(comm_thread_open(group, PAIR, 60));
    TRY_OUT(comm_thread_run(group, PAIR, run_swaps, w));
out:
    for (int i = 0; i < PAIR; i++) comm_close(&group[i]);
    return st;
}

static status time_swap(struct comm *world, struct swap *w)
{
    return world->size == 1 ? time_on_threads(w) : run_swaps(world, w);
}

status bench_link(struct cost_parts *out, const struct workload *m, struct comm *world)
{
    struct cost_shape shape;
    struct swap small = { .bytes = SMALL }, large = { 0 };

    TRY(workload_shape(&shape, m, (struct line_mode){ .wire = LINE_ACT }));
    large.bytes = (size_t)(shape.kv_bytes / TENSORS);
    TRY(time_swap(world, &small));
    TRY(time_swap(world, &large));
    if (world->rank) return ST_OK;
    int const ranks = world->size > 1 ? world->size : PAIR, ways = ranks * (ranks - 1);
    double const bytes = large.processors - small.processors;
    out->link = (ranks - 1) * shape.kv_bytes / large.s;
    out->latency = small.s;
    out->message = small.processors / (ways * TENSORS);
    out->byte = (bytes > 0 ? bytes : large.processors) / (ways * shape.kv_bytes);
    return ST_OK;
}
