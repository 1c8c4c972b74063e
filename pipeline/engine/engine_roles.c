/* engine_roles.c - who plays which role in a batch, and which line renders which clip. */
#include "base/pool.h"
#include "comm/world.h"
#include "pipeline/engine/card_line.h"
#include "pipeline/engine/engine_batch.h"
#include "pipeline/engine/output_formats.h"
#include "pipeline/engine/role_planner.h"

#include <stdlib.h>
#include <string.h>

static status take_formats(struct batch *t)
{
    t->formats = calloc((size_t)t->b->clips + 1, sizeof *t->formats);
    if (!t->formats) return fail(ST_NOMEM, "%d clips", t->b->clips);
    for (int i = 0; i < t->b->clips; i++) {
        const struct job *const job = t->b->clip[i]->job;
        int64_t const bytes = job_formats_bytes(job);
        t->formats[i] = job_formats_set(job);
        if (bytes > t->picture_bytes) t->picture_bytes = bytes;
    }
    return ST_OK;
}

status engine_read_card(struct batch *t)
{
    const struct engine_options *const o = t->rank->o;
    const struct render_clip *const c = t->b->clip[0];
    struct card_line line;
    bool const f32 = o->precision ? !strcmp(o->precision, "f32") : c->job->precision == JOB_F32;

    TRY(card_line_read(&line, c->card));
    t->schedule = line.schedule;
    t->policy = line.policy;
    t->shape = line.shape;
    t->act = f32 ? DT_F32 : DT_BF16;
    TRY(kern_backend_supports(o->backend, t->act));
    t->latent_h = c->spec->height / VAE_SCALE;
    t->latent_w = c->spec->width / VAE_SCALE;
    return take_formats(t);
}

static status share_clips(struct batch *t)
{
    int64_t blocks[ROLES_RANKS] = { 0 };

    t->line_of = calloc((size_t)t->b->clips + 1, sizeof *t->line_of);
    if (!t->line_of) return fail(ST_NOMEM, "%d clips", t->b->clips);
    for (int i = 0; i < t->b->clips; i++) {
        t->line_of[i] = roles_next_line(blocks, t->roles.lines);
        blocks[t->line_of[i]] += t->b->clip[i]->spec->blocks;
    }
    return ST_OK;
}

/* What the planner needs to know of the batch. Borrows from t. */
static struct workload model_of(const struct batch *t)
{
    const struct clip_spec *const clip = t->b->clip[0]->spec;
    int const texts = prompt_bank_texts(t->prompts);

    return (struct workload){ .card = *t->b->clip[0]->card,
                              .schedule = t->schedule,
                              .policy = t->policy,
                              .shape = t->shape,
                              .act = t->act,
                              .width = clip->width,
                              .height = clip->height,
                              .latent_h = t->latent_h,
                              .latent_w = t->latent_w,
                              .picture_bytes = t->picture_bytes,
                              .clips = t->b->clips,
                              .texts = texts,
                              .contexts = prompt_bank_count(t->prompts),
                              .tokens = (int64_t)texts * t->shape.text_len };
}

static status ask_planner(struct batch *t, int choice[2])
{
    const struct engine_options *const o = t->rank->o;
    struct workload model = model_of(t);
    struct plan_bytes bytes = { 0 };
    status st = ST_OK;

    TRY(vae_base(&model.vae_base, model.card.vae));
    TRY_OUT(plan_bytes_open(&bytes, &model, o->backend, o->mode));
    TRY_OUT(plan_choose(
        &(struct plan_request){ .bytes = &bytes,
                                .threads_world = comm_launcher_rank() < 0,
                                .ranks = t->world->size,
                                .threads = t->rank->threads,
                                .node = t->world->node,
                                .cores = pool_cpus(),
                                .devices = o->devices,
                                .clips = t->b->clips,
                                .cross_nodes = o->cross_nodes,
                                .ranks_per_line = o->ranks_per_line,
                                .decode_ranks = o->decode_ranks,
                                .goal = o->for_latency ? PLAN_LATENCY : PLAN_THROUGHPUT },
        &choice[0], &choice[1]));
out:
    plan_bytes_close(&bytes);
    return st;
}

/* Rank 0's choice is everyone's: machines may differ. */
static status choose(struct batch *t, int choice[2])
{
    char *bytes = (char *)choice;
    size_t len = 2 * sizeof *choice;

    if (t->world->rank == 0) TRY(ask_planner(t, choice));
    TRY(comm_broadcast(t->world, 0, &bytes, &len));
    if (t->world->rank == 0) return ST_OK;
    memcpy(choice, bytes, 2 * sizeof *choice);
    free(bytes);
    return ST_OK;
}

static status make_roles(struct batch *t, const int choice[2])
{
    if (t->rank->o->mode.exchange == LINE_HEADS) TRY(split_heads(t->shape.heads, choice[0]));
    TRY(roles_make(&t->roles, &(struct roles_config){ .ranks = t->world->size,
                                                      .stages = t->schedule.levels + 1,
                                                      .ranks_per_line = choice[0],
                                                      .decode_ranks = choice[1],
                                                      .node = t->world->node,
                                                      .cross_nodes = t->rank->o->cross_nodes }));
    roles_limit(&t->roles, t->b->clips);
    return ST_OK;
}

status engine_assign_roles(struct batch *t)
{
    const struct engine_options *const o = t->rank->o;
    int choice[2] = { o->ranks_per_line, o->decode_ranks };

    bool const open = !o->ranks_per_line || o->decode_ranks < 0;
    if (t->world->size == 1) choice[0] = 1, choice[1] = 0;
    else if (open) TRY(choose(t, choice));
    TRY(comm_agree(t->world, t->world->rank ? ST_OK : make_roles(t, choice)));
    if (t->world->rank) TRY(make_roles(t, choice));
    t->me = &t->roles.rank[t->world->rank];
    return share_clips(t);
}
