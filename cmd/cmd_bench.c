/* cmd_bench.c - time the operations and layers of the models on this machine. */
#include "base/clock.h"
#include "base/pool.h"
#include "base/text.h"
#include "cmd/bench.h"
#include "cmd/bench_file.h"
#include "cmd/bench_job.h"
#include "cmd/bench_model.h"
#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "cmd/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_MIN = 3, RUNS_MAX = 200, DEADLINE_S = 86400 /* of ranks that wait */ };
static const double burst_s = 0.25; /* one measurement lasts about this long */

struct bench {
    struct kern_ctx *ctx;
    const struct bench_size *size;
    enum dtype act;
    bool json;
    const char *model; /* folder for the rows of bench_model.h; NULL: none */
    double roof;       /* FLOP/s of the roof case; 0 until measured */
};

static int by_size(const void *a, const void *b)
{
    double const x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median of one burst of runs, after one that is not counted. */
static status time_program(const struct program *p, double *median)
{
    double run[RUNS_MAX];
    int n = 0;

    TRY(program_run(p));
    for (double const end = clock_seconds() + burst_s;
         n < RUNS_MIN || (n < RUNS_MAX && clock_seconds() < end);) {
        double const start = clock_seconds();
        TRY(program_run(p));
        run[n++] = clock_seconds() - start;
    }
    qsort(run, (size_t)n, sizeof *run, by_size);
    *median = run[n / 2];
    return ST_OK;
}

/* What a row did in `s` seconds: flops, or where there are none to speak of, bytes. */
struct work {
    const char *name, *what;
    double flops, bytes, s;
};

static void print_row(const struct bench *b, const struct work *w)
{
    double const rate = (w->flops > 0 ? w->flops : w->bytes) / w->s * 1e-9;
    double const of_roof = b->roof > 0 ? w->flops / w->s / b->roof * 100 : 0;

    if (b->json)
        printf("{\"name\": \"%s\", \"size\": \"%s\", \"precision\": \"%s\", \"threads\": %d, "
               "\"ms\": %.4f, \"gflop\": %.4f, \"percent_of_roof\": %.1f}\n",
               w->name, b->size->name, b->act == DT_F32 ? "f32" : "bf16", b->ctx->threads,
               w->s * 1e3, w->flops * 1e-9, of_roof);
    else if (w->flops > 0)
        printf("%-16s %-36s %9.3f ms %8.0f GFLOP/s %4.0f %%\n", w->name, w->what, w->s * 1e3, rate,
               of_roof);
    else if (w->bytes > 0)
        printf("%-16s %-36s %9.3f ms %8.1f GB/s\n", w->name, w->what, w->s * 1e3, rate);
    else printf("%-16s %-36s %9.3f ms\n", w->name, w->what, w->s * 1e3);
    fflush(stdout);
}

static status time_case(struct bench *b, const struct bench_case *c)
{
    struct program *const p = calloc(1, sizeof *p);
    double s = 0;

    if (!p) return fail(ST_NOMEM, "bench: no memory for a program");
    p->ctx = b->ctx;
    p->act = b->act;
    c->record(p, b->size);
    status const st = p->st == ST_OK ? time_program(p, &s) : p->st;
    if (st == ST_OK) {
        if (!strcmp(c->name, "roof")) b->roof = p->flops / s;
        print_row(b, &(struct work){ c->name, c->what, p->flops, p->bytes, s });
    }
    program_free(p);
    free(p);
    return st;
}

enum { ROW_RUNS = 3 };

static status time_row(struct bench *b, const struct bench_row *row)
{
    struct bench_model_config const c = {
        .dir = b->model, .backend = b->ctx->backend, .threads = b->ctx->threads, .precision = b->act
    };
    double s[ROW_RUNS], flop;

    if (!b->model) return fail(ST_ARG, "bench: %s needs --model DIR", row->name);
    TRY(row->time(&c, s, ROW_RUNS, &flop));
    qsort(s, ROW_RUNS, sizeof *s, by_size);
    print_row(b, &(struct work){ row->name, row->what, flop, 0, s[ROW_RUNS / 2] });
    return ST_OK;
}

static status time_named(struct bench *b, const char *name)
{
    for (int i = 0; i < bench_row_count; i++)
        if (!strcmp(bench_rows[i].name, name)) return time_row(b, &bench_rows[i]);
    for (int i = 0; i < bench_case_count; i++)
        if (!strcmp(bench_cases[i].name, name)) return time_case(b, &bench_cases[i]);
    return fail(ST_ARG, "bench: no case `%s`; see --list", name);
}

/* One name per line of stdin, one answer per line of stdout. */
static status answer(struct bench *b)
{
    char line[64];

    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        TRY(time_named(b, line));
    }
    return ST_OK;
}

static status run(struct bench *b, int count, char **names)
{
    if (!b->json)
        printf("%s, %s, %d threads\n", b->size->name, b->act == DT_F32 ? "f32" : "bf16",
               b->ctx->threads);
    for (int i = 0; i < count; i++) TRY(time_named(b, names[i]));
    for (int i = 0; !count && i < bench_case_count; i++) TRY(time_case(b, &bench_cases[i]));
    for (int i = 0; !count && b->model && i < bench_row_count; i++)
        TRY(time_row(b, &bench_rows[i]));
    return ST_OK;
}

static status list(void)
{
    for (int i = 0; i < bench_case_count; i++)
        printf("%-16s %s\n", bench_cases[i].name, bench_cases[i].what);
    for (int i = 0; i < bench_row_count; i++)
        printf("%-16s %s; needs --model\n", bench_rows[i].name, bench_rows[i].what);
    return ST_OK;
}

static void print_parts(struct text *out, const struct cost_parts *p)
{
    text_addf(out, "%-16s %9.4g s, %.4g s alone\n", "noise pass", p->noise, p->noise_alone);
    text_addf(out, "%-16s %9.4g s, %.4g s alone\n", "clean pass", p->clean, p->clean_alone);
    text_addf(out, "%-16s %9.4g s\n", "decode a block", p->decode);
    text_addf(out, "%-16s %9.4g s\n", "encode a block", p->encode);
    text_addf(out, "%-16s %9.4g s\n", "first prompt", p->text);
    text_addf(out, "%-16s %9.4g GB/s, %.4g us\n", "rank to rank", p->link * 1e-9, p->latency * 1e6);
    text_addf(out, "%-16s %9.4g ns a byte, %.4g us a tensor, of processors\n", "", p->byte * 1e9,
              p->message * 1e6);
}

/* The speeds of one job, for `plan`. */
struct request {
    char *job;
    const struct kern_backend *backend;
    const char *precision; /* "job", "f32", "bf16" */
    int threads;
    bool json;
};

static status print_speeds(const struct request *r, const struct cost_parts *parts,
                           const struct job_model *m)
{
    struct text out = { 0 };
    status st = ST_OK;

    if (r->json) TRY_OUT(bench_file_print(&out, parts, m, r->backend));
    else print_parts(&out, parts);
    if (out.failed) st = fail(ST_NOMEM, "no memory to print the speeds");
    else fputs(out.s, stdout);
    if (st == ST_OK && fflush(stdout)) st = fail(ST_IO, "cannot print the speeds");
out:
    text_free(&out);
    return st;
}

/* [all] Everyone measures, rank 0 tells. */
static status bench_for(struct comm *world, void *arg)
{
    const struct request *const r = arg;
    const char *const precision = strcmp(r->precision, "job") != 0 ? r->precision : NULL;
    struct job_model m;
    struct cost_parts parts;
    status st = ST_OK;

    if (world->size > ROLES_RANKS)
        return fail(ST_ARG, "bench: %d ranks; 1 to %d are allowed", world->size, ROLES_RANKS);
    TRY_OUT(job_model_open(&m, &r->job, 1, precision));
    TRY_OUT(bench_job(&parts, &m, r->backend, r->threads, world));
    TRY_OUT(bench_link(&parts, &m, world));
    if (world->rank == 0) TRY_OUT(print_speeds(r, &parts, &m));
out:
    job_model_close(&m);
    return st;
}

status cmd_bench(int argc, char **argv)
{
    const char *backend = "cpu", *size = "small", *precision = "job", *model = NULL;
    const char *job = NULL;
    int threads = pool_cpus();
    bool help, json = false, on_demand = false, names = false;
    struct opt const table[] = {
        { "size", OPT_CHOICE, &size, .value = "NAME", .help = "shapes of the models",
          .choices = "small|middle" },
        { "precision", OPT_CHOICE, &precision, .value = "NAME",
          .help = "what products are computed in; job: as --for says, else bf16",
          .choices = "job|f32|bf16" },
        { "threads", OPT_INT, &threads, .value = "N", .help = "threads to compute with", .min = 1,
          .max = 1024 },
        { "backend", OPT_CHOICE, &backend, .value = "NAME", .help = "what computes",
          .choices = kern_backend_names() },
        { "model", OPT_TEXT, &model, .value = "DIR",
          .help = "time whole parts of this model too (make_model)" },
        { "for", OPT_TEXT, &job, .value = "JOB.yaml",
          .help = "time what `plan --bench` wants to know of this job, and nothing else" },
        { "json", OPT_FLAG, &json, .help = "one JSON object per line" },
        { "on-demand", OPT_FLAG, &on_demand,
          .help = "time the cases named on stdin, as they come" },
        { "list", OPT_FLAG, &names, .help = "print the cases and do nothing" },
    };
    struct opts const o = {
        .usage = "bench [CASE...] [options]",
        .about = "Times operations and layers on random data. Percent is of the roof: a large\n"
                 "matrix product on the same threads in the same run.\n",
        .table = table,
        .count = COUNT_OF(table),
    };
    struct bench b = { 0 };

    TRY(opts_parse(&o, &argc, argv, &help));
    if (help) return ST_OK;
    if (names) return list();
    opts_print(&o);
    if (job && argc > 1) return fail(ST_ARG, "bench: one of CASE and --for is allowed");
    if (job)
        return world_run(&(struct world_options){ .ranks = 1, .deadline_s = DEADLINE_S }, bench_for,
                         &(struct request){ .job = (char *)(uintptr_t)job,
                                            .backend = kern_backend_find(backend),
                                            .precision = precision,
                                            .threads = threads,
                                            .json = json });
    b.json = json || on_demand;
    b.size = bench_size_find(size);
    b.model = model;
    b.act = strcmp(precision, "f32") ? DT_BF16 : DT_F32;
    TRY(kern_backend_find(backend)->open(&b.ctx, &(struct kern_config){ .threads = threads }));
    status const st = on_demand ? answer(&b) : run(&b, argc - 1, argv + 1);
    b.ctx->backend->close(&b.ctx);
    return st;
}
