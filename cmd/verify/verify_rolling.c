/* verify_rolling.c - a recorded clip through the line: its noise, its steps, its latents. */
#include "cmd/verify/verify_internal.h"
#include "pipeline/line/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SWITCHES = 16 };

/* Everything the line's callbacks need: those of this rank's stages. */
struct clip {
    struct verify_case *c;
    int frames, levels, blocks;
    int given; /* of these */
    const struct schedule *schedule;
    int64_t block_count;   /* elements of one block's latent */
    int64_t dim[4];        /* [frames of a block, channels, h, w] */
    float *noise, *embeds; /* inputs; owned. noise: from the first block on that is not given */
    float *given_x0;       /* [given * frames, channels, h, w]; owned */
    size_t embeds_bytes;
    float **renoise;    /* [blocks * levels], level 0 unused; owned */
    float *latents;     /* computed; the set's */
    struct step *steps; /* [blocks + levels - 1] */
    struct verify_slots slots;
    struct {
        int64_t block; /* from which on it acts */
        bool cut;
        float *embeds; /* owned */
    } change[SWITCHES];
    int switches;
    bool recache; /* at each of them */
};

/* What the case expects of one window pass; NULL where it does not. */
struct step {
    float *noisy, *flow, *x0, *timestep;
};

static status copy_noise(void *arg, int clip, int64_t block, int level, float *out)
{
    const struct clip *const p = arg;
    const float *const from = level ? p->renoise[block * p->levels + level]
                                    : p->noise + (block - p->given) * p->block_count;
    (void)clip;
    memcpy(out, from, (size_t)p->block_count * sizeof *out);
    return ST_OK;
}

static status copy_given(void *arg, int clip, int64_t block, float *x0)
{
    const struct clip *const p = arg;

    (void)clip;
    memcpy(x0, p->given_x0 + block * p->block_count, (size_t)p->block_count * sizeof *x0);
    return ST_OK;
}

/* The prompt in force: 0, or the last switch that acts, counted from 1. */
static int64_t count_switches(void *arg, int clip, int64_t block)
{
    const struct clip *const p = arg;
    int64_t n = 0;

    (void)clip;
    while (n < p->switches && p->change[n].block <= block) n++;
    return n;
}

static bool begins_with_cut(void *arg, int clip, int64_t block)
{
    const struct clip *const p = arg;
    int64_t const n = count_switches(arg, clip, block);
    return n > 0 && p->change[n - 1].block == block && p->change[n - 1].cut;
}

static bool begins_recached(void *arg, int clip, int64_t block)
{
    const struct clip *const p = arg;
    int64_t const n = count_switches(arg, clip, block);
    return p->recache && n > 0 && p->change[n - 1].block == block;
}

static status copy_context(void *arg, int clip, int64_t block, float *embeds)
{
    const struct clip *const p = arg;
    int64_t const n = count_switches(arg, clip, block);

    memcpy(embeds, n ? p->change[n - 1].embeds : p->embeds, p->embeds_bytes);
    return ST_OK;
}

static status keep_latents(void *arg, int clip, int64_t block, const float *x0)
{
    const struct clip *const p = arg;

    (void)clip;
    memcpy(p->latents + block * p->block_count, x0, (size_t)p->block_count * sizeof *x0);
    return ST_OK;
}

static status keep_step(void *arg, int clip, int64_t block, int level, const float *noisy,
                        const float *flow, const float *x0)
{
    const struct clip *const p = arg;
    int64_t const step = block + level, first = step >= p->levels ? step - p->levels + 1 : 0;
    struct {
        float *to;
        const float *from;
    } const copies[] = { { p->steps[step].noisy, noisy },
                         { p->steps[step].flow, flow },
                         { p->steps[step].x0, x0 } };

    (void)clip;
    for (int i = 0; i < COUNT_OF(copies); i++)
        if (copies[i].to)
            memcpy(copies[i].to + (block - first) * p->block_count, copies[i].from,
                   (size_t)p->block_count * sizeof *x0);
    return ST_OK;
}

static void keep_attended(void *arg, const struct line_attends *a)
{
    const struct clip *const p = arg;
    verify_slots_attends(&p->slots, a);
}

static status read_inputs(struct clip *p, const struct dit_shape *s, int frames)
{
    char name[64];

    int const given = p->given * p->frames;

    TRY(verify_input(p->c, "noise", DIMS(frames - given, p->dim[1], p->dim[2], p->dim[3]),
                     &p->noise));
    if (given)
        TRY(verify_input(p->c, "given", DIMS(given, p->dim[1], p->dim[2], p->dim[3]),
                         &p->given_x0));
    TRY(verify_input(p->c, "prompt_embeds", DIMS(s->text_len, s->text_dim), &p->embeds));
    p->embeds_bytes = (size_t)s->text_len * (size_t)s->text_dim * sizeof *p->embeds;
    p->renoise = calloc((size_t)p->blocks * (size_t)p->levels, sizeof *p->renoise);
    p->steps = calloc((size_t)p->blocks + (size_t)p->levels, sizeof *p->steps);
    if (!p->renoise || !p->steps) return fail(ST_NOMEM, "%d blocks", p->blocks);
    for (int b = p->given; b < p->blocks; b++)
        for (int k = 1; k < (b == p->given ? p->schedule->opening : p->schedule->usual); k++) {
            snprintf(name, sizeof name, "renoise/%d/%d", b, k);
            TRY(verify_input(p->c, name, 4, p->dim, &p->renoise[b * p->levels + k]));
        }
    return ST_OK;
}

/* Whether there is a recache; what then becomes of the sink is the policy's. */
static status read_recache(struct clip *p)
{
    const struct json_node *const recache = json_tree_member(p->c->json, "recache");

    if (recache && !json_tree_is(recache, NODE_BOOL))
        return fail(ST_FORMAT, "%s/case.json: recache: true or false is expected", p->c->dir);
    p->recache = recache && recache->truth;
    return ST_OK;
}

/* Changes of the prompt, in their order; what else one may ask for is not known. */
static status read_switches(struct clip *p, const struct dit_shape *s)
{
    const struct json_node *const list = json_tree_member(p->c->json, "prompt_switches");

    TRY(read_recache(p));
    for (const struct json_node *n = list ? list->first : NULL; n; n = n->next) {
        const struct json_node *const from = json_tree_member(n, "from_frame");
        const struct json_node *const cut = json_tree_member(n, "cut");
        const char *const embeds = json_tree_text(json_tree_member(n, "prompt_embeds"));
        if (p->switches == SWITCHES || !json_tree_is(from, NODE_WHOLE) || !embeds ||
            from->whole < 0 || from->whole % p->frames || (cut && !json_tree_is(cut, NODE_BOOL)) ||
            n->count != 3 + (cut != NULL))
            return fail(ST_FORMAT,
                        "%s/case.json: prompt_switches: at most %d of frame, from_frame at a "
                        "block's begin, prompt_embeds and perhaps cut are expected",
                        p->c->dir, SWITCHES);
        p->change[p->switches].block = from->whole / p->frames;
        p->change[p->switches].cut = cut && cut->truth;
        TRY(verify_input(p->c, embeds, DIMS(s->text_len, s->text_dim),
                         &p->change[p->switches].embeds));
        p->switches++;
    }
    return ST_OK;
}

/* Room for the steps that the case expects; their timesteps are known already. */
static status expect_steps(struct clip *p, const struct schedule *schedule)
{
    for (int i = 0; i < weights_count(p->c->expected); i++) {
        const struct weight_info *const w = weights_at(p->c->expected, i);
        int step, used = 0;
        if (sscanf(w->name, "window/%d/%n", &step, &used) != 1 || !used) continue;
        if (step < 0 || step >= p->blocks + p->levels - 1)
            return fail(ST_FORMAT, "%s/expected.safetensors: %s: no such step", p->c->dir, w->name);

        int const first = step >= p->levels ? step - p->levels + 1 : 0;
        int const last = step < p->blocks ? step : p->blocks - 1, count = last - first + 1;
        struct step *const s = &p->steps[step];
        const char *const what = w->name + used;
        int64_t const dim[] = { (int64_t)count * p->frames, p->dim[1], p->dim[2], p->dim[3] };
        float **const to = !strcmp(what, "noisy")      ? &s->noisy
                           : !strcmp(what, "flow")     ? &s->flow
                           : !strcmp(what, "x0")       ? &s->x0
                           : !strcmp(what, "timestep") ? &s->timestep
                                                       : NULL;
        if (!to)
            return fail(ST_FORMAT, "%s/expected.safetensors: %s: nothing of that name is computed",
                        p->c->dir, w->name);
        TRY(verify_add(p->c, w->name, to == &s->timestep ? 1 : 4, dim, to));
        for (int f = 0; to == &s->timestep && f < count * p->frames; f++)
            s->timestep[f] = schedule->timestep[step - (first + f / p->frames)];
    }
    return ST_OK;
}

static status add_schedule(struct verify_case *c, const struct schedule *schedule)
{
    float *timesteps, *sigmas;

    TRY(verify_add(c, "timesteps", DIMS(schedule->usual), &timesteps));
    TRY(verify_add(c, "sigmas", DIMS(schedule->usual), &sigmas));
    memcpy(timesteps, schedule->timestep, (size_t)schedule->usual * sizeof *timesteps);
    memcpy(sigmas, schedule->sigma, (size_t)schedule->usual * sizeof *sigmas);
    return ST_OK;
}

static status run_line(struct clip *p, const struct dit *model, const struct schedule *schedule,
                       const struct kv_policy *policy)
{
    struct verify_options const *const o = &p->c->o;
    struct line_render const render = {
        .line = { .model = model,
                  .schedule = schedule,
                  .policy = *policy,
                  .mode = o->mode,
                  .latent_h = p->dim[2],
                  .latent_w = p->dim[3],
                  .given = p->given > 0,
                  .recache = p->recache },
        .backend = o->backend,
        .threads = o->threads,
        .device = o->device,
    };
    struct line_io const io = { .arg = p,
                                .noise = copy_noise,
                                .given = copy_given,
                                .context_id = count_switches,
                                .context = copy_context,
                                .cut = begins_with_cut,
                                .recache = begins_recached,
                                .finished = keep_latents,
                                .attends = keep_attended,
                                .tap = keep_step };
    struct timeline_entry const clip = { .blocks = p->blocks,
                                         .clean = p->given,
                                         .opening = p->given };

    if (p->given && o->world->rank == 0)
        memcpy(p->latents, p->given_x0, (size_t)(p->given * p->block_count) * sizeof *p->latents);
    return line_render(&render, o->world, &clip, 1, &io);
}

static status read_clip_size(struct clip *p, struct verify_case *c, int levels, int channels,
                             int *frames)
{
    int h, w, given = 0;

    TRY(verify_int(c, "latent_frames", 1, 1 << 20, frames));
    TRY(verify_int(c, "latent_height", 2, 4096, &h));
    TRY(verify_int(c, "latent_width", 2, 4096, &w));
    TRY(verify_int(c, "frames_per_block", 1, 64, &p->frames));
    if (*frames % p->frames)
        return fail(ST_FORMAT, "%s/case.json: latent_frames: %d is no multiple of %d", c->dir,
                    *frames, p->frames);
    if (json_tree_member(c->json, "given_frames"))
        TRY(verify_int(c, "given_frames", 0, *frames - p->frames, &given));
    if (given % p->frames)
        return fail(ST_FORMAT, "%s/case.json: given_frames: %d is no multiple of %d", c->dir, given,
                    p->frames);
    p->levels = levels;
    p->blocks = *frames / p->frames;
    p->given = given / p->frames;
    int64_t const dim[] = { p->frames, channels, h, w };
    memcpy(p->dim, dim, sizeof dim);
    p->block_count = dim[0] * dim[1] * dim[2] * dim[3];
    return ST_OK;
}

/* The recorded choices of keys, if the case has them. */
static status expect_slots(struct clip *p, const struct kv_policy *policy)
{
    p->slots = (struct verify_slots){
        .levels = p->levels,
        .frames = p->frames,
        .blocks = p->blocks,
        .tokens = p->dim[2] / 2 * (p->dim[3] / 2),
        .rounded = p->c->o.precision != DT_F32 && kv_policy_scores(policy),
    };
    return verify_slots_read(p->c, &p->slots);
}

static void free_clip(struct clip *p)
{
    verify_slots_free(&p->slots);
    for (int i = 0; i < p->switches; i++) free(p->change[i].embeds);
    for (int i = 0; p->renoise && i < p->blocks * p->levels; i++) free(p->renoise[i]);
    free(p->renoise);
    free(p->steps);
    free(p->noise);
    free(p->given_x0);
    free(p->embeds);
}

status verify_rolling(struct verify_case *c, const char *weights, const char *what)
{
    struct schedule schedule;
    struct clip p = { .c = c, .schedule = &schedule };
    struct kv_policy policy;
    struct verify_loras loras = { 0 };
    struct kern_ctx *ctx = NULL;
    struct dit *model = NULL;
    struct dit_config config = { .schedule = &schedule, .act = c->o.precision };
    char *const path = verify_model(c, weights), *const shape = verify_model(c, "config.json");
    int frames = 0;
    status st = ST_OK;

    if (!path || !shape) FAIL_OUT(ST_NOMEM, "%s: no memory for its name", c->dir);
    c->by_line = true;
    TRY_OUT(verify_read_schedule(c, &schedule));
    TRY_OUT(verify_read_policy(c, schedule.levels, &policy));
    TRY_OUT(dit_shape_read(&config.shape, shape));
    TRY_OUT(read_clip_size(&p, c, schedule.levels, config.shape.channels, &frames));
    config.weights = path;
    if (strstr(weights, ".pt"))
        config.outer_key = json_tree_text(json_tree_member(c->json, "weights_key"));
    TRY_OUT(verify_loras_read(c, &loras));
    config.adapter = loras.at;
    config.adapters = loras.count;
    TRY_OUT(read_inputs(&p, &config.shape, frames));
    TRY_OUT(read_switches(&p, &config.shape));
    TRY_OUT(add_schedule(c, &schedule));
    TRY_OUT(verify_add(c, "latents", DIMS(frames, p.dim[1], p.dim[2], p.dim[3]), &p.latents));
    TRY_OUT(expect_steps(&p, &schedule));
    TRY_OUT(expect_slots(&p, &policy));
    TRY_OUT(c->o.backend->open(
        &ctx, &(struct kern_config){ .threads = c->o.threads, .device = c->o.device }));
    TRY_OUT(dit_open(&model, &config, ctx));
    TRY_OUT(run_line(&p, model, &schedule, &policy));
    TRY_OUT(verify_gather(c));
    if (c->o.world->rank == 0) verify_slots_compare(c, &p.slots, what);
out:
    free_clip(&p);
    verify_loras_free(&loras);
    dit_close(&model);
    if (ctx) c->o.backend->close(&ctx);
    free(path);
    free(shape);
    return st;
}
