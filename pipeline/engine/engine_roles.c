/* engine_roles.c - who plays which role in a batch, and which line renders which clip. */
#include "base/pool.h"
#include "comm/world.h"
#include "pipeline/engine/engine_batch.h"
#include "pipeline/engine/output_formats.h"
#include "pipeline/engine/workload_query.h"

#include <stdlib.h>
#include <string.h>

static status take_formats(struct batch *t)
{
    t->formats = calloc((size_t)t->b->clips + 1, sizeof *t->formats);
    if (!t->formats) return fail(ST_NOMEM, "%d clips", t->b->clips);
    for (int i = 0; i < t->b->clips; i++) {
        const struct clip_spec *const spec = t->b->clip[i]->spec;
        int64_t const bytes = clip_picture_bytes(spec);
        t->formats[i] = clip_pixel_formats(spec);
        if (bytes > t->picture_bytes) t->picture_bytes = bytes;
    }
    return ST_OK;
}

status engine_read_card(struct batch *t)
{
    const struct engine_options *const o = t->rank->o;
    const struct render_clip *const c = t->b->clip[0];
    struct card_line line;

    TRY(card_line_read(&line, c->card));
    t->schedule = line.schedule;
    t->policy = line.policy;
    t->shape = line.shape;
    t->act = c->spec->precision == CLIP_F32 ? DT_F32 : DT_BF16;
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

/* What the planner needs to know of the batch. */
static struct work_outlook outlook_of(const struct batch *t)
{
    struct work_outlook known = { .clips = t->b->clips, .texts = prompt_bank_texts(t->prompts) };

    known.mixes = prompt_bank_count(t->prompts) - known.texts;
    known.tokens = known.texts * t->shape.text_len;
    for (int i = 0; i < t->b->clips; i++) known.formats |= t->formats[i];
    return known;
}

static status ask_planner(struct batch *t, int choice[2])
{
    const struct engine_options *const o = t->rank->o;
    const struct render_clip *const c = t->b->clip[0];
    struct work_item const first = { .clip = c->spec, .model = c->card };
    struct work_outlook const known = outlook_of(t);
    struct world_facts world = { .ranks = t->world->size,
                                 .threads = t->rank->threads,
                                 .node = t->world->node,
                                 .shared_weights = comm_launcher_rank() < 0,
                                 .ranks_per_line = o->ranks_per_line,
                                 .decode_ranks = o->decode_ranks,
                                 .cross_nodes = o->cross_nodes,
                                 .goal = o->for_latency ? PLAN_LATENCY : PLAN_THROUGHPUT };
    struct workload work;
    struct plan_bytes bytes = { 0 };
    struct plan_query query;
    struct cost_model cost;
    struct planner plan;
    status st = ST_OK;

    TRY(workload_read(&work, &first, &known));
    TRY_OUT(plan_bytes_open(&bytes, &work, o->backend, o->mode));
    TRY_OUT(world_facts_topo(&world, o->devices, pool_cpus()));
    TRY_OUT(workload_query(&query, &cost, &bytes, &world));
    TRY_OUT(planner_choose(&plan, &query));
    choice[0] = plan.best.ranks_per_line;
    choice[1] = plan.best.decode_ranks;
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
