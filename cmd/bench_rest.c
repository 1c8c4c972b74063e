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

enum { RANKS = 2, SWAPS = 50 };

struct swap {
    size_t bytes;
    double s; /* of rank 0 */
};

static status swap_all(struct comm *c, const struct comm_part *parts, int count, double *s)
{
    double begin = 0;

    for (int i = 0; i <= SWAPS; i++) { /* the first is not counted */
        if (i == 1) begin = clock_seconds();
        TRY(c->ops->start(c, parts, count));
        TRY(c->ops->finish(c));
    }
    *s = clock_seconds() - begin;
    return ST_OK;
}

static status swap_main(struct comm *c, void *arg)
{
    struct swap *const w = arg;
    unsigned char *const out = calloc(1, w->bytes), *const in = calloc(1, w->bytes);
    int64_t const count = (int64_t)w->bytes;
    struct comm_part const parts[] = {
        { { out, DT_U8, 1, { count } }, 1 - c->rank, true },
        { { in, DT_U8, 1, { count } }, 1 - c->rank, false },
    };
    double s = 0;
    status st = out && in ? ST_OK : fail(ST_NOMEM, "bench: %zu bytes to swap", w->bytes);

    if (st == ST_OK) st = swap_all(c, parts, COUNT_OF(parts), &s);
    if (c->rank == 0) w->s = s;
    free(out);
    free(in);
    return st;
}

static status swap_on_threads(struct swap *w)
{
    struct comm *group[RANKS] = { NULL };
    status st = ST_OK;

    TRY(comm_thread_open(group, RANKS, 60));
    TRY_OUT(comm_thread_run(group, RANKS, swap_main, w));
out:
    for (int i = 0; i < RANKS; i++)
        if (group[i]) group[i]->ops->close(&group[i]);
    return st;
}

status bench_link(double *bytes_per_second, const struct job_model *m, struct comm *world)
{
    struct cost_facts const facts = job_model_facts(m);
    struct cost_shape shape;
    struct swap w = { 0 };

    TRY(cost_facts_shape(&shape, &facts));
    w.bytes = (size_t)shape.kv_bytes;
    if (world->size == 1) TRY(swap_on_threads(&w));
    else if (world->rank < RANKS) TRY(swap_main(world, &w));
    if (world->rank == 0) *bytes_per_second = SWAPS * (double)w.bytes / w.s;
    return ST_OK;
}
