/* cost_run.c - the model over every tick of given clips. */
#include "cluster/cost_internal.h"

#include <stdlib.h>

/* A block of a line's queue: which of its clip, and how many that has; when it is at the clean
 * stage, and from which stage on it is in the line. */
struct queued {
    int64_t block, of, clean;
    int first;
};

struct line_run {
    struct queued *queue;
    int64_t blocks;
    double seconds; /* so far */
    double tick;    /* of this tick: what its own ranks need */
};

struct run {
    struct cost_query k;
    int lines;
    struct line_run line[ROLES_RANKS];
    bool decodes[ROLES_RANKS]; /* in this tick */
    struct cost_tasks tasks;   /* of this tick */
    double work;               /* seconds of cores so far */
};

static int next_line(const struct run *n)
{
    int64_t blocks[ROLES_RANKS];

    for (int l = 0; l < n->lines; l++) blocks[l] = n->line[l].blocks;
    return roles_next_line(blocks, n->lines);
}

/* Behind the one before: a tick later, or one by one when that has had its clean pass. */
static void add_block(struct line_run *l, const struct cost_shape *s, int64_t block, int64_t of)
{
    int const all = s->stages - 1, levels = s->one_by_one ? (block ? s->usual : s->opening) : all;
    int64_t const before = l->blocks ? l->queue[l->blocks - 1].clean : s->one_by_one ? -1 : all - 1;

    l->queue[l->blocks++] = (struct queued){
        .block = block,
        .of = of,
        .clean = before + 1 + (s->one_by_one ? levels : 0),
        .first = all - levels,
    };
}

static status queue_clip(struct line_run *l, const struct cost_shape *s, int64_t blocks)
{
    size_t const count = (size_t)(l->blocks + blocks);
    struct queued *const more = realloc(l->queue, count * sizeof *more);

    if (!more) return fail(ST_NOMEM, "cost: no memory for %zu blocks of a line", count);
    l->queue = more;
    for (int64_t i = 0; i < blocks; i++) add_block(l, s, i, blocks);
    return ST_OK;
}

/* From the first tick until the last block is finished. */
static int64_t line_ticks(const struct line_run *l)
{
    return l->blocks ? l->queue[l->blocks - 1].clean : 0;
}

/* What stands at a stage; NULL: nothing. A clip's last block needs no clean pass. */
static const struct queued *block_at(const struct run *n, const struct line_run *l, int64_t tick,
                                     int stage)
{
    int const last = n->k.m->shape.stages - 1;
    int64_t const clean = tick + last - stage;
    int64_t low = 0, high = l->blocks; /* all before low are there earlier, none from high on */

    while (low < high) {
        int64_t const mid = low + (high - low) / 2;
        if (l->queue[mid].clean < clean) low = mid + 1;
        else high = mid;
    }
    if (low == l->blocks || l->queue[low].clean != clean) return NULL;
    const struct queued *const q = &l->queue[low];
    return stage < q->first || (stage == last && q->block == q->of - 1) ? NULL : q;
}

/* Blocks of the clip whose keys there are: the clean pass sees those before it, blocks in
 * the line see all up to the newest. */
static double keys_seen(const struct cost_shape *s, const struct queued *q, int stage)
{
    int64_t newest = q->block;

    if (stage < s->stages - 1 && !s->one_by_one) newest += stage;
    return (double)(newest < q->of ? newest + 1 : q->of);
}

/* The ranks of a line in one tick; what they do goes to the tasks of their machines. */
static void pass_line(struct run *n, int line, int64_t tick)
{
    const struct cost_model *const m = n->k.m;
    const struct role_line *const roles = &n->k.r->line[line];
    struct line_run *const l = &n->line[line];
    int const threads = m->parts.threads;
    double seen_at[COST_STAGES] = { 0 };
    int busy = 0;

    for (int i = 0; i < m->shape.stages; i++) {
        const struct queued *const q = block_at(n, l, tick, i);
        if (q) seen_at[i] = keys_seen(&m->shape, q, i);
        busy += q != NULL;
    }
    double const part = (double)busy / m->shape.stages;
    for (int p = 0; p < roles->ranks; p++) {
        struct cost_tick_exchange const x = cost_tick_exchange(&n->k, roles, p);
        double const computes = cost_tick_compute(&n->k, p, seen_at);
        cost_task(&n->tasks, n->k.node[roles->first + p], computes + x.moving * part / threads,
                  threads);
        l->tick = most(l->tick, computes + x.exposed * part);
    }
    l->tick += cost_hand_over(m, roles);
}

/* The block that left in the tick before. */
static void decode_line(struct run *n, int line, int64_t tick)
{
    struct line_run *const l = &n->line[line];

    n->decodes[line] = block_at(n, l, tick - 1, n->k.m->shape.stages - 2) != NULL;
    if (!n->decodes[line]) return;
    if (cost_decodes_in_turn(&n->k, line)) l->tick += n->k.m->parts.decode;
    l->tick = most(l->tick, cost_decode_seconds(&n->k, line));
}

/* All lines, at the same tick; what follows a line's last one is its decoding. */
static void run_all_lines(struct run *n, int64_t tick)
{
    const struct cost_model *const m = n->k.m;
    double shared[ROLES_RANKS];

    n->tasks.count = 0;
    for (int l = 0; l < n->lines; l++) {
        n->line[l].tick = 0;
        if (tick < line_ticks(&n->line[l])) pass_line(n, l, tick);
        decode_line(n, l, tick);
    }
    cost_add_pictures(&n->k, &n->tasks, n->decodes);
    for (int i = 0; i < n->tasks.count; i++)
        n->work += n->tasks.task[i].seconds * n->tasks.task[i].threads;
    cost_share_cores(&n->tasks, m->topo.devices, shared);
    for (int l = 0; l < n->lines; l++) {
        const struct role_line *const roles = &n->k.r->line[l];
        if (tick > line_ticks(&n->line[l])) continue;
        for (int p = 0; m->topo.kind == TOPO_CPU && p < roles->ranks; p++)
            n->line[l].tick = most(n->line[l].tick, shared[n->k.node[roles->first + p]]);
        n->line[l].seconds += n->line[l].tick;
    }
}

static status make_queues(struct run *n)
{
    const struct cost_shape *const s = &n->k.m->shape;

    if (!s->blocks) return fail(ST_ARG, "cost: the clips' blocks are not known");
    for (int i = 0; i < s->clips; i++) TRY(queue_clip(&n->line[next_line(n)], s, s->blocks[i]));
    return ST_OK;
}

status cost_run(struct cost *out, const struct cost_model *m, const struct roles *r,
                const int *node)
{
    struct run *const n = calloc(1, sizeof *n);
    int64_t ticks = 0;
    status st = ST_OK;

    if (!n) return fail(ST_NOMEM, "cost: no memory");
    n->k = (struct cost_query){ .m = m, .r = r, .node = node };
    n->lines = r->lines;
    TRY_OUT(split_make(&n->k.split, m->shape.stages, r->line[0].ranks));
    TRY_OUT(make_queues(n));
    for (int l = 0; l < n->lines; l++)
        if (line_ticks(&n->line[l]) > ticks) ticks = line_ticks(&n->line[l]);
    for (int64_t t = 0; t <= ticks; t++) run_all_lines(n, t);
    out->all = 0;
    out->work = n->work;
    for (int l = 0; l < n->lines; l++)
        out->all = most(out->all, n->line[l].seconds + m->parts.encode);
out:
    for (int l = 0; l < n->lines; l++) free(n->line[l].queue);
    free(n);
    return st;
}
