/* engine_roles.c - what a group is, on every rank, and who plays which role in it. */
#include "base/pool.h"
#include "base/strbuf.h"
#include "jobs/spec/spec_json.h"
#include "pipeline/engine/engine_internal.h"
#include "pipeline/engine/workload_query.h"

#include <stdlib.h>
#include <string.h>

/* ---- what the group is ---------------------------------------------------------------- */

/* Beside the model; travels as bytes. */
struct group_facts {
    struct work_outlook outlook;
    int width, height;
    bool f32;
    struct clip_numerics asked;
    char numerics[ENGINE_NUMERICS]; /* rank 0's id of them */
};

static status broadcast_facts(struct group *t, struct group_facts *f)
{
    char *bytes = (char *)f;
    size_t len = sizeof *f;

    TRY(comm_broadcast(t->world, 0, &bytes, &len));
    if (t->world->rank == 0) return ST_OK;
    status const st = len == sizeof *f ? ST_OK : fail(ST_COMM, "a group's facts of %zu bytes", len);
    if (st == ST_OK) memcpy(f, bytes, sizeof *f);
    free(bytes);
    return st;
}

/* Rank 0, too, takes what it sends: all work with the same bytes. *mine: how that went. */
static status broadcast_model(struct group *t, const struct strbuf *json, status *mine)
{
    char *bytes = json->s;
    size_t len = json->len;

    TRY(comm_broadcast(t->world, 0, &bytes, &len));
    *mine = model_spec_from_json(&t->model, bytes, len);
    if (bytes != json->s) free(bytes);
    return ST_OK;
}

static status adopt_numerics(struct group *t, const struct clip_numerics *asked)
{
    TRY(engine_adapt_options(&t->g.o, t->rank->o, asked));
    return engine_numerics_id(&t->g.o, t->numerics);
}

static status find_facts(struct group *t, const struct work_item *first, struct group_facts *f,
                         struct strbuf *model)
{
    const struct work_source *const s = t->rank->source;

    TRY(model_spec_to_json(model, first->model));
    *f = (struct group_facts){ .width = first->clip->width,
                               .height = first->clip->height,
                               .f32 = first->clip->precision == CLIP_F32,
                               .asked = first->clip->numerics };
    TRY(adopt_numerics(t, &f->asked));
    memcpy(f->numerics, t->numerics, sizeof f->numerics);
    return s->ops->outlook(s->arg, first, &f->outlook);
}

/* Rank 0 has read them to find the facts. */
static status take_numerics(struct group *t, const struct group_facts *f)
{
    if (t->first) return ST_OK;
    TRY(adopt_numerics(t, &f->asked));
    if (!memcmp(t->numerics, f->numerics, sizeof f->numerics)) return ST_OK;
    return fail(ST_ARG,
                "the group is computed with %s here, and rank 0 has other libraries or "
                "instructions for it",
                t->g.o.backend->name);
}

static status read_numbers(struct group *t, const struct group_facts *f)
{
    struct engine_group *const g = &t->g;
    struct card_line line;

    TRY(take_numerics(t, f));
    TRY(card_line_read(&line, &t->model));
    g->model = &t->model;
    g->schedule = line.schedule;
    g->policy = line.policy;
    g->shape = line.shape;
    g->act = f->f32 ? DT_F32 : DT_BF16;
    g->width = f->width;
    g->height = f->height;
    g->latent_h = f->height / VAE_SCALE;
    g->latent_w = f->width / VAE_SCALE;
    g->outlook = f->outlook;
    g->picture_bytes = pixels_layout(f->width, f->height, f->outlook.formats).bytes;
    return kern_backend_supports(t->g.o.backend, g->act);
}

status group_read_model(struct group *t)
{
    struct group_facts f = { .width = 0 };
    struct strbuf json = { 0 };
    status mine, st = comm_stopped(t->world) ? fail(ST_CANCELED, "stopped") : ST_OK;

    if (st == ST_OK && t->first) st = find_facts(t, t->first, &f, &json);
    TRY_OUT(group_agree(t, st));
    TRY_OUT(broadcast_model(t, &json, &mine));
    TRY_OUT(broadcast_facts(t, &f));
    if (mine == ST_OK) mine = read_numbers(t, &f);
    if (mine == ST_OK) mine = group_pledge_files(t);
    /* On the others a file that differs is most likely another one of that name, which the hashes
     * tell; what changed is told behind them. */
    if (mine == ST_OK && t->first) mine = group_check_files(t);
    st = group_agree(t, mine);
out:
    strbuf_free(&json);
    return st;
}

/* ---- roles ------------------------------------------------------------------------------ */

static status ask_planner(struct group *t, int choice[2])
{
    const struct engine_options *const o = &t->g.o;
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

    TRY(workload_read(&work, t->first, &t->g.outlook));
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

static status make_roles(struct group *t, const int choice[2])
{
    struct engine_group *const g = &t->g;

    if (t->g.o.mode.exchange == LINE_HEADS) TRY(split_heads(g->shape.heads, choice[0]));
    TRY(roles_make(&g->roles, &(struct roles_config){ .ranks = t->world->size,
                                                      .stages = g->schedule.levels + 1,
                                                      .ranks_per_line = choice[0],
                                                      .decode_ranks = choice[1],
                                                      .node = t->world->node,
                                                      .cross_nodes = t->rank->o->cross_nodes }));
    /* More lines than clips are of no use, where no others can come. */
    if (!g->outlook.more && g->outlook.clips < g->roles.lines)
        roles_limit(&g->roles, (int)g->outlook.clips);
    return ST_OK;
}

/* Rank 0's choice is everyone's: machines may differ. */
static status share_choice(struct group *t, int choice[2])
{
    char *bytes = (char *)choice;
    size_t len = 2 * sizeof *choice;

    TRY(comm_broadcast(t->world, 0, &bytes, &len));
    if (t->world->rank == 0) return ST_OK;
    memcpy(choice, bytes, 2 * sizeof *choice);
    free(bytes);
    return make_roles(t, choice);
}

status engine_assign_roles(struct group *t)
{
    const struct engine_options *const o = t->rank->o;
    bool const open = t->world->size > 1 && (!o->ranks_per_line || o->decode_ranks < 0);
    int choice[2] = { o->ranks_per_line, o->decode_ranks };
    status st = ST_OK;

    if (t->world->size == 1) choice[0] = 1, choice[1] = 0;
    if (t->world->rank == 0) {
        if (open) st = ask_planner(t, choice);
        if (st == ST_OK) st = make_roles(t, choice);
    }
    TRY(group_agree(t, st));
    TRY(share_choice(t, choice));
    t->me = &t->g.roles.rank[t->world->rank];
    return ST_OK;
}
