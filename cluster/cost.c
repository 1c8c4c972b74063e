/* cost.c - the steady state of a world: what a tick of each rank, line and decoder takes. */
#include "cluster/cost_internal.h"

/* A stage's pass with the keys of `seen` blocks; and what of it is attention to them. */
struct pass {
    double all, attention;
};

static struct pass pass_of(const struct cost_model *m, int stage, double seen)
{
    const struct cost_parts *const p = &m->parts;
    bool const clean = stage == m->shape.stages - 1;
    double const full = clean ? p->clean : p->noise,
                 alone = clean ? p->clean_alone : p->noise_alone;
    double const each = m->shape.attended > 1 ? (full - alone) / (m->shape.attended - 1) : 0;
    double const keys = seen < m->shape.attended ? seen : m->shape.attended;

    return (struct pass){ .all = full - each * (m->shape.attended - keys),
                          .attention = each * keys };
}

double cost_tick_compute(const struct cost_query *k, int place, const double seen[COST_STAGES])
{
    double s = 0;

    for (int i = 0; i < k->m->shape.stages; i++) {
        bool const own = i >= k->split.first[place] && i < k->split.first[place + 1];
        struct pass const p = pass_of(k->m, i, seen[i]);
        if (seen[i] <= 0) continue;
        if (k->m->shape.heads) s += p.attention / k->split.ranks + (own ? p.all - p.attention : 0);
        else s += own ? p.all : 0;
    }
    return s;
}

/* The first stage that blocks pass, but for a clip's first one. */
static int first_stage(const struct cost_shape *s)
{
    return s->one_by_one ? s->stages - 1 - s->usual : 0;
}

/* Of all stages of a rank, in the steady state. */
static double steady_passes(const struct cost_query *k, int place)
{
    double seen[COST_STAGES] = { 0 };

    for (int i = first_stage(&k->m->shape); i < k->m->shape.stages; i++)
        seen[i] = k->m->shape.attended;
    return cost_tick_compute(k, place, seen);
}

/* Of a line whose blocks stand alone, stage after stage: the slowest rank at each. */
static double passes_in_turn(const struct cost_query *k)
{
    double s = 0;

    for (int i = first_stage(&k->m->shape); i < k->m->shape.stages; i++) {
        double seen[COST_STAGES] = { 0 }, slowest = 0;
        seen[i] = k->m->shape.attended;
        for (int p = 0; p < k->split.ranks; p++)
            slowest = most(slowest, cost_tick_compute(k, p, seen));
        s += slowest;
    }
    return s;
}

/* The same while block 0 of a clip is at stage `newest`. */
static double first_block_passes(const struct cost_query *k, int place, int newest)
{
    bool const one = k->m->shape.one_by_one;
    double seen[COST_STAGES] = { 0 };

    for (int i = 0; i <= newest; i++) seen[i] = one ? i == newest : newest + 1;
    return cost_tick_compute(k, place, seen);
}

/* ---- what goes over the links ---- */

static int stages_of(const struct split *split, int rank)
{
    return split->first[rank + 1] - split->first[rank];
}

/* Stages whose keys and values go whole. */
static int stages_sent_whole(const struct cost_shape *s, const struct split *split, int from,
                             int to)
{
    bool const attends = split->first[to] < split->stages - 1;

    if (!attends) return 0;
    return s->one_by_one ? split->first[from + 1] == split->stages : stages_of(split, from);
}

struct cost_link cost_link(const struct cost_shape *s, const struct split *split, int from, int to)
{
    struct cost_link l = { .latents = to == from + 1 ? s->latent_bytes : 0 };

    if (from == to) return l;
    if (s->heads) {
        int const go = stages_of(split, from), come_back = stages_of(split, to);
        l.exchanged = ((s->kv_bytes + s->q_bytes) * go + s->q_bytes * come_back) / split->ranks;
        l.tensors = 3 * go + come_back;
    } else {
        int const go = stages_sent_whole(s, split, from, to);
        l.exchanged = s->kv_bytes * go;
        l.tensors = 2 * go;
    }
    l.exchanged *= s->layers;
    l.tensors *= s->layers;
    return l;
}

/* Into and out of a rank in a tick, from and to its own machine and others. */
struct traffic {
    double in[2], out[2]; /* bytes */
    double tensors;       /* in and out */
};
enum { WITHIN, BETWEEN };

static struct traffic traffic_of(const struct cost_query *k, const struct role_line *line,
                                 int place)
{
    const int *const node = k->node + line->first;
    struct traffic t = { 0 };

    for (int p = 0; p < line->ranks; p++) {
        int const way = node[p] == node[place] ? WITHIN : BETWEEN;
        struct cost_link const in = cost_link(&k->m->shape, &k->split, p, place);
        struct cost_link const out = cost_link(&k->m->shape, &k->split, place, p);
        t.in[way] += in.exchanged;
        t.out[way] += out.exchanged;
        t.tensors += in.tensors + out.tensors;
    }
    return t;
}

/* Seconds that the links take. */
static double wire_seconds(const struct cost_model *m, const struct traffic *t)
{
    double const a = most(t->in[WITHIN], t->out[WITHIN]) / m->topo.within;
    double const b = most(t->in[BETWEEN], t->out[BETWEEN]);

    return most(a, b > 0 ? b / m->topo.between : 0);
}

static double link_latency(const struct cost_model *m)
{
    return most(m->parts.latency, m->topo.latency);
}

struct cost_tick_exchange cost_tick_exchange(const struct cost_query *k,
                                             const struct role_line *line, int place)
{
    const struct cost_model *const m = k->m;
    const struct cost_parts *const p = &m->parts;
    struct traffic const t = traffic_of(k, line, place);
    double const in = t.in[WITHIN] + t.in[BETWEEN], out = t.out[WITHIN] + t.out[BETWEEN];
    double const links = wire_seconds(m, &t),
                 hidden = m->shape.heads ? 0 : p->hidden * steady_passes(k, place);
    int const rounds = m->shape.heads ? 2 : 1; /* there, and back */
    bool const measured = m->topo.kind == TOPO_CPU && p->byte > 0;
    struct cost_tick_exchange x = {
        .in = in, .out = out, .crossing = t.in[BETWEEN], .moving = links
    };

    if (line->ranks == 1) return x;
    /* Each end has half of the work. */
    if (measured) x.moving = (t.tensors * p->message + (in + out) * p->byte) / 2;
    x.exposed = measured ? x.moving / p->threads : most(0, links - hidden);
    x.exposed += rounds * m->shape.layers * link_latency(m);
    return x;
}

double cost_hand_over(const struct cost_model *m, const struct role_line *line)
{
    return line->ranks > 1 ? link_latency(m) + m->shape.latent_bytes / m->topo.within : 0;
}

/* A line's tick without its decoding; what its ranks do goes to the tasks of their
 * machines: at once, or where blocks go one by one, one after the other. */
static double tick_seconds(const struct cost_query *k, const struct role_line *line,
                           struct cost_tasks *tasks, struct cost *out)
{
    const struct cost_model *const m = k->m;
    int const threads = m->parts.threads;
    double slowest = 0, exposed = 0, works_all = 0;

    for (int p = 0; p < line->ranks; p++) {
        struct cost_tick_exchange const x = cost_tick_exchange(k, line, p);
        double const computes = steady_passes(k, p), works = computes + x.moving / threads;
        if (!m->shape.one_by_one) cost_task(tasks, k->node[line->first + p], works, threads);
        works_all += works;
        slowest = most(slowest, computes + x.exposed);
        exposed += x.exposed;
        out->exposed = most(out->exposed, x.exposed);
        out->receive = most(out->receive, x.in);
        out->send = most(out->send, x.out);
        out->crossing += x.crossing;
    }
    if (m->shape.one_by_one) cost_task(tasks, k->node[line->first], works_all, threads);
    return (m->shape.one_by_one ? passes_in_turn(k) + exposed : slowest) + cost_hand_over(m, line);
}

static double chain_share(const struct cost_model *m, int ranks)
{
    if (ranks < 1) return 1;
    return m->shape.slowest[(ranks < ROLES_CHAIN ? ranks : ROLES_CHAIN) - 1];
}

double cost_decode_seconds(const struct cost_query *k, int line)
{
    const struct cost_parts *const p = &k->m->parts;
    int const ranks = k->r->line[line].decode_ranks;
    int const lines = ranks > 0 ? k->r->rank[cost_decoder_rank(k, line)].lines : 1;

    return lines * most(p->decode * chain_share(k->m, ranks), p->encode);
}

bool cost_decodes_in_turn(const struct cost_query *k, int line)
{
    return k->r->line[line].decode_ranks == 0 && k->m->topo.kind == TOPO_GPU;
}

/* Lines that have something to do. */
static int count_busy_lines(const struct cost_query *k)
{
    int const clips = k->m->shape.clips;
    return clips > 0 && clips < k->r->lines ? clips : k->r->lines;
}

static double tail_pace(const struct cost_query *k, int line)
{
    const struct role_line *const l = &k->r->line[line];
    int const place = roles_tail(k->r, line) - l->first;

    if (!cost_decodes_in_turn(k, line)) return 0;
    return k->m->parts.decode + steady_passes(k, place);
}

/* On CPUs, until all that a line's machines share is done. */
static double cores_pace(const struct cost_query *k, const struct role_line *l,
                         const double shared[ROLES_RANKS])
{
    double s = 0;

    if (k->m->topo.kind == TOPO_GPU) return 0;
    for (int p = 0; p < l->ranks; p++) s = most(s, shared[k->node[l->first + p]]);
    return s;
}

/* From the prompt to the first line's first pictures: block 0 passes the noise stages. */
static double first_pictures(const struct cost_query *k)
{
    const struct cost_model *const m = k->m;
    double s = m->parts.text + m->parts.decode + m->parts.encode;

    for (int i = m->shape.stages - 1 - m->shape.opening; i < m->shape.stages - 1; i++) {
        struct cost_tasks tasks = { 0 };
        double shared[ROLES_RANKS], tick = 0;
        for (int l = 0; l < count_busy_lines(k); l++)
            for (int p = 0; p < k->r->line[l].ranks; p++) {
                double const computes = first_block_passes(k, p, i);
                cost_task(&tasks, k->node[k->r->line[l].first + p], computes, m->parts.threads);
                if (l == 0) tick = most(tick, computes);
            }
        cost_share_cores(&tasks, m->topo.devices, shared);
        s += most(tick, cores_pace(k, &k->r->line[0], shared));
    }
    return s;
}

void cost_of(struct cost *out, const struct cost_model *m, const struct roles *r, const int *node)
{
    struct cost_query k = { .m = m, .r = r, .node = node };
    struct cost_tasks tasks = { 0 };
    double tick[ROLES_RANKS], shared[ROLES_RANKS];
    bool does[ROLES_RANKS] = { false };

    *out = (struct cost){ 0 };
    if (split_make(&k.split, m->shape.stages, r->line[0].ranks) != ST_OK) return;
    int const lines = count_busy_lines(&k);
    for (int l = 0; l < lines; l++) {
        tick[l] = tick_seconds(&k, &r->line[l], &tasks, out);
        does[l] = true;
    }
    cost_add_pictures(&k, &tasks, does);
    cost_share_cores(&tasks, m->topo.devices, shared);
    for (int l = 0; l < lines; l++) {
        double const line = most(tick[l], tail_pace(&k, l)), decode = cost_decode_seconds(&k, l);
        double const block = most(most(line, decode), cores_pace(&k, &r->line[l], shared));
        out->frames += m->shape.pictures / block;
        out->tick = most(out->tick, tick[l]);
        if (block <= out->block) continue;
        out->block = block;
        out->bound = block <= line ? COST_LINE : block <= decode ? COST_DECODE : COST_CORES;
    }
    out->rough = r->line[0].ranks > 1 && (m->shape.layers + 1) * link_latency(m) > 0.1 * out->tick;
    out->first = first_pictures(&k);
}
