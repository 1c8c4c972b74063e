/* render_batch.c - the model of a card, and the line that renders a batch with it. */
#include "base/log.h"
#include "cmd/render.h"
#include "cmd/render_film.h"
#include "cmd/render_progress.h"
#include "cmd/render_prompts.h"
#include "pipeline/crew.h"
#include "pipeline/noise.h"

#include <stdlib.h>
#include <string.h>

/* Everything a batch holds. */
struct batch {
    const struct render_batch *b;
    struct schedule schedule;
    struct key_policy policy;
    struct dit_shape shape;
    enum dtype act;
    int64_t latent_h, latent_w;
    struct timeline timeline;
    struct kern_ctx *ctx;
    struct dit *model;
    struct render_prompts *prompts;
    struct render_film *film;
    struct render_progress progress;
};

static status noise(void *arg, int clip, int64_t block, int level, float *out)
{
    const struct batch *const t = arg;
    int64_t const count =
        (int64_t)t->policy.frames_per_block * t->shape.channels * t->latent_h * t->latent_w;

    noise_fill(out, count, t->b->clip[clip]->spec->seed, block, level);
    return ST_OK;
}

static int64_t context_id(void *arg, int clip, int64_t block)
{
    return render_prompts_id(((const struct batch *)arg)->prompts, clip, block);
}

static status context(void *arg, int clip, int64_t block, float *embeds)
{
    render_prompts_fill(((const struct batch *)arg)->prompts, clip, block, embeds);
    return ST_OK;
}

static status finished(void *arg, int clip, int64_t block, const float *x0)
{
    struct batch *const t = arg;
    const struct render_clip *const c = t->b->clip[clip];
    int pictures;

    TRY(render_film_block(t->film, c, block, x0, &pictures));
    render_progress_block(&t->progress, c->spec->name,
                          (struct place){ .clip = clip, .block = block }, pictures);
    return ST_OK;
}

static bool stop(void *arg) { return ((const struct batch *)arg)->b->o->stop(); }

/* The card's numbers, as the line wants them. */
static status read_card(struct batch *t)
{
    const struct render_clip *const c = t->b->clip[0];
    const struct card *const card = c->card;
    bool const f32 =
        t->b->o->precision ? !strcmp(t->b->o->precision, "f32") : c->job->precision == JOB_F32;

    TRY(schedule_make(&t->schedule, card->step, card->steps, card->warp, card->shift));
    t->policy = (struct key_policy){
        .kind = card->window == CARD_ROLLING ? WINDOW_ROLLING : WINDOW_BLOCK,
        .levels = card->steps,
        .frames_per_block = card->frames_per_block,
        .attention_frames = card->attention_frames,
        .sink_frames = card->sink_frames,
    };
    TRY(key_policy_check(&t->policy));
    TRY(dit_shape_read(&t->shape, card->config));
    if (t->shape.channels != VAE_CHANNELS)
        return fail(ST_FORMAT, "%s: latents of %d channels; the VAE takes %d", card->config,
                    t->shape.channels, VAE_CHANNELS);
    t->act = f32 ? DT_F32 : DT_BF16;
    t->latent_h = c->spec->height / VAE_SCALE;
    t->latent_w = c->spec->width / VAE_SCALE;
    return ST_OK;
}

static status make_timeline(struct batch *t)
{
    int64_t *const blocks = calloc((size_t)t->b->clips, sizeof *blocks);

    if (!blocks) return fail(ST_NOMEM, "%d clips", t->b->clips);
    for (int i = 0; i < t->b->clips; i++) blocks[i] = t->b->clip[i]->spec->blocks;
    status const st = timeline_make(&t->timeline, &t->policy, blocks, t->b->clips);
    free(blocks);
    return st;
}

static struct crew_config crew_of(const struct batch *t)
{
    const struct render_options *const o = t->b->o;
    return (struct crew_config){ .model = t->model,
                                 .schedule = &t->schedule,
                                 .backend = o->backend,
                                 .policy = t->policy,
                                 .latent_h = t->latent_h,
                                 .latent_w = t->latent_w,
                                 .contexts = render_prompts_count(t->prompts),
                                 .ranks = o->ranks,
                                 .threads = o->threads,
                                 .deadline_s = o->deadline_s };
}

static status open_prompts(struct batch *t)
{
    const struct render_batch *const b = t->b;
    const struct card *const card = b->clip[0]->card;
    const struct clip_spec **const specs = calloc((size_t)b->clips, sizeof *specs);
    struct text_config const text = { .encoder_path = card->encoder,
                                      .tokenizer_path = card->tokenizer,
                                      .cache_dir = b->o->prompt_cache,
                                      .text_len = t->shape.text_len,
                                      .backend = b->o->backend,
                                      .threads = b->o->threads,
                                      .precision = t->act };
    status st;

    if (!specs) return fail(ST_NOMEM, "%d clips", b->clips);
    for (int i = 0; i < b->clips; i++) specs[i] = b->clip[i]->spec;
    st = render_prompts_open(&t->prompts, specs, b->clips, &text, t->shape.text_dim);
    free(specs);
    return st;
}

static status open_film(struct batch *t)
{
    const struct render_options *const o = t->b->o;
    struct render_film_config const film = {
        .o = o,
        .vae = { .backend = o->backend,
                 .threads = o->threads,
                 .precision = t->act,
                 .latent_h = t->latent_h,
                 .latent_w = t->latent_w,
                 .path = t->b->clip[0]->card->vae },
        .frames_per_block = t->policy.frames_per_block,
        .weights_hash = dit_weights_hash(t->model),
        .text_hash = render_prompts_encoder_hash(t->prompts),
    };
    return render_film_open(&t->film, &film);
}

static status open_model(struct batch *t)
{
    const struct card *const card = t->b->clip[0]->card;
    struct dit_config const dit = { .weights = card->weights,
                                    .outer_key = card->outer_key,
                                    .shape = t->shape,
                                    .schedule = &t->schedule,
                                    .act = t->act };

    TRY(t->b->o->backend->open(&t->ctx, t->b->o->threads));
    log_info("model: %s, %s", card->name, card->weights);
    return dit_open(&t->model, &dit, t->ctx);
}

static double mib(size_t bytes) { return (double)bytes / (1 << 20); }

static status run(struct batch *t)
{
    struct crew_config const crew = crew_of(t);
    struct line_io const io = { .arg = t,
                                .noise = noise,
                                .context_id = context_id,
                                .context = context,
                                .finished = finished,
                                .stop = stop };
    struct line_bytes bytes;

    TRY(crew_measure(&bytes, &crew));
    log_info("line: %d stages on %d rank%s, %s %s, occupancy %.1f %%; MiB: cache %.0f, context "
             "%.0f, scratch %.0f, wire %.0f",
             t->schedule.levels + 1, crew.ranks, crew.ranks == 1 ? "" : "s", crew.backend->name,
             dtype_name(t->act), 100.0 * timeline_occupancy(&t->timeline), mib(bytes.cache),
             mib(bytes.context), mib(bytes.scratch), mib(bytes.wire));
    log_info("line: the first pictures come after %d ticks", t->schedule.levels);
    render_progress_begin(&t->progress, &t->timeline, t->b->all_clips, t->b->clips_done);
    status const st = crew_run(&crew, &t->timeline, &io);
    render_progress_end(&t->progress);
    return st;
}

status render_batch_run(const struct render_batch *b)
{
    struct batch t = { .b = b };
    status st = ST_OK;

    TRY_OUT(read_card(&t));
    TRY_OUT(make_timeline(&t));
    TRY_OUT(open_prompts(&t));
    TRY_OUT(open_model(&t));
    TRY_OUT(open_film(&t));
    TRY_OUT(run(&t));
out:
    render_film_close(&t.film);
    dit_close(&t.model);
    if (t.ctx) b->o->backend->close(&t.ctx);
    render_prompts_close(&t.prompts);
    timeline_free(&t.timeline);
    return st;
}
