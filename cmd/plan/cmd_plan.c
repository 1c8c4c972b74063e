/* cmd_plan.c - what a world would do with jobs: roles, memory, speed. */
#include "cmd/backend.h"
#include "cmd/bench/bench_file.h"
#include "cmd/cmd.h"
#include "cmd/job_numerics.h"
#include "cmd/opts.h"
#include "cmd/plan/plan_internal.h"
#include "kernels/kern_device.h"
#include "pipeline/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plan_options {
    const char *topo; /* NULL: this machine */
    const char *bench, *goal, *precision;
    struct backend_request backend;
    int ranks, ranks_per_line, decode_ranks, rank_to_try;
    bool cross_nodes, json;
};

static status read_card_topo(struct topo *out)
{
    struct kern_device card;
    char text[64];

    if (kern_device_absent())
        return fail(ST_ARG, "--backend cuda: %s; --topo \"gpu:N\" plans for machines with GPUs",
                    kern_device_absent());
    TRY(kern_device_about(&card, 0));
    snprintf(text, sizeof text, "gpu:%d mem:%lluMiB", kern_device_count(),
             (unsigned long long)(card.memory >> 20));
    return topo_from_string(out, text);
}

/* This machine's cards, unless there are none or the processor was asked for. */
static bool wants_cards(const struct backend_request *r)
{
    return r->name ? !strcmp(r->name, "cuda") : r->kernels || !kern_device_absent();
}

static status read_topo(struct world_facts *w, const struct plan_options *o)
{
    struct topo *const t = &w->topo;

    if (o->topo) TRY(topo_from_string(t, o->topo));
    else if (wants_cards(&o->backend)) TRY(read_card_topo(t));
    else topo_of_machine(t);
    w->ranks = o->ranks ? o->ranks : topo_ranks(t);
    return ST_OK;
}

/* A rank's: as the topology says, else its share of the cores. */
static int threads_per_rank(const struct world_facts *w)
{
    const struct topo *const t = &w->topo;
    int const share = t->nodes * t->devices / w->ranks;

    if (t->kind == TOPO_GPU) return 1;
    if (t->threads) return t->threads;
    return share > 1 ? share : 1;
}

/* Measured speeds in place of the estimated ones, and the world that they were measured in. */
static status read_speeds(struct plan_view *v, const struct plan_options *o)
{
    struct cost_parts *const parts = &v->cost.parts;
    struct topo *const t = &v->cost.topo;

    v->bench = o->bench;
    if (!o->bench) return ST_OK;
    bool const open = t->kind == TOPO_CPU && !t->threads;
    TRY(bench_file_read(parts, o->bench, v->bytes.model, v->bytes.backend,
                        open ? 0 : parts->threads));
    if (open && parts->threads <= t->devices) t->threads = parts->threads;
    if (!o->ranks) v->query.ranks = topo_ranks(t);
    t->within = parts->link;
    return ST_OK;
}

/* The best line and the best replicas, whatever the user settled on. */
static status find_alternatives(struct plan_view *v)
{
    struct plan_query q = v->query;
    struct planner any;

    q.ranks_per_line = 0;
    TRY(planner_choose(&any, &q));
    v->line = v->chosen.best.ranks_per_line > 1 ? v->chosen.best : any.line;
    v->replicas = v->chosen.best.ranks_per_line > 1 ? any.replicas : v->chosen.best;
    return ST_OK;
}

/* How long the jobs take, of the plans that are shown. */
static status time_plans(struct plan_view *v)
{
    struct plan *const shown[] = { &v->chosen.best, &v->line, &v->replicas };
    struct plan_query q = v->query;

    for (int i = 0; i < COUNT_OF(shown); i++)
        if (shown[i]->ranks_per_line) TRY(planner_run(shown[i], &q));
    return ST_OK;
}

static status make_plan(struct plan_view *v, const struct plan_options *o, char *const *jobs,
                        int count)
{
    struct job_workload_options const asked = { .precision = strcmp(o->precision, "job") != 0
                                                                 ? o->precision
                                                                 : NULL,
                                                .given = job_numerics_given(&o->backend) };
    struct world_facts world = { .ranks_per_line = o->ranks_per_line,
                                 .decode_ranks = o->decode_ranks,
                                 .cross_nodes = o->cross_nodes,
                                 .goal =
                                     strcmp(o->goal, "latency") ? PLAN_THROUGHPUT : PLAN_LATENCY };
    struct backend backend;
    struct plan again;

    TRY(read_topo(&world, o));
    world.threads = threads_per_rank(&world);
    TRY(job_workload_open(&v->jobs, jobs, count, &asked));
    TRY(backend_plan(&backend, &o->backend, world.topo.kind == TOPO_GPU));
    TRY(engine_apply_numerics(&backend.kern, &backend.mode, &v->jobs.first.numerics));
    TRY(kern_backend_supports(backend.kern, v->jobs.work.act));
    TRY(plan_bytes_open(&v->bytes, &v->jobs.work, backend.kern, backend.mode));
    TRY(workload_query(&v->query, &v->cost, &v->bytes, &world));
    TRY(read_speeds(v, o));
    TRY(planner_choose(&v->chosen, &v->query));
    TRY(find_alternatives(v));
    TRY(time_plans(v));
    return planner_try(&again, &v->roles, &v->query, v->chosen.best.ranks_per_line,
                       v->chosen.best.decode_ranks);
}

/* A plan that does not fit is printed, and is an error. */
static status check_fits(const struct plan_view *v)
{
    struct strbuf why = { 0 };
    status st = ST_OK;

    if (v->chosen.best.fits) return ST_OK;
    planner_why(&why, &v->chosen, &v->query);
    st = fail(ST_ARG, "it does not fit: %s", why.s ? why.s : "");
    strbuf_free(&why);
    return st;
}

static status print_plan(const struct plan_view *v, const struct plan_options *o)
{
    struct strbuf out = { 0 };
    status st = ST_OK;

    if (o->json) TRY_OUT(plan_json(&out, v));
    else plan_print(&out, v);
    if (o->rank_to_try >= 0) TRY_OUT(plan_try(&out, v, o->rank_to_try));
    if (out.failed) st = fail(ST_NOMEM, "no memory to print the plan");
    else fputs(out.s, stdout);
    if (st == ST_OK) st = check_fits(v);
out:
    strbuf_free(&out);
    return st;
}

static status plan_jobs(const struct plan_options *o, char *const *jobs, int count)
{
    struct plan_view *const v = calloc(1, sizeof *v);
    status st = v ? ST_OK : fail(ST_NOMEM, "plan: no memory");

    TRY(st);
    TRY_OUT(make_plan(v, o, jobs, count));
    TRY_OUT(print_plan(v, o));
out:
    plan_bytes_close(&v->bytes);
    job_workload_close(&v->jobs);
    free(v);
    return st;
}

status cmd_plan(int argc, char **argv)
{
    struct plan_options p = {
        .goal = "throughput", .precision = "job", .decode_ranks = -1, .rank_to_try = -1
    };
    struct opt const table[] = {
        { "topo", OPT_TEXT, &p.topo, .value = "TEXT",
          .help = "machines, \"node:2 gpu:8 nvlink mem:80GiB ib:400\" or \"cpu:2 threads:1\"; "
                  "else this one, its GPUs if it has some" },
        { "ranks", OPT_INT, &p.ranks, .value = "N", .help = "of the world; 0: one per GPU or core",
          .min = 0, .max = ROLES_RANKS },
        { "ranks-per-line", OPT_INT, &p.ranks_per_line, .value = "R",
          .help = "that share out a line's stages; 0: the planner's choice", .min = 0,
          .max = SPLIT_RANKS },
        { "decode-ranks", OPT_INT, &p.decode_ranks, .value = "D",
          .help = "that decode, 0: beside the lines; -1: the planner's choice", .min = -1,
          .max = ROLES_RANKS },
        { "cross-nodes", OPT_FLAG, &p.cross_nodes, .help = "a line may span machines" },
        { "for", OPT_CHOICE, &p.goal, .value = "GOAL", .help = "what to choose by",
          .choices = "throughput|latency" },
        { "bench", OPT_TEXT, &p.bench, .value = "FILE",
          .help = "speeds that `bench --for JOB --json` printed; else they are estimated" },
        BACKEND_OPTIONS(p.backend),
        { "precision", OPT_CHOICE, &p.precision, .value = "TYPE",
          .help = "of weights and activations", .choices = "job|f32|bf16" },
        { "try", OPT_INT, &p.rank_to_try, .value = "RANK",
          .help = "load and open what this rank would hold, here, and compare; -1: none", .min = -1,
          .max = ROLES_RANKS - 1 },
        { "json", OPT_FLAG, &p.json, .help = "print the plan as JSON" },
    };
    struct opts const o = {
        .usage = "plan JOB.yaml... [options]",
        .about =
            "What each rank of a world would do, hold and exchange, how fast the world would be as\n"
            "a line and as replicas, and which to choose. Needs none of its machines. All clips\n"
            "are of one card, size, precision and numerics: a render takes such batches one after another.\n",
        .table = table,
        .count = COUNT_OF(table),
    };
    bool help;

    TRY(opts_parse(&o, &argc, argv, &help));
    if (help) return ST_OK;
    if (argc < 2) return fail(ST_ARG, "plan needs at least one JOB.yaml; see --help");
    if (p.json && p.rank_to_try >= 0)
        return fail(ST_ARG, "plan: one of --json and --try is allowed");
    opts_print(&o);
    return plan_jobs(&p, argv + 1, argc - 1);
}
