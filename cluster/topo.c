/* topo.c - machines described by a line of words, or this machine. */
#include "cluster/topo.h"

#include "base/pool.h"

#include <stdio.h>
#include <string.h>

enum { TOPO_TEXT = 4096 };

/* Speeds of links as others measured them. */
static const double memory_link = 8e9;   /* host memory to host memory, through a third place */
static const double pcie_link = 50e9;    /* PCIe 5.0 x16, large copies */
static const double nvlink_link = 370e9; /* H100, what NCCL reaches of 450 */
static const double ib_share = 0.98;     /* ConnectX-7 NDR: 49 of 50 GB/s */
static const double plain_network = 25e9 / 8; /* where nothing is said: 25 Gbit/s */
static const double latency_within = 5e-6, latency_between = 10e-6;

struct reader {
    const char *text, *at; /* at: the word in work */
    struct topo *out;
    int ib; /* Gbit/s; 0: not given */
    unsigned seen;
};

struct word;
typedef status (*word_take)(struct reader *r, const struct word *w, const char *value, int len);

struct word {
    const char *name;
    bool valued;
    word_take take;
    int max;
};

static int word_column(const struct reader *r) { return (int)(r->at - r->text) + 1; }

static int word_len(const char *at) { return (int)strcspn(at, " "); }

/* A whole number, digits only, at most nine of them. */
static bool parse_whole(const char *value, int len, int *out)
{
    *out = 0;
    if (len < 1 || len > 9) return false;
    for (int i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9') return false;
        *out = *out * 10 + (value[i] - '0');
    }
    return true;
}

static status take_number(struct reader *r, const struct word *w, const char *value, int len,
                          int *to)
{
    if (parse_whole(value, len, to) && *to >= 1 && *to <= w->max) return ST_OK;
    return fail(ST_ARG,
                "topology, column %d: `%.*s`; %s with a whole number from 1 to %d is allowed",
                word_column(r), word_len(r->at), r->at, w->name, w->max);
}

static status take_node(struct reader *r, const struct word *w, const char *value, int len)
{
    return take_number(r, w, value, len, &r->out->nodes);
}

static status take_devices(struct reader *r, const struct word *w, const char *value, int len)
{
    enum topo_kind const kind = w->name[0] == 'g' ? TOPO_GPU : TOPO_CPU;

    if (r->out->devices > 0)
        return fail(ST_ARG, "topology, column %d: `%.*s`; one of gpu:N and cpu:N is allowed",
                    word_column(r), word_len(r->at), r->at);
    r->out->kind = kind;
    return take_number(r, w, value, len, &r->out->devices);
}

static status take_threads(struct reader *r, const struct word *w, const char *value, int len)
{
    return take_number(r, w, value, len, &r->out->threads);
}

static status take_ib(struct reader *r, const struct word *w, const char *value, int len)
{
    return take_number(r, w, value, len, &r->ib);
}

static status take_link(struct reader *r, const struct word *w, const char *value, int len)
{
    (void)value, (void)len;
    if (r->out->link != TOPO_MEMORY)
        return fail(ST_ARG, "topology, column %d: `%.*s`; one of nvlink and pcie is allowed",
                    word_column(r), word_len(r->at), r->at);
    r->out->link = w->name[0] == 'n' ? TOPO_NVLINK : TOPO_PCIE;
    return ST_OK;
}

static status take_memory(struct reader *r, const struct word *w, const char *value, int len)
{
    static const char units[] = "MGT";
    const char *const unit = len > 3 ? strchr(units, value[len - 3]) : NULL;
    int count;

    if (unit == NULL || *unit == '\0' || memcmp(value + len - 2, "iB", 2) != 0 ||
        !parse_whole(value, len - 3, &count) || count < 1 || count > w->max)
        return fail(ST_ARG,
                    "topology, column %d: `%.*s`; %s with a whole number from 1 to %d and MiB, GiB "
                    "or TiB is allowed",
                    word_column(r), word_len(r->at), r->at, w->name, w->max);
    r->out->memory = (uint64_t)count << (20 + 10 * (int)(unit - units));
    return ST_OK;
}

static const struct word words[] = {
    { "node:", true, take_node, 256 },      { "gpu:", true, take_devices, 64 },
    { "cpu:", true, take_devices, 1024 },   { "threads:", true, take_threads, 1024 },
    { "mem:", true, take_memory, 1 << 20 }, { "nvlink", false, take_link, 0 },
    { "pcie", false, take_link, 0 },        { "ib:", true, take_ib, 10000 },
};

static status take_topo_word(struct reader *r)
{
    int const len = word_len(r->at);

    for (int i = 0; i < COUNT_OF(words); i++) {
        const struct word *const w = &words[i];
        int const name = (int)strlen(w->name);
        if (len < name || memcmp(r->at, w->name, (size_t)name) != 0) continue;
        if (!w->valued && len != name) continue;
        if (r->seen & 1u << i)
            return fail(ST_ARG, "topology, column %d: `%.*s`; %s is given twice", word_column(r),
                        len, r->at, w->name);
        r->seen |= 1u << i;
        return w->take(r, w, r->at + name, len - name);
    }
    return fail(ST_ARG,
                "topology, column %d: `%.*s`; node:N, gpu:N, cpu:N, threads:N, mem:SIZE, nvlink, "
                "pcie and ib:N are allowed",
                word_column(r), len, r->at);
}

static status check_topo(const struct reader *r)
{
    const struct topo *const t = r->out;

    if (t->devices == 0) return fail(ST_ARG, "topology `%s`: gpu:N or cpu:N is missing", r->text);
    if (t->kind == TOPO_GPU && t->threads > 0)
        return fail(ST_ARG, "topology `%s`: threads:N is allowed with cpu:N only", r->text);
    if (t->kind == TOPO_CPU && t->link != TOPO_MEMORY)
        return fail(ST_ARG, "topology `%s`: nvlink and pcie are allowed with gpu:N only", r->text);
    if (t->nodes == 1 && r->ib > 0)
        return fail(ST_ARG, "topology `%s`: ib:N is allowed with more than one node only", r->text);
    if (t->kind == TOPO_CPU && t->threads > t->devices)
        return fail(ST_ARG,
                    "topology `%s`: threads:%d; 1 to %d, the cores of a machine, are allowed",
                    r->text, t->threads, t->devices);
    return ST_OK;
}

static void set_speeds(struct topo *t, int ib)
{
    if (t->kind == TOPO_GPU) {
        t->threads = 1;
        if (t->link == TOPO_MEMORY) t->link = TOPO_PCIE;
    }
    t->within = t->link == TOPO_NVLINK ? nvlink_link
                : t->link == TOPO_PCIE ? pcie_link
                                       : memory_link;
    if (t->nodes > 1) t->between = ib > 0 ? ib * 1e9 / 8 * ib_share : plain_network;
    t->latency = t->nodes > 1 ? latency_between : latency_within;
}

status topo_from_string(struct topo *out, const char *text)
{
    struct reader r = { .text = text, .at = text, .out = out };

    *out = (struct topo){ .nodes = 1 };
    if (strlen(text) > TOPO_TEXT)
        return fail(ST_ARG, "topology of %zu characters; at most %d are allowed", strlen(text),
                    TOPO_TEXT);
    while (*(r.at += strspn(r.at, " ")) != '\0') {
        TRY(take_topo_word(&r));
        r.at += word_len(r.at);
    }
    TRY(check_topo(&r));
    set_speeds(out, r.ib);
    return ST_OK;
}

static uint64_t machine_memory(void)
{
    FILE *const f = fopen("/proc/meminfo", "r");
    unsigned long long kib = 0;
    char line[256];

    if (f == NULL) return 0;
    while (kib == 0 && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "MemTotal: %llu", &kib) != 1) kib = 0;
    fclose(f);
    return (uint64_t)kib << 10;
}

void topo_of_machine(struct topo *out)
{
    *out = (struct topo){
        .kind = TOPO_CPU, .nodes = 1, .devices = pool_cpus(), .memory = machine_memory()
    };
    set_speeds(out, 0);
}

int topo_ranks(const struct topo *t)
{
    int const each = t->kind == TOPO_GPU || t->threads == 0 ? 1 : t->threads;
    return t->nodes * (t->devices / each);
}

status topo_nodes(const struct topo *t, int ranks, int *node)
{
    int const room = topo_ranks(t), each = room / t->nodes;

    if (t->kind == TOPO_GPU && ranks > room)
        return fail(ST_ARG, "%d ranks for %d GPUs; 1 to %d are allowed", ranks, room, room);
    for (int r = 0; r < ranks; r++)
        node[r] = ranks <= room ? r / each : (int)((int64_t)r * t->nodes / ranks);
    return ST_OK;
}

void topo_print(struct strbuf *out, const struct topo *t)
{
    static const char *const links[] = { "memory", "PCIe", "NVLink" };

    strbuf_addf(out, "%d machine%s with %d %s%s", t->nodes, t->nodes == 1 ? "" : "s", t->devices,
                t->kind == TOPO_GPU ? "GPU" : "core", t->devices == 1 ? "" : "s");
    if (t->memory > 0)
        strbuf_addf(out, ", %.1f GiB each%s", (double)t->memory / (1 << 30),
                    t->kind == TOPO_GPU ? " GPU" : "");
    strbuf_addf(out, ", %s %.0f GB/s", links[t->link], t->within * 1e-9);
    if (t->nodes > 1) strbuf_addf(out, ", network %.1f GB/s", t->between * 1e-9);
}
