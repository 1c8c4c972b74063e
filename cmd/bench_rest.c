#include "base/clock.h"
#include "cmd/bench_job.h"
#include "cmd/bench_parts.h"
#include "pipeline/text_encoder.h"

#include <stdlib.h>
#include <string.h>

status bench_text(const struct bench_subject *b, double *seconds)
{
    const struct job_model *const m = b->model;
    size_t const numbers = (size_t)m->shape.text_len * (size_t)m->shape.text_dim;
    float *const embeds = malloc(numbers * sizeof *embeds);
    struct text_config const c = { .encoder_path = m->card.encoder,
                                   .tokenizer_path = m->card.tokenizer,
                                   .text_len = m->shape.text_len,
                                   .backend = b->backend,
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
                  m->card.encoder, (long long)text_dim(t), m->shape.text_dim);
        goto out;
    }
    TRY_OUT(text_encode(t, m->text, embeds, &tokens));
    *seconds = clock_seconds() - begin;
out:
    text_close(&t);
    free(embeds);
    return st;
}

/* ---- two ranks that swap a layer's keys and values ------------------------------- */

enum { RANKS = 2, SWAPS = 50, TENSORS = 2 /* keys, values */, SMALL = 64 /* bytes of one */ };

struct swap {
    size_t bytes;         /* of a tensor */
    bool shared;          /* the ranks are one process */
    double s, processors; /* of a swap: the median; of processors, on average */
};

/* Processor seconds of both ranks since theirs was `since`. */
static status sum_processors(struct comm *c, const struct swap *w, double since, double *sum)
{
    double mine = clock_process_seconds() - since, other = 0;
    struct comm_part const parts[] = {
        { { &mine, DT_F64, 1, { 1 } }, 1 - c->rank, true },
        { { &other, DT_F64, 1, { 1 } }, 1 - c->rank, false },
    };

    TRY(c->ops->start(c, parts, COUNT_OF(parts)));
    TRY(c->ops->finish(c));
    *sum = w->shared ? mine : mine + other;
    return ST_OK;
}

static status swap_all(struct comm *c, struct swap *w, const struct comm_part *parts, int count)
{
    double run[SWAPS + 1], since = 0, sum = 0;

    for (int i = 0; i <= SWAPS; i++) { /* the first is not counted */
        double const begin = clock_seconds();
        if (i == 1) since = clock_process_seconds();
        TRY(c->ops->start(c, parts, count));
        TRY(c->ops->finish(c));
        run[i] = clock_seconds() - begin;
    }
    TRY(sum_processors(c, w, since, &sum));
    if (c->rank) return ST_OK;
    w->s = bench_median(run + 1, SWAPS);
    w->processors = sum / SWAPS;
    return ST_OK;
}

static status swap_main(struct comm *c, void *arg)
{
    struct swap *const w = arg;
    size_t const all = TENSORS * w->bytes;
    unsigned char *const out = calloc(1, all), *const in = calloc(1, all);
    int64_t const count = (int64_t)w->bytes;
    struct comm_part parts[2 * TENSORS];
    status st = out && in ? ST_OK : fail(ST_NOMEM, "bench: %zu bytes to swap", all);

    for (int i = 0; st == ST_OK && i < 2 * TENSORS; i++) {
        unsigned char *const at = (i % 2 ? in : out) + (size_t)(i / 2) * w->bytes;
        parts[i] = (struct comm_part){ { at, DT_U8, 1, { count } }, 1 - c->rank, i % 2 == 0 };
    }
    if (st == ST_OK) st = swap_all(c, w, parts, COUNT_OF(parts));
    free(out);
    free(in);
    return st;
}

static status swap_on_threads(struct swap *w)
{
    struct comm *group[RANKS] = { NULL };
    status st = ST_OK;

    w->shared = true;
    TRY(comm_thread_open(group, RANKS, 60));
    TRY_OUT(comm_thread_run(group, RANKS, swap_main, w));
out:
    for (int i = 0; i < RANKS; i++)
        if (group[i]) group[i]->ops->close(&group[i]);
    return st;
}

static status swap(struct comm *world, struct swap *w)
{
    if (world->size == 1) return swap_on_threads(w);
    return world->rank < RANKS ? swap_main(world, w) : ST_OK;
}

status bench_link(struct cost_parts *out, const struct job_model *m, struct comm *world)
{
    struct cost_facts const facts = job_model_facts(m);
    struct cost_shape shape;
    struct swap small = { .bytes = SMALL }, large = { 0 };

    TRY(cost_facts_shape(&shape, &facts));
    large.bytes = (size_t)(shape.kv_bytes / TENSORS);
    TRY(swap(world, &small));
    TRY(swap(world, &large));
    if (world->rank) return ST_OK;
    out->link = shape.kv_bytes / large.s;
    out->latency = small.s;
    out->message = small.processors / (RANKS * TENSORS);
    double const bytes = large.processors - small.processors;
    out->byte = (bytes > 0 ? bytes : large.processors) / (RANKS * shape.kv_bytes);
    return ST_OK;
}
