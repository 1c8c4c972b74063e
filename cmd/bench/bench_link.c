#include "base/clock.h"
#include "cmd/bench/bench_job.h"
#include "cmd/bench/bench_subject.h"
#include "comm/world.h"
#include "pipeline/text/text_encoder.h"

#include <stdlib.h>
#include <string.h>

status bench_text(const struct bench_subject *b, double *seconds)
{
    const struct workload *const m = b->model;
    size_t const numbers = (size_t)m->shape.text_len * (size_t)m->shape.text_dim;
    float *const embeds = malloc(numbers * sizeof *embeds);
    struct text_config const c = { .encoder_path = m->model->encoder,
                                   .tokenizer_path = m->model->tokenizer,
                                   .text_len = m->shape.text_len,
                                   .backend = b->backend,
                                   .device = b->device,
                                   .threads = b->threads,
                                   .precision = m->act };
    double const begin = clock_seconds();
    struct text_encoder *t = NULL;
    int tokens;
    status st = embeds ? ST_OK : fail(ST_NOMEM, "bench: an embedding");

    TRY_OUT(st);
    TRY_OUT(text_open(&t, &c));
    if (text_dim(t) != m->shape.text_dim) {
        st = fail(ST_FORMAT, "%s: embeddings of %lld numbers; the transformer takes %d",
                  m->model->encoder, (long long)text_dim(t), m->shape.text_dim);
        goto out;
    }
    TRY_OUT(text_encode(t, m->clip->prompt[0].text, embeds, &tokens));
    *seconds = clock_seconds() - begin;
out:
    text_close(&t);
    free(embeds);
    return st;
}

/* ---- ranks that send a layer's keys and values to one another -------------------- */

enum { PAIR = 2, SWAPS = 20, TENSORS = 2 /* keys, values */, SMALL = 64 /* bytes of one */ };
static const size_t cold = (size_t)64 << 20; /* bytes: by then caches hold something else */

struct swap {
    size_t bytes;         /* of a tensor */
    bool shared;          /* the ranks are one process */
    double s, processors; /* of a swap: the median; of all processors, on average */
};

/* Memory of one rank: several places, so that none is at hand when its turn comes. */
struct swap_room {
    unsigned char *in, *out;
    size_t place; /* bytes */
    int places;
};

static status room_open(struct swap_room *m, const struct comm *c, const struct swap *w)
{
    m->place = TENSORS * w->bytes * (size_t)(c->size - 1);
    m->places = 1 + (int)(cold / m->place < SWAPS ? cold / m->place : SWAPS);
    m->in = calloc((size_t)m->places, m->place);
    m->out = calloc((size_t)m->places, m->place);
    if (m->in && m->out) return ST_OK;
    return fail(ST_NOMEM, "bench: %d times %zu bytes to swap", m->places, m->place);
}

static void room_close(struct swap_room *m)
{
    free(m->in);
    free(m->out);
}

static status swap_once(struct comm *c, const struct swap *w, const struct swap_room *m, int nth)
{
    struct comm_xfer part[2 * TENSORS * ROLES_RANKS];
    size_t at = m->place * (size_t)(nth % m->places);
    int parts = 0;

    for (int r = 0; r < c->size; r++) {
        if (r == c->rank) continue;
        for (int i = 0; i < TENSORS; i++, at += w->bytes)
            for (int send = 0; send < 2; send++)
                part[parts++] = (struct comm_xfer){
                    .t = { (send ? m->out : m->in) + at, DT_U8, 1, { (int64_t)w->bytes } },
                    .peer = r,
                    .send = send,
                };
    }
    TRY(comm_post(c, part, parts));
    return comm_wait(c);
}

static status swap_all(struct comm *c, struct swap *w, const struct swap_room *m)
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

static status swap_main(struct comm *c, void *arg)
{
    struct swap *const w = arg;
    struct swap_room m = { 0 };
    status st = room_open(&m, c, w);

    if (st == ST_OK) st = swap_all(c, w, &m);
    room_close(&m);
    return st;
}

static status swap_on_threads(struct swap *w)
{
    struct comm *group[PAIR] = { NULL };
    status st = ST_OK;

    w->shared = true;
    TRY(comm_thread_open(group, PAIR, 60));
    TRY_OUT(comm_thread_run(group, PAIR, swap_main, w));
out:
    for (int i = 0; i < PAIR; i++)
        if (group[i]) comm_close(&group[i]);
    return st;
}

static status swap(struct comm *world, struct swap *w)
{
    return world->size == 1 ? swap_on_threads(w) : swap_main(world, w);
}

status bench_link(struct cost_parts *out, const struct workload *m, struct comm *world)
{
    struct cost_shape shape;
    struct swap small = { .bytes = SMALL }, large = { 0 };

    TRY(workload_shape(&shape, m, (struct line_mode){ .wire = LINE_ACT }));
    large.bytes = (size_t)(shape.kv_bytes / TENSORS);
    TRY(swap(world, &small));
    TRY(swap(world, &large));
    if (world->rank) return ST_OK;
    int const ranks = world->size > 1 ? world->size : PAIR, ways = ranks * (ranks - 1);
    double const bytes = large.processors - small.processors;
    out->link = (ranks - 1) * shape.kv_bytes / large.s;
    out->latency = small.s;
    out->message = small.processors / (ways * TENSORS);
    out->byte = (bytes > 0 ? bytes : large.processors) / (ways * shape.kv_bytes);
    return ST_OK;
}
