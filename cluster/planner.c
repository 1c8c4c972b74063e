/*
 * planner.c - every split of a world into lines and decoders is costed, and the best is kept.
 *
 * There are few enough to try all of them. Choosing is narrowing: from those within 1 % of the best
 * by the goal, those within 1 % by the next criterion, and so on (planner.h), and the first left
 * in a fixed order wins; so equal inputs choose equally on every rank.
 */
#include "cluster/planner.h"

#include "cluster/split.h"

#include <math.h>
#include <stdlib.h>

static void set_memory(struct plan *out, const struct plan_query *q, const struct roles *r,
                       const int *node)
{
    const struct topo *const t = &q->model->topo;
    uint64_t on_node[ROLES_RANKS] = { 0 };

    for (int i = 0; q->bytes && i < r->ranks; i++) {
        uint64_t const bytes = q->bytes(q->arg, r, i);
        on_node[node[i]] += bytes;
        if (bytes > out->rank_bytes) out->rank_bytes = bytes;
        if (on_node[node[i]] > out->node_bytes) out->node_bytes = on_node[node[i]];
    }
    out->fits =
        t->memory == 0 || (t->kind == TOPO_GPU ? out->rank_bytes : out->node_bytes) <= t->memory;
}

/* node: [ROLES_RANKS], filled unless the query says. */
static status make_roles(struct roles *roles, int *node, const struct plan_query *q,
                         int ranks_per_line, int decode_ranks)
{
    struct roles_config const c = {
        .ranks = q->ranks,
        .stages = q->model->shape.stages,
        .ranks_per_line = ranks_per_line,
        .decode_ranks = decode_ranks,
        .node = node,
        .cross_nodes = q->cross_nodes,
    };

    if (q->ranks < 1 || q->ranks > ROLES_RANKS)
        return fail(ST_ARG, "%d ranks; 1 to %d are allowed", q->ranks, ROLES_RANKS);
    if (q->model->shape.heads) TRY(split_heads(q->model->shape.heads, ranks_per_line));
    if (!q->node) TRY(topo_nodes(&q->model->topo, q->ranks, node));
    for (int i = 0; q->node && i < q->ranks; i++) node[i] = q->node[i];
    TRY(roles_make(roles, &c));
    roles_limit(roles, q->model->shape.clips);
    return ST_OK;
}

status planner_run(struct plan *p, const struct plan_query *q)
{
    struct roles *const roles = malloc(sizeof *roles);
    int node[ROLES_RANKS];
    status st = ST_OK;

    if (!roles) return fail(ST_NOMEM, "plan: no memory");
    TRY_OUT(make_roles(roles, node, q, p->ranks_per_line, p->decode_ranks));
    TRY_OUT(cost_run(&p->cost, q->model, roles, node));
out:
    free(roles);
    return st;
}

status planner_try(struct plan *out, struct roles *roles, const struct plan_query *q,
                   int ranks_per_line, int decode_ranks)
{
    int node[ROLES_RANKS];

    *out = (struct plan){ .ranks_per_line = ranks_per_line, .decode_ranks = decode_ranks };
    TRY(make_roles(roles, node, q, ranks_per_line, decode_ranks));
    cost_of(&out->cost, q->model, roles, node);
    out->idle = roles->idle;
    set_memory(out, q, roles, node);
    return ST_OK;
}

static bool is_plan(const struct plan *p) { return p->ranks_per_line > 0; }

/* Higher is better. */
static double plan_worth(const struct plan *p, enum plan_by by, enum plan_goal goal)
{
    switch (by) {
    case PLAN_BY_GOAL: return goal == PLAN_LATENCY ? 1 / p->cost.first : p->cost.frames;
    case PLAN_BY_IDLE: return -p->idle;
    case PLAN_BY_OTHER: return goal == PLAN_LATENCY ? p->cost.frames : 1 / p->cost.first;
    default: return -(double)p->node_bytes;
    }
}

/* Less than this is no difference that the model can tell. */
static double least_alike(double best, enum plan_by by)
{
    return by == PLAN_BY_GOAL || by == PLAN_BY_OTHER ? best / 1.01 : best;
}

/* All that the query allows, in a fixed order. */
struct field {
    enum plan_goal goal;
    struct plan *plan;
    int plans;
};

/* Of those that are left: only who is as good as the best. Was anyone worse? */
static bool keep_best(const struct field *f, bool *left, enum plan_by by)
{
    double best = -INFINITY;
    bool narrowed = false;

    for (int i = 0; i < f->plans; i++)
        if (left[i]) best = fmax(best, plan_worth(&f->plan[i], by, f->goal));
    for (int i = 0; i < f->plans; i++)
        if (left[i] && plan_worth(&f->plan[i], by, f->goal) < least_alike(best, by))
            left[i] = false, narrowed = true;
    return narrowed;
}

/* The best of those left; none left: as it was. Says what decided. */
static enum plan_by pick_best(struct plan *out, const struct field *f, bool *left)
{
    enum plan_by decided = PLAN_BY_GOAL;

    for (enum plan_by by = PLAN_BY_GOAL; by <= PLAN_BY_MEMORY; by++)
        if (keep_best(f, left, by)) decided = by;
    for (int i = 0; i < f->plans; i++)
        if (left[i]) {
            *out = f->plan[i];
            break;
        }
    return decided;
}

/* Of so many ranks per line; where nothing fits, what needs least. */
static enum plan_by pick_fitting(struct plan *out, const struct field *f, bool *left, int least,
                                 int most)
{
    const struct plan *smallest = NULL;
    bool any = false;

    for (int i = 0; i < f->plans; i++) {
        const struct plan *const p = &f->plan[i];
        bool const of_set = p->ranks_per_line >= least && p->ranks_per_line <= most;
        left[i] = of_set && p->fits;
        any |= left[i];
        if (of_set && (!smallest || p->rank_bytes < smallest->rank_bytes)) smallest = p;
    }
    if (any) return pick_best(out, f, left);
    if (smallest) *out = *smallest;
    return PLAN_BY_MEMORY;
}

static void pick_next(struct planner *out, const struct field *f, bool *left)
{
    for (int i = 0; i < f->plans; i++)
        left[i] = f->plan[i].fits && f->plan[i].ranks_per_line != out->best.ranks_per_line;
    pick_best(&out->next, f, left);
}

static void pick_larger(struct planner *out, const struct field *f, bool *left)
{
    double const best = plan_worth(&out->best, PLAN_BY_GOAL, f->goal);

    for (int i = 0; i < f->plans; i++)
        left[i] = !f->plan[i].fits &&
                  best < least_alike(plan_worth(&f->plan[i], PLAN_BY_GOAL, f->goal), PLAN_BY_GOAL);
    pick_best(&out->larger, f, left);
}

static int last_decode(const struct plan_query *q, int ranks_per_line)
{
    int const of_lines = ROLES_CHAIN * (q->ranks / ranks_per_line);
    int const left = q->ranks - ranks_per_line;

    if (q->decode_ranks >= 0) return q->decode_ranks;
    if (left < 0) return 0; /* refused by roles_make */
    return left < of_lines ? left : of_lines;
}

static int first_line(const struct plan_query *q)
{
    return q->ranks_per_line > 0 ? q->ranks_per_line : 1;
}

static int last_line(const struct plan_query *q)
{
    int const stages = q->model->shape.stages;

    if (q->ranks_per_line > 0) return q->ranks_per_line;
    return stages < q->ranks ? stages : q->ranks;
}

static int first_decode(const struct plan_query *q)
{
    return q->decode_ranks > 0 ? q->decode_ranks : 0;
}

/* The last refusal stays in the error record. */
static status try_all(struct field *f, const struct plan_query *q)
{
    struct roles *const roles = malloc(sizeof *roles);
    int room = 1;

    for (int r = first_line(q); r <= last_line(q); r++)
        room += last_decode(q, r) - first_decode(q) + 1;
    f->plan = calloc((size_t)room, sizeof *f->plan);
    if (!roles || !f->plan) {
        free(roles);
        return fail(ST_NOMEM, "plan: no memory");
    }
    for (int r = first_line(q); r <= last_line(q); r++)
        for (int d = first_decode(q); d <= last_decode(q, r); d++)
            f->plans += planner_try(&f->plan[f->plans], roles, q, r, d) == ST_OK;
    free(roles);
    return f->plans ? ST_OK : ST_ARG;
}

status planner_choose(struct planner *out, const struct plan_query *q)
{
    struct field f = { .goal = q->goal };
    bool *left = NULL;
    status st = ST_OK;

    *out = (struct planner){ 0 };
    if (q->ranks < 1 || q->ranks > ROLES_RANKS)
        return fail(ST_ARG, "%d ranks; 1 to %d are allowed", q->ranks, ROLES_RANKS);
    TRY_OUT(try_all(&f, q));
    left = calloc((size_t)f.plans, sizeof *left);
    if (!left) FAIL_OUT(ST_NOMEM, "plan: no memory");
    out->decided = pick_fitting(&out->best, &f, left, 1, SPLIT_RANKS);
    pick_fitting(&out->line, &f, left, 2, SPLIT_RANKS);
    pick_fitting(&out->replicas, &f, left, 1, 1);
    pick_next(out, &f, left);
    pick_larger(out, &f, left);
out:
    free(f.plan);
    free(left);
    return st;
}

/* "6 ranks per line, 2 decode ranks" */
static void add_plan_name(struct strbuf *out, const struct plan *p)
{
    strbuf_addf(out, "%d rank%s per line", p->ranks_per_line, p->ranks_per_line == 1 ? "" : "s");
    if (p->decode_ranks == 0) strbuf_addf(out, ", decoding beside");
    else strbuf_addf(out, ", %d decode rank%s", p->decode_ranks, p->decode_ranks == 1 ? "" : "s");
}

static void add_pace(struct strbuf *out, const struct plan *p, enum plan_goal goal)
{
    if (goal == PLAN_LATENCY) strbuf_addf(out, "first pictures after %.3g s", p->cost.first);
    else strbuf_addf(out, "%.3g frames/s", p->cost.frames);
}

static void add_need(struct strbuf *out, const struct plan *p, const struct topo *t)
{
    if (t->kind == TOPO_GPU)
        strbuf_addf(out, "%.1f GiB on a GPU of %.1f GiB", bytes_gib(p->rank_bytes),
                    bytes_gib(t->memory));
    else
        strbuf_addf(out, "%.1f GiB on a machine of %.1f GiB", bytes_gib(p->node_bytes),
                    bytes_gib(t->memory));
}

void planner_why(struct strbuf *out, const struct planner *p, const struct plan_query *q)
{
    static const char *const bounds[] = { "its slowest rank", "decoding",
                                          "the cores of a machine" };
    static const char *const ties[][PLAN_BY_MEMORY + 1] = {
        [PLAN_THROUGHPUT] = { "", "leaves fewest ranks idle", "shows the first pictures soonest",
                              "needs least memory" },
        [PLAN_LATENCY] = { "", "leaves fewest ranks idle", "makes most frames/s",
                           "needs least memory" },
    };
    const struct plan *const best = &p->best;

    add_plan_name(out, best);
    if (!best->fits) {
        strbuf_addf(out, " needs the least memory, but still ");
        add_need(out, best, &q->model->topo);
        return;
    }
    strbuf_addf(out, ": ");
    add_pace(out, best, q->goal);
    if (q->goal == PLAN_THROUGHPUT) strbuf_addf(out, ", set by %s", bounds[best->cost.bound]);
    if (is_plan(&p->next)) {
        strbuf_addf(out, "; ");
        add_plan_name(out, &p->next);
        strbuf_addf(out, ": ");
        add_pace(out, &p->next, q->goal);
    }
    if (p->decided != PLAN_BY_GOAL)
        strbuf_addf(out, "; of those within 1 %% of the best it %s", ties[q->goal][p->decided]);
    if (!is_plan(&p->larger)) return;
    strbuf_addf(out, "; ");
    add_plan_name(out, &p->larger);
    strbuf_addf(out, " would give ");
    add_pace(out, &p->larger, q->goal);
    strbuf_addf(out, " and needs ");
    add_need(out, &p->larger, &q->model->topo);
}
