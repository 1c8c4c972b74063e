/*
 * bench_passes.c - what the transformer and the text encoder take for a job: one pass of a
 * stage, with as many keys as it ever sees and with none but its own, and the first prompt.
 */
#include "base/clock.h"
#include "cmd/bench/bench_internal.h"
#include "pipeline/engine/workload.h"
#include "pipeline/line/line.h"
#include "pipeline/text/text_encoder.h"

#include <stdlib.h>
#include <string.h>

/* ---- what the line asks for -------------------------------------------------------- */

static status zero_noise(void *arg, int clip, int64_t block, int level, float *out)
{
    const struct workload *const m = arg;
    size_t const count = (size_t)m->policy.frames_per_block * (size_t)m->shape.channels *
                         (size_t)(m->latent_h * m->latent_w);

    (void)clip, (void)block, (void)level;
    memset(out, 0, count * sizeof *out);
    return ST_OK;
}

static status zero_context(void *arg, int clip, int64_t block, float *embeds)
{
    const struct dit_shape *const s = &((const struct workload *)arg)->shape;

    (void)clip, (void)block;
    memset(embeds, 0, (size_t)s->text_len * (size_t)s->text_dim * sizeof *embeds);
    return ST_OK;
}

/* ---- one stage ---------------------------------------------------------------------- */

/* Blocks until a stage sees as many keys as it ever will. */
static int64_t steady_block(const struct kv_policy *p)
{
    return p->levels + p->attention_frames / p->frames_per_block;
}

/* A long clip, then short ones whose block 0 stands alone. */
static void list_clips(struct timeline_entry clip[1 + BENCH_RUNS], const struct kv_policy *p)
{
    for (int i = 0; i <= BENCH_RUNS; i++)
        clip[i] = (struct timeline_entry){ .clip = i, .blocks = 2 };
    clip[0].blocks = steady_block(p) + BENCH_RUNS + p->levels;
}

static status time_ticks(struct line *line, const struct bench_subject *b, struct kern_ctx *ctx,
                         int stage, double seconds[2])
{
    const struct workload *const m = b->model;
    struct line_io const io = bench_null_io((struct line_io){
        .arg = (void *)(uintptr_t)m, .noise = zero_noise, .context = zero_context });
    double run[2][BENCH_RUNS];
    int runs[2] = { 0, 0 };
    struct timeline_entry clip[1 + BENCH_RUNS];
    bool more;

    list_clips(clip, &m->policy);
    line_begin_list(line, clip, COUNT_OF(clip), &io);
    while (runs[1] < BENCH_RUNS) {
        double const begin = b->clock();
        TRY(line_tick(line, &more));
        TRY(b->backend->sync(ctx));
        double const took = b->clock() - begin;
        struct place const at = line_place_of(line, stage);
        bool const alone = at.clip > 0;
        if (at.clip < 0 || (alone ? at.block > 0 : at.block < steady_block(&m->policy))) continue;
        if (runs[alone] < BENCH_RUNS) run[alone][runs[alone]++] = took;
    }
    for (int i = 0; i < 2; i++) seconds[i] = bench_median(run[i], BENCH_RUNS);
    return ST_OK;
}

static status time_stage(const struct bench_subject *b, int stage, double seconds[2])
{
    const struct workload *const m = b->model;
    int const stages = m->schedule.levels + 1;
    int const nodes[SPLIT_RANKS] = { 0 };
    struct comm comm = {
        .ops = &comm_null, .rank = stage, .size = stages, .node = nodes, .deadline_s = 60
    };
    struct line_config c = { .model = b->dit,
                             .schedule = &m->schedule,
                             .policy = m->policy,
                             .mode = b->mode,
                             .latent_h = m->latent_h,
                             .latent_w = m->latent_w,
                             .contexts = 1,
                             .comm = &comm };
    struct line *line = NULL;
    status st = ST_OK;

    TRY(b->backend->open(&c.ctx,
                         &(struct kern_config){ .threads = b->threads,
                                                .device = b->device,
                                                .strict = b->mode.determinism == LINE_STRICT }));
    TRY_OUT(split_make(&c.split, stages, stages));
    TRY_OUT(line_open(&line, &c));
    TRY_OUT(time_ticks(line, b, c.ctx, stage, seconds));
out:
    line_close(&line);
    b->backend->close(&c.ctx);
    return st;
}

status bench_noise(const struct bench_subject *b, double seconds[2])
{
    return time_stage(b, 0, seconds);
}

status bench_clean(const struct bench_subject *b, double seconds[2])
{
    return time_stage(b, b->model->schedule.levels, seconds);
}

/* ---- the first prompt ---------------------------------------------------------------- */

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
    if (text_dim(t) != m->shape.text_dim)
        FAIL_OUT(ST_FORMAT, "%s: embeddings of %lld numbers; the transformer takes %d",
                 m->model->encoder, (long long)text_dim(t), m->shape.text_dim);
    TRY_OUT(text_encode(t, m->clip->prompt[0].text, embeds, &tokens));
    *seconds = clock_seconds() - begin;
out:
    text_close(&t);
    free(embeds);
    return st;
}
