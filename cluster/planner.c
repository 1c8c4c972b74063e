#include "cluster/planner.h"

#include <stdlib.h>

static void add_bytes(struct plan *out, const struct plan_query *q, const struct roles *r,
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
static status cast(struct roles *roles, int *node, const struct plan_query *q, int ranks_per_line,
                   int decode_ranks)
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
    if (!q->node) TRY(topo_nodes(&q->model->topo, q->ranks, node));
    for (int i = 0; q->node && i < q->ranks; i++) node[i] = q->node[i];
    return roles_make(roles, &c);
}

status planner_run(struct plan *p, const struct plan_query *q)
{
    struct roles *const roles = malloc(sizeof *roles);
    int node[ROLES_RANKS];
    status st = ST_OK;

    if (!roles) return fail(ST_NOMEM, "plan: no memory");
    TRY_OUT(cast(roles, node, q, p->ranks_per_line, p->decode_ranks));
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
    TRY(cast(roles, node, q, ranks_per_line, decode_ranks));
    cost_of(&out->cost, q->model, roles, node);
    out->idle = roles->idle;
    add_bytes(out, q, roles, node);
    return ST_OK;
}

/* 1: a is larger; -1: b is; 0: no difference that the model can tell. */
static int compare_up(double a, double b)
{
    double const hair = 0.01;

    if (a > b * (1 + hair)) return 1;
    return b > a * (1 + hair) ? -1 : 0;
}

static bool faster(const struct plan *a, const struct plan *b, enum plan_goal goal)
{
    int const frames = compare_up(a->cost.frames, b->cost.frames);
    int const first = compare_up(b->cost.first, a->cost.first);
    int const order[] = { goal == PLAN_LATENCY ? first : frames, b->idle - a->idle,
                          goal == PLAN_LATENCY ? frames : first };

    for (int i = 0; i < COUNT_OF(order); i++)
        if (order[i] != 0) return order[i] > 0;
    return a->node_bytes < b->node_bytes;
}

static bool exists(const struct plan *p) { return p->ranks_per_line > 0; }

static bool better(const struct plan *a, const struct plan *b, enum plan_goal goal)
{
    if (!exists(b)) return true;
    if (a->fits != b->fits) return a->fits;
    return a->fits ? faster(a, b, goal) : a->rank_bytes < b->rank_bytes;
}

static void keep(struct plan *at, const struct plan *p, enum plan_goal goal)
{
    if (better(p, at, goal)) *at = *p;
}

static int last_decode(const struct plan_query *q, int ranks_per_line)
{
    int const of_lines = ROLES_CHAIN * (q->ranks / ranks_per_line);
    int const left = q->ranks - ranks_per_line;

    if (q->decode_ranks >= 0) return q->decode_ranks;
    if (left < 0) return 0; /* refused by roles_make */
    return left < of_lines ? left : of_lines;
}

/* Every choice of the query that has roles, to `take`. The last refusal stays in the
 * error record. */
static status try_all(struct planner *out, const struct plan_query *q,
                      void (*take)(struct planner *, const struct plan *, enum plan_goal))
{
    struct roles *const roles = malloc(sizeof *roles);
    int const stages = q->model->shape.stages;
    int const first = q->ranks_per_line > 0 ? q->ranks_per_line : 1;
    int const end = q->ranks_per_line > 0 ? first : stages < q->ranks ? stages : q->ranks;
    status st = ST_ARG;

    if (roles == NULL) return fail(ST_NOMEM, "plan: no memory");
    for (int r = first; r <= end; r++)
        for (int d = q->decode_ranks > 0 ? q->decode_ranks : 0; d <= last_decode(q, r); d++) {
            struct plan p;
            if (planner_try(&p, roles, q, r, d) != ST_OK) continue;
            take(out, &p, q->goal);
            st = ST_OK;
        }
    free(roles);
    return st;
}

static void take_best(struct planner *out, const struct plan *p, enum plan_goal goal)
{
    keep(&out->best, p, goal);
    keep(p->ranks_per_line > 1 ? &out->line : &out->replicas, p, goal);
}

static void take_others(struct planner *out, const struct plan *p, enum plan_goal goal)
{
    if (p->ranks_per_line != out->best.ranks_per_line && p->fits) keep(&out->next, p, goal);
    if (p->fits || !faster(p, &out->best, goal)) return;
    if (!exists(&out->larger) || faster(p, &out->larger, goal)) out->larger = *p;
}

status planner_choose(struct planner *out, const struct plan_query *q)
{
    *out = (struct planner){ 0 };
    if (q->ranks < 1 || q->ranks > ROLES_RANKS)
        return fail(ST_ARG, "%d ranks; 1 to %d are allowed", q->ranks, ROLES_RANKS);
    TRY(try_all(out, q, take_best));
    return try_all(out, q, take_others);
}

void planner_name(struct text *out, const struct plan *p)
{
    text_addf(out, "%d rank%s per line", p->ranks_per_line, p->ranks_per_line == 1 ? "" : "s");
    if (p->decode_ranks == 0) text_addf(out, ", decoding beside");
    else text_addf(out, ", %d decode rank%s", p->decode_ranks, p->decode_ranks == 1 ? "" : "s");
}

static void add_pace(struct text *out, const struct plan *p, enum plan_goal goal)
{
    if (goal == PLAN_LATENCY) text_addf(out, "first pictures after %.3g s", p->cost.first);
    else text_addf(out, "%.3g frames/s", p->cost.frames);
}

static double gib(uint64_t bytes) { return (double)bytes / (1 << 30); }

static void add_need(struct text *out, const struct plan *p, const struct topo *t)
{
    if (t->kind == TOPO_GPU)
        text_addf(out, "%.1f GiB on a GPU of %.1f GiB", gib(p->rank_bytes), gib(t->memory));
    else text_addf(out, "%.1f GiB on a machine of %.1f GiB", gib(p->node_bytes), gib(t->memory));
}

void planner_why(struct text *out, const struct planner *p, const struct plan_query *q)
{
    static const char *const bounds[] = { "its slowest rank", "decoding",
                                          "the cores of a machine" };
    const struct plan *const best = &p->best;

    planner_name(out, best);
    if (!best->fits) {
        text_addf(out, " needs least, and yet ");
        add_need(out, best, &q->model->topo);
        return;
    }
    text_addf(out, ": ");
    add_pace(out, best, q->goal);
    if (q->goal == PLAN_THROUGHPUT) text_addf(out, ", set by %s", bounds[best->cost.bound]);
    if (exists(&p->next)) {
        text_addf(out, "; ");
        planner_name(out, &p->next);
        text_addf(out, ": ");
        add_pace(out, &p->next, q->goal);
    }
    if (!exists(&p->larger)) return;
    text_addf(out, "; ");
    planner_name(out, &p->larger);
    text_addf(out, " would give ");
    add_pace(out, &p->larger, q->goal);
    text_addf(out, " and needs ");
    add_need(out, &p->larger, &q->model->topo);
}
