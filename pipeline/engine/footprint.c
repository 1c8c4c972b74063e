/*
 * footprint.c - bytes per rank, measured by laying everything out in arenas that only count.
 *
 * Nothing here repeats a size that another file knows: the transformer, the line and the decoder
 * run their own layout, for every number of ranks and every place there can be, so that the
 * planner then only looks numbers up. What no arena holds - prompts, pictures on their way to the
 * encoder - is reckoned from the same constants as those who allocate it use.
 */
#include "pipeline/engine/footprint.h"
#include "base/file.h"
#include "pipeline/engine/dispatch/dispatch.h"
#include "pipeline/text/umt5.h"

const char *const plan_arena_names[PLAN_ARENAS] = {
    [PLAN_WEIGHTS] = "weights",
    [PLAN_CACHE] = "cache",
    [PLAN_CONTEXT] = "context",
    [PLAN_SCRATCH] = "scratch",
    [PLAN_WIRE] = "wire",
    [PLAN_KERNELS] = "kernels",
    [PLAN_HOST] = "host",
    [PLAN_PROMPTS] = "prompts",
    [PLAN_VAE_WEIGHTS] = "vae weights",
    [PLAN_VAE_CACHE] = "vae cache",
    [PLAN_VAE_SCRATCH] = "vae scratch",
    [PLAN_VAE_WIRE] = "vae wire",
    [PLAN_VAE_HOST] = "vae host",
    [PLAN_START] = "vae encoder",
    [PLAN_PICTURES] = "pictures",
};

static const bool on_card[PLAN_ARENAS] = {
    [PLAN_WEIGHTS] = true,     [PLAN_CACHE] = true,     [PLAN_CONTEXT] = true,
    [PLAN_SCRATCH] = true,     [PLAN_WIRE] = true,      [PLAN_KERNELS] = true,
    [PLAN_VAE_WEIGHTS] = true, [PLAN_VAE_CACHE] = true, [PLAN_VAE_SCRATCH] = true,
    [PLAN_VAE_WIRE] = true,    [PLAN_START] = true,
};

enum { PICTURES_HELD = 1 + ENCODE_WORKER_SLOTS }; /* blocks of a line: in work, and waiting */

status plan_line_config(struct line_config *out, const struct plan_bytes *b, int ranks_per_line)
{
    const struct workload *const m = b->model;

    *out = (struct line_config){ .model = b->hollow,
                                 .schedule = &m->schedule,
                                 .policy = m->policy,
                                 .mode = b->mode,
                                 .latent_h = m->latent_h,
                                 .latent_w = m->latent_w,
                                 .contexts = m->contexts,
                                 .given = m->known.starts > 0,
                                 .recache = workload_recaches(&m->known, &m->policy) };
    return split_make(&out->split, m->schedule.levels + 1, ranks_per_line);
}

status plan_vae_config(struct vae_config *out, const struct plan_bytes *b, int chain, int place)
{
    const struct workload *const m = b->model;
    struct vae_size const size = { m->vae_base, m->latent_h, m->latent_w };
    struct vae_range part[VAE_PARTS_MAX] = { 0 };

    if (chain > 0) TRY(vae_parts(part, chain, &size));
    *out = (struct vae_config){ .backend = b->backend,
                                .threads = 1,
                                .precision = m->act,
                                .latent_h = m->latent_h,
                                .latent_w = m->latent_w,
                                .path = m->model->vae,
                                .part = part[place],
                                .picture_bytes = m->picture_bytes };
    return ST_OK;
}

static status measure_decoders(struct plan_bytes *b)
{
    for (int chain = 0; chain <= VAE_PARTS_MAX; chain++)
        for (int place = 0; place == 0 || place < chain; place++) {
            struct vae_config c;
            TRY(plan_vae_config(&c, b, chain, place));
            TRY(vae_measure(&b->vae[chain][place], &c));
        }
    return ST_OK;
}

status plan_encoder_config(struct vae_config *out, const struct plan_bytes *b)
{
    TRY(plan_vae_config(out, b, 0, 0));
    out->alone = true;
    out->picture_bytes = 0;
    return ST_OK;
}

/* Where no clip begins with pictures it is never opened; whether any does is not looked at. */
static status measure_encoder(struct plan_bytes *b)
{
    struct vae_config c;

    if (!b->model->known.starts) return ST_OK;
    TRY(plan_encoder_config(&c, b));
    return vae_measure(&b->start, &c);
}

static status measure_lines(struct plan_bytes *b)
{
    int const stages = b->model->schedule.levels + 1;
    struct kern_ctx ctx = { .backend = b->backend, .threads = 1 };

    for (int ranks = 1; ranks <= stages; ranks++) {
        if (b->mode.exchange == LINE_HEADS && b->model->shape.heads % ranks) continue;
        for (int place = 0; place < ranks; place++) {
            struct comm comm = { .rank = place, .size = ranks };
            struct line_config c;
            TRY(plan_line_config(&c, b, ranks));
            c.comm = &comm;
            c.ctx = &ctx;
            TRY(line_measure(&b->line[ranks][place], &c));
        }
    }
    return ST_OK;
}

static double weights_of(const struct umt5_shape *s)
{
    return (double)s->layers * (double)s->dim * (4 * (double)s->dim_attn + 3 * (double)s->ffn);
}

/* All cards' so far is UMT5-XXL, which gives vectors of its own width. */
static status assume_text_encoder(struct plan_bytes *b)
{
    if (b->model->shape.text_dim != umt5_xxl.dim)
        return fail(ST_FORMAT,
                    "%s: text.encoder: %s is not there, and vectors of %d are not UMT5-XXL's",
                    b->model->model->card, b->model->model->encoder, b->model->shape.text_dim);
    b->text_assumed = true;
    b->text_weights = weights_of(&umt5_xxl);
    return ST_OK;
}

static status read_text_encoder(struct plan_bytes *b)
{
    struct umt5_config c = { .backend = b->backend, .threads = 1, .precision = b->model->act };
    struct umt5 *u = NULL;
    status st = ST_OK;

    if (!path_exists(b->model->model->encoder)) return assume_text_encoder(b);
    TRY_OUT(weights_open_as(&c.weights, &(struct weights_request){ .path = b->model->model->encoder,
                                                                   .family = WEIGHTS_TEXT }));
    TRY_OUT(umt5_open(&u, &c));
    b->text_weights = weights_of(umt5_shape(u));
out:
    umt5_close(&u);
    weights_close(&c.weights);
    return st;
}

status plan_bytes_open(struct plan_bytes *out, const struct workload *m,
                       const struct kern_backend *backend, struct line_mode mode)
{
    struct dit_config const dit = workload_dit(m);

    *out = (struct plan_bytes){ .model = m, .backend = backend, .mode = mode };
    TRY(dit_measure(&out->weights, &out->hollow, &dit, backend));
    TRY(measure_lines(out));
    TRY(measure_decoders(out));
    TRY(measure_encoder(out));
    return read_text_encoder(out);
}

void plan_bytes_close(struct plan_bytes *b)
{
    dit_close(&b->hollow);
    *b = (struct plan_bytes){ 0 };
}

void plan_work(struct cost_work *out, const struct plan_bytes *b)
{
    const struct work_outlook *const known = &b->model->known;

    workload_cost(out, b->model);
    if (known->texts)
        out->text = 2 * b->text_weights * (double)known->tokens / (double)known->texts;
}

/* Of the embeddings those that are at hand at one time, however many there are in all: what the
 * bank keeps, and what the clips need that it asks for together, as many each as on average. */
static uint64_t count_tokens_held(const struct work_outlook *known)
{
    int64_t const clips = known->clips > 0 ? known->clips : 1;
    int64_t const held = PROMPTS_KEPT + PROMPT_TOGETHER * ((known->texts + clips - 1) / clips);

    return (uint64_t)(held < known->texts ? known->tokens / known->texts * held : known->tokens);
}

static void add_line(struct plan_rank_bytes *out, const struct plan_bytes *b, int ranks, int place)
{
    const struct line_bytes *const line = &b->line[ranks][place];
    uint64_t const row = (uint64_t)b->model->shape.text_dim * sizeof(float);

    out->arena[PLAN_WEIGHTS] = b->weights;
    out->arena[PLAN_CACHE] = line->cache;
    out->arena[PLAN_CONTEXT] = line->context;
    out->arena[PLAN_SCRATCH] = line->scratch;
    out->arena[PLAN_WIRE] = line->wire;
    out->arena[PLAN_KERNELS] = line->kernels + b->backend->context_bytes;
    out->arena[PLAN_HOST] = line->host;
    out->arena[PLAN_PROMPTS] = count_tokens_held(&b->model->known) * row;
}

/* The last of a chain makes the pictures. */
static void add_decoder(struct plan_rank_bytes *out, const struct plan_bytes *b, uint64_t lines,
                        int chain, int place)
{
    const struct workload *const m = b->model;
    const struct vae_bytes *const vae = &b->vae[chain][place];
    uint64_t const block =
        (uint64_t)m->policy.frames_per_block * VAE_PICTURES * (uint64_t)m->picture_bytes;

    out->arena[PLAN_VAE_WEIGHTS] = vae->weights;
    out->arena[PLAN_VAE_CACHE] = vae->cache * lines;
    out->arena[PLAN_KERNELS] += vae->kernels;
    out->arena[PLAN_VAE_SCRATCH] = vae->scratch;
    out->arena[PLAN_VAE_WIRE] = vae->wire * lines;
    out->arena[PLAN_VAE_HOST] = vae->staging + vae->pinned;
    if (chain == 0 || place == chain - 1) out->arena[PLAN_PICTURES] = PICTURES_HELD * block * lines;
}

void plan_bytes_rank(struct plan_rank_bytes *out, const struct plan_bytes *b, const struct roles *r,
                     int rank)
{
    const struct role_at *const at = &r->rank[rank];
    int const chain = r->line[at->line].decode_ranks;

    *out = (struct plan_rank_bytes){ 0 };
    if (at->role == ROLE_LINE) add_line(out, b, r->line[at->line].ranks, at->place);
    if (roles_decodes(r, rank))
        add_decoder(out, b, (uint64_t)at->lines, chain, chain > 0 ? at->place : 0);
    if (rank == 0) {
        const struct vae_bytes *const v = &b->start;
        out->arena[PLAN_START] = v->weights + v->scratch + v->cache + v->wire + v->kernels;
        out->arena[PLAN_VAE_HOST] += v->staging;
    }
    for (int i = 0; i < PLAN_ARENAS; i++) {
        out->all += out->arena[i];
        if (on_card[i]) out->card += out->arena[i];
    }
}

uint64_t plan_bytes_all(void *arg, const struct roles *r, int rank)
{
    const struct plan_bytes *const b = arg;
    struct plan_rank_bytes out;

    plan_bytes_rank(&out, b, r, rank);
    if (b->cards) return out.card;
    return b->shared_weights && rank > 0 ? out.all - out.arena[PLAN_WEIGHTS] : out.all;
}
