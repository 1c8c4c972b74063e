#include "cluster/cost.h"

#include "cluster/split.h"

static double most(double a, double b) { return a > b ? a : b; }

/* Sums over the ranks of one machine. */
struct load {
    double work;              /* seconds of cores per block */
    double fill[SPLIT_RANKS]; /* the same while block 0 is at stage i */
};

struct reckon {
    const struct cost_model *m;
    const struct roles *r;
    const int *node;
    struct split split;
    struct load load[ROLES_RANKS]; /* by machine */
};

static double pass(const struct cost_model *m, int stage)
{
    return stage == m->shape.stages - 1 ? m->parts.clean : m->parts.noise;
}

/* Seconds of a rank's passes while only stages up to `newest` hold a block. */
static double passes(const struct reckon *k, int place, int newest)
{
    double s = 0;

    for (int i = k->split.first[place]; i < k->split.first[place + 1]; i++)
        if (i <= newest && (!k->m->shape.one_by_one || i == newest)) s += pass(k->m, i);
    return s;
}

/* Only noise stages attend to keys of other stages. */
static bool attends(const struct reckon *k, int place)
{
    return k->split.first[place] < k->m->shape.stages - 1;
}

/* Bytes of a block into and out of a rank, from and to its own machine and others. */
struct traffic {
    double in[2], out[2];
};
enum { WITHIN, BETWEEN };

/* Keys and values that leave a rank in the time of a block, in blocks: of all its
 * stages, or where blocks go one by one, of the clean stage alone. */
static int leaving(const struct reckon *k, int place)
{
    if (!k->m->shape.one_by_one) return k->split.first[place + 1] - k->split.first[place];
    return k->split.first[place + 1] == k->m->shape.stages;
}

static struct traffic exchange(const struct reckon *k, const struct role_line *line, int place)
{
    double const block = k->m->shape.kv_bytes * k->m->shape.layers;
    const int *const node = k->node + line->first;
    struct traffic t = { 0 };

    for (int p = 0; p < line->ranks; p++) {
        int const way = node[p] == node[place] ? WITHIN : BETWEEN;
        if (p == place) continue;
        if (attends(k, place)) t.in[way] += block * leaving(k, p);
        if (attends(k, p)) t.out[way] += block * leaving(k, place);
    }
    return t;
}

static double seconds_of(const struct cost_model *m, const struct traffic *t)
{
    double const a = most(t->in[WITHIN], t->out[WITHIN]) / m->topo.within;
    double const b = most(t->in[BETWEEN], t->out[BETWEEN]);

    return most(a, b > 0 ? b / m->topo.between : 0);
}

/* A line's tick without its decoding; what its ranks do goes onto their machines. */
static double line_tick(struct reckon *k, const struct role_line *line, struct cost *out)
{
    const struct cost_model *const m = k->m;
    int const last = m->shape.stages - 1, threads = m->parts.threads;
    double slowest = 0, sum = 0;

    for (int p = 0; p < line->ranks; p++) {
        struct load *const load = &k->load[k->node[line->first + p]];
        struct traffic const t = exchange(k, line, p);
        double const wire = seconds_of(m, &t);
        double computes = 0, exposed = 0;
        for (int i = k->split.first[p]; i < k->split.first[p + 1]; i++) computes += pass(m, i);
        if (line->ranks > 1)
            exposed =
                most(0, wire - m->parts.hidden * computes) + m->shape.layers * m->topo.latency;
        load->work += computes * threads + wire;
        for (int i = 0; i < last; i++) load->fill[i] += passes(k, p, i) * threads;
        slowest = most(slowest, computes + exposed);
        sum += computes + exposed;
        out->exposed = most(out->exposed, exposed);
        out->receive = most(out->receive, t.in[WITHIN] + t.in[BETWEEN]);
        out->send = most(out->send, t.out[WITHIN] + t.out[BETWEEN]);
        out->crossing += t.in[BETWEEN];
    }
    double const moves =
        line->ranks > 1 ? m->topo.latency + m->shape.latent_bytes / m->topo.within : 0;
    return (m->shape.one_by_one ? sum : slowest) + moves;
}

static double chain_share(const struct cost_model *m, int ranks)
{
    if (ranks < 1) return 1;
    return m->shape.slowest[(ranks < ROLES_CHAIN ? ranks : ROLES_CHAIN) - 1];
}

/* Seconds from block to block that a line's decoder allows. */
static double decode_pace(struct reckon *k, int line)
{
    const struct cost_parts *const p = &k->m->parts;
    const struct role_line *const l = &k->r->line[line];
    int const at = l->decode_ranks > 0 ? l->decode : roles_tail(k->r, line, k->m->shape.stages);
    int const lines = l->decode_ranks > 0 ? k->r->rank[at].lines : 1;

    k->load[k->node[at]].work += p->decode * p->threads + p->encode;
    return lines * most(p->decode * chain_share(k->m, l->decode_ranks), p->encode);
}

/* A GPU that decodes beside its stages does one after the other. */
static double tail_pace(const struct reckon *k, int line)
{
    const struct role_line *const l = &k->r->line[line];
    int const place = roles_tail(k->r, line, k->m->shape.stages) - l->first;

    if (l->decode_ranks > 0 || k->m->topo.kind == TOPO_CPU) return 0;
    double s = k->m->parts.decode;
    for (int i = k->split.first[place]; i < k->split.first[place + 1]; i++) s += pass(k->m, i);
    return s;
}

/* On CPUs, what all ranks of the line's machines share. */
static double cores_pace(const struct reckon *k, const struct role_line *l)
{
    double s = 0;

    if (k->m->topo.kind == TOPO_GPU) return 0;
    for (int p = 0; p < l->ranks; p++)
        s = most(s, k->load[k->node[l->first + p]].work / k->m->topo.devices);
    return s;
}

/* From the prompt to the first line's first pictures: block 0 passes the noise stages. */
static double first_pictures(const struct reckon *k)
{
    const struct cost_model *const m = k->m;
    const struct role_line *const l = &k->r->line[0];
    double s = m->parts.text + m->parts.decode + m->parts.encode;

    for (int i = 0; i < m->shape.stages - 1; i++) {
        double tick = 0;
        for (int p = 0; p < l->ranks; p++) {
            double const shared = k->load[k->node[l->first + p]].fill[i] / m->topo.devices;
            tick = most(tick, passes(k, p, i));
            if (m->topo.kind == TOPO_CPU) tick = most(tick, shared);
        }
        s += tick;
    }
    return s;
}

void cost_of(struct cost *out, const struct cost_model *m, const struct roles *r, const int *node)
{
    struct reckon k = { .m = m, .r = r, .node = node };
    double tick[ROLES_RANKS], decode[ROLES_RANKS];

    *out = (struct cost){ 0 };
    if (split_make(&k.split, m->shape.stages, r->line[0].ranks) != ST_OK) return;
    int const clips = m->shape.clips, lines = clips > 0 && clips < r->lines ? clips : r->lines;
    for (int l = 0; l < lines; l++) {
        tick[l] = line_tick(&k, &r->line[l], out);
        decode[l] = decode_pace(&k, l);
    }
    for (int l = 0; l < lines; l++) {
        double const line = most(tick[l], tail_pace(&k, l));
        double const cores = cores_pace(&k, &r->line[l]);
        double const block = most(most(line, decode[l]), cores);
        out->frames += m->shape.pictures / block;
        out->tick = most(out->tick, tick[l]);
        if (block <= out->block) continue;
        out->block = block;
        out->bound = block <= line ? COST_LINE : block <= decode[l] ? COST_DECODE : COST_CORES;
    }
    out->first = first_pictures(&k);
    out->all = out->first + most(0, m->shape.blocks / lines - 1) * out->block;
}
