#include "base/clock.h"
#include "cmd/bench_parts.h"
#include "comm/comm.h"
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

enum { RANKS = 2, SWAPS = 20 };

struct swap {
    size_t bytes;
    double s[RANKS];
};

static status swap_main(struct comm *c, void *arg)
{
    struct swap *const w = arg;
    unsigned char *const out = calloc(1, w->bytes), *const in = calloc(1, w->bytes);
    int64_t const count = (int64_t)w->bytes;
    struct comm_part const parts[] = {
        { { out, DT_U8, 1, { count } }, 1 - c->rank, true },
        { { in, DT_U8, 1, { count } }, 1 - c->rank, false },
    };
    status st = out && in ? ST_OK : fail(ST_NOMEM, "bench: %zu bytes to swap", w->bytes);
    double begin = 0;

    TRY_OUT(c->ops->agree(c, st));
    for (int i = 0; i <= SWAPS; i++) { /* the first is not counted */
        if (i == 1) begin = clock_seconds();
        TRY_OUT(c->ops->start(c, parts, COUNT_OF(parts)));
        TRY_OUT(c->ops->finish(c));
    }
    w->s[c->rank] = clock_seconds() - begin;
out:
    free(out);
    free(in);
    return st;
}

status bench_link(const struct bench_subject *b, double *bytes_per_second)
{
    struct comm *group[RANKS] = { NULL };
    struct cost_facts const facts = job_model_facts(b->model);
    struct cost_shape shape;
    struct swap w = { 0 };
    status st = ST_OK;

    TRY(cost_facts_shape(&shape, &facts));
    w.bytes = (size_t)shape.kv_bytes;
    TRY(comm_thread_open(group, RANKS, 60));
    TRY_OUT(comm_thread_run(group, RANKS, swap_main, &w));
    *bytes_per_second = SWAPS * (double)w.bytes / (w.s[0] > w.s[1] ? w.s[0] : w.s[1]);
out:
    for (int i = 0; i < RANKS; i++)
        if (group[i]) group[i]->ops->close(&group[i]);
    return st;
}
