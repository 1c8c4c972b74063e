/*
 * plan_print.c - a plan for people: the job, who does what, bytes per rank, what goes from
 * rank to rank, line and replicas side by side, and why the one was chosen.
 */
#include "cmd/plan/plan_internal.h"

#include <stdio.h>
#include <string.h>

static void print_job(struct strbuf *out, const struct plan_view *v)
{
    const struct clip_spec *const clip = &v->jobs.first;
    const struct work_outlook *const known = &v->jobs.work.known;
    char mode[LINE_MODE_TEXT];

    strbuf_addf(
        out, "job        %s: %lld clip%s of %dx%d, %lld blocks, %lld prompt%s; %s, %s in %s, %s\n",
        clip->job, (long long)known->clips, known->clips == 1 ? "" : "s", clip->width, clip->height,
        (long long)known->blocks, (long long)known->texts, known->texts == 1 ? "" : "s",
        v->jobs.model.name, v->bytes.backend->name, dtype_precision(v->jobs.work.act),
        line_mode_text(v->bytes.mode, mode));
    if (v->bytes.text_assumed)
        strbuf_addf(out, "assumed    the text encoder is UMT5-XXL: %s is not there\n",
                    v->jobs.model.encoder);
    strbuf_addf(out, "world      %d ranks on ", v->query.ranks);
    topo_print(out, &v->cost.topo);
    if (v->cost.topo.kind == TOPO_CPU)
        strbuf_addf(out, ", %d thread%s a rank", v->cost.parts.threads,
                    v->cost.parts.threads == 1 ? "" : "s");
    strbuf_addf(out, "\n");
    if (v->bench) strbuf_addf(out, "speeds     measured, %s\n", v->bench);
    else {
        strbuf_addf(out,
                    "speeds     estimated from these; `rollmill bench --for JOB --json` measures "
                    "them\n");
        cost_sources(out, v->cost.topo.kind, v->jobs.work.act == DT_F32);
    }
}

/* Ranks first .. end-1 hold the same. */
static int find_same_end(const struct plan_view *v, int first)
{
    struct plan_rank_bytes a, b;
    int end = first + 1;

    plan_bytes_rank(&a, &v->bytes, &v->roles, first);
    for (; end < v->roles.ranks; end++) {
        plan_bytes_rank(&b, &v->bytes, &v->roles, end);
        if (memcmp(a.arena, b.arena, sizeof a.arena) != 0) break;
    }
    return end;
}

static bool arena_used(const struct plan_view *v, int arena)
{
    struct plan_rank_bytes b;

    for (int r = 0; r < v->roles.ranks; r++) {
        plan_bytes_rank(&b, &v->bytes, &v->roles, r);
        if (b.arena[arena] > 0) return true;
    }
    return false;
}

static void print_bytes(struct strbuf *out, const struct plan_view *v)
{
    strbuf_addf(out, "\nMiB per rank");
    for (int i = 0; i < PLAN_ARENAS; i++)
        if (arena_used(v, i)) strbuf_addf(out, " %11s", plan_arena_names[i]);
    strbuf_addf(out, " %11s%s\n", "all", v->bytes.cards ? "  on its card" : "");
    for (int first = 0, end; first < v->roles.ranks; first = end) {
        struct plan_rank_bytes b;
        char name[32];
        end = find_same_end(v, first);
        plan_bytes_rank(&b, &v->bytes, &v->roles, first);
        if (end == first + 1) snprintf(name, sizeof name, "rank  %d", first);
        else snprintf(name, sizeof name, "ranks %d-%d", first, end - 1);
        strbuf_addf(out, "%-12s", name);
        for (int i = 0; i < PLAN_ARENAS; i++)
            if (arena_used(v, i)) strbuf_addf(out, " %11.1f", bytes_mib(b.arena[i]));
        strbuf_addf(out, " %11.1f", bytes_mib(b.all));
        if (v->bytes.cards) strbuf_addf(out, " %12.1f", bytes_mib(b.card));
        strbuf_addf(out, "\n");
    }
}

enum { ROWS = 11 };
static const struct row {
    const char *name;
    int digits; /* that count, at least; 0: one behind the point */
} rows[ROWS] = {
    { "tick, s", 4 },
    { "block to block, s", 4 },
    { "frames/s", 4 },
    { "first pictures, s", 4 },
    { "all clips, s", 4 },
    { "fullest rank, MiB", 0 },
    { "fullest machine, MiB", 0 },
    { "received per tick and rank, MiB", 0 },
    { "sent per tick and rank, MiB", 0 },
    { "between machines per tick, MiB", 0 },
    { "exchange not hidden, s", 4 },
};

/* Behind the point. */
static int count_decimals(int row, double value)
{
    int n = 1;

    if (rows[row].digits == 0) return n;
    for (n = rows[row].digits; n > 0 && value >= 1; value /= 10) n--;
    for (; value > 0 && value < 0.1 && n < 9; value *= 10) n++;
    return n;
}

static void print_cell(struct strbuf *out, const struct plan *p, int row)
{
    const struct cost *const c = &p->cost;
    double const value[ROWS] = {
        c->tick,
        c->block,
        c->frames,
        c->first,
        c->all,
        bytes_mib((double)p->rank_bytes),
        bytes_mib((double)p->node_bytes),
        bytes_mib(c->receive),
        bytes_mib(c->send),
        bytes_mib(c->crossing),
        c->exposed,
    };
    char cell[64] = "";

    if (p->ranks_per_line)
        snprintf(cell, sizeof cell, "%.*f", count_decimals(row, value[row]), value[row]);
    strbuf_addf(out, " %14s", cell);
}

static void print_heads(struct strbuf *out, const struct plan_view *v,
                        const struct plan *const column[2])
{
    static const char *const heads[2] = { "line", "replicas" };
    const struct plan *const best = &v->chosen.best;

    strbuf_addf(out, "\n%-32s", "");
    for (int i = 0; i < 2; i++)
        strbuf_addf(out, " %14s", column[i]->ranks_per_line ? heads[i] : "");
    strbuf_addf(out, "\n%-32s", "ranks per line, decode ranks");
    for (int i = 0; i < 2; i++) {
        char name[32];
        bool const is_best = column[i]->ranks_per_line == best->ranks_per_line &&
                             column[i]->decode_ranks == best->decode_ranks;
        snprintf(name, sizeof name, "%s%d, %d", is_best ? "* " : "", column[i]->ranks_per_line,
                 column[i]->decode_ranks);
        strbuf_addf(out, " %14s", column[i]->ranks_per_line ? name : "");
    }
    strbuf_addf(out, "\n");
}

static void print_columns(struct strbuf *out, const struct plan_view *v)
{
    const struct plan *const column[2] = { &v->line, &v->replicas };

    print_heads(out, v, column);
    for (int row = 0; row < ROWS; row++) {
        strbuf_addf(out, "%-32s", rows[row].name);
        for (int i = 0; i < 2; i++) print_cell(out, column[i], row);
        strbuf_addf(out, "\n");
    }
}

void plan_print(struct strbuf *out, const struct plan_view *v)
{
    print_job(out, v);
    strbuf_addf(out, "\n");
    roles_print(out, &v->roles);
    print_bytes(out, v);
    plan_print_links(out, v);
    print_columns(out, v);
    strbuf_addf(out, "\n%s: ", v->query.goal == PLAN_LATENCY ? "latency" : "throughput");
    planner_why(out, &v->chosen, &v->query);
    strbuf_addf(out, "\n");
    if (v->line.cost.rough)
        strbuf_addf(out,
                    "the line's figures are rough: of a tick of %.2g ms messages take more than a "
                    "tenth to be noticed\n",
                    v->line.cost.tick * 1e3);
}
