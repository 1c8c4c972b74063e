/* bench_model_tick.c - ticks of the line in the steady state, on random noise. */
#include "base/clock.h"
#include "base/strbuf.h"
#include "cmd/bench/bench_internal.h"
#include "pipeline/dit/noise.h"
#include "pipeline/line/line.h"

#include <stdlib.h>

enum { CHANNELS = 16 };
static const double steps[] = { 1000, 800, 600, 400, 200 };

/* A line and all it needs. */
struct ticks {
    const struct bench_model_config *c;
    struct kv_policy policy;
    struct schedule schedule;
    struct dit_shape shape;
    struct kern_ctx *ctx;
    struct dit *model;
    struct comm comm, *thread[1]; /* one rank of several; or the one rank that there is */
    struct line *line;
    struct timeline_entry clip;
    struct line_io io;
};

/* ---- what the line asks for ---------------------------------------------------------- */

static status fill_noise(void *arg, int clip, int64_t block, int level, float *out)
{
    const struct ticks *const t = arg;

    (void)clip;
    noise_fill(out, BENCH_FRAMES * CHANNELS * t->c->latent_h * t->c->latent_w, 1, block, level);
    return ST_OK;
}

static status fill_context(void *arg, int clip, int64_t block, float *embeds)
{
    const struct dit_shape *const s = &((const struct ticks *)arg)->shape;

    (void)clip, (void)block;
    noise_fill(embeds, (int64_t)s->text_len * s->text_dim, 2, 0, 0);
    return ST_OK;
}

/* ---- opening --------------------------------------------------------------------------- */

static status open_model(struct ticks *t)
{
    char *const weights = path_join(t->c->dir, "diffusion_pytorch_model.safetensors");
    char *const config = path_join(t->c->dir, "config.json");
    struct dit_config dit = { .weights = weights,
                              .schedule = &t->schedule,
                              .act = t->c->precision };
    status st = weights && config ? ST_OK : fail(ST_NOMEM, "bench: a path");

    TRY_OUT(st);
    TRY_OUT(dit_shape_read(&t->shape, config));
    dit.shape = t->shape;
    TRY_OUT(t->c->backend->kern->open(
        &t->ctx,
        &(struct kern_config){ .threads = t->c->threads,
                               .strict = t->c->backend->mode.determinism == LINE_STRICT }));
    TRY_OUT(dit_open(&t->model, &dit, t->ctx));
out:
    free(weights);
    free(config);
    return st;
}

/* ranks: that share out the stages. Of several, this is the first, and the others are silent. */
static status open_line(struct ticks *t, int ranks)
{
    static const int nodes[SPLIT_RANKS] = { 0 };
    struct line_config line = { .model = t->model,
                                .schedule = &t->schedule,
                                .policy = t->policy,
                                .mode = t->c->backend->mode,
                                .latent_h = t->c->latent_h,
                                .latent_w = t->c->latent_w,
                                .contexts = 1,
                                .ctx = t->ctx };

    t->comm = (struct comm){
        .ops = &comm_null, .size = ranks, .node = nodes, .deadline_s = 60, .streamed = true
    };
    if (ranks == 1) TRY(comm_thread_open(t->thread, 1, 60));
    line.comm = ranks == 1 ? t->thread[0] : &t->comm;
    TRY(split_make(&line.split, t->schedule.levels + 1, ranks));
    return line_open(&t->line, &line);
}

static void close_ticks(struct ticks *t)
{
    line_close(&t->line);
    comm_close(&t->thread[0]);
    dit_close(&t->model);
    if (t->ctx) t->c->backend->kern->close(&t->ctx);
}

/* Everything open, and the line run until every stage sees as many keys as it ever will.
 * close_ticks, also after a failure. */
static status open_ticks(struct ticks *t, const struct bench_model_config *c, int ranks)
{
    bool more;

    *t = (struct ticks){ .c = c,
                         .policy = { WINDOW_ROLLING, COUNT_OF(steps), BENCH_FRAMES, 21,
                                     BENCH_FRAMES, KV_SINK_USUAL } };
    t->io =
        bench_null_io((struct line_io){ .arg = t, .noise = fill_noise, .context = fill_context });
    int const filled = t->policy.levels + t->policy.attention_frames / BENCH_FRAMES;
    TRY(schedule_make(&t->schedule, steps, COUNT_OF(steps), true, 5));
    TRY(open_model(t));
    TRY(open_line(t, ranks));
    t->clip.blocks = filled + BENCH_ROW_RUNS + t->policy.levels;
    line_begin_list(t->line, &t->clip, 1, &t->io);
    for (int i = 0; i < filled; i++) TRY(line_tick(t->line, &more));
    return ST_OK;
}

/* ---- timing ---------------------------------------------------------------------------- */

static double count_tick_flop(const struct ticks *t)
{
    const struct dit_shape *const s = &t->shape;
    int64_t const tokens = t->c->latent_h / 2 * (t->c->latent_w / 2);
    double const per_frame = (double)tokens, d = s->dim;
    double const n = (t->policy.levels + 1) * BENCH_FRAMES * per_frame;
    double const k = t->policy.attention_frames * per_frame;

    return 2 * n * 8 * CHANNELS * d +
           s->layers * (n * (12 * d * d + 4 * d * s->ffn_dim) + 4 * n * d * (k + s->text_len));
}

static status time_ticks(struct ticks *t, struct bench_decoder *decoder, struct bench_result *out)
{
    bool more;

    for (int i = 0; i < BENCH_ROW_RUNS; i++) {
        double const start = clock_seconds();
        TRY(line_tick(t->line, &more));
        TRY(t->ctx->backend->sync(t->ctx));
        if (decoder) TRY(bench_decoder_run(decoder));
        out->seconds[i] = clock_seconds() - start;
    }
    return bench_card_bytes(t->c->backend, &out->card);
}

static status time_line(const struct bench_model_config *c, int ranks, struct bench_result *out)
{
    struct ticks t;
    status st = ST_OK;

    TRY_OUT(open_ticks(&t, c, ranks));
    TRY_OUT(time_ticks(&t, NULL, out));
    out->flop = count_tick_flop(&t) / ranks;
out:
    close_ticks(&t);
    return st;
}

status bench_time_tick(const struct bench_model_config *c, struct bench_result *out)
{
    return time_line(c, 1, out);
}

status bench_time_rank(const struct bench_model_config *c, struct bench_result *out)
{
    return time_line(c, COUNT_OF(steps) + 1, out);
}

status bench_time_film(const struct bench_model_config *c, struct bench_result *out)
{
    struct bench_decoder *decoder = NULL;
    struct ticks t;
    status st = ST_OK;

    TRY_OUT(open_ticks(&t, c, 1));
    TRY_OUT(bench_decoder_open(&decoder, c));
    TRY_OUT(bench_decoder_run(decoder));
    TRY_OUT(bench_decoder_run(decoder));
    TRY_OUT(time_ticks(&t, decoder, out));
    out->flop = count_tick_flop(&t) + bench_decoder_flop(decoder);
out:
    bench_decoder_close(&decoder);
    close_ticks(&t);
    return st;
}
