/* cmd_bench.c - time the operations and layers of the models on this machine. */
#include "base/clock.h"
#include "base/pool.h"
#include "base/strbuf.h"
#include "cmd/bench/bench_internal.h"
#include "cmd/cmd.h"
#include "cmd/opts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_MIN = 3, RUNS_MAX = 200, QUEUED_MAX = 64 };
static const double burst_s = 0.25;  /* one measurement lasts about this long */
static const double queue_s = 0.005; /* runs that are queued before one wait */

struct bench {
    struct backend backend;
    struct kern_ctx *ctx;
    const struct bench_size *size;
    enum dtype act;
    bool json;
    const char *model; /* folder for the rows of bench_model.c; NULL: none */
    double roof;       /* FLOP/s of the roof case; 0 until measured */
};

/* Seconds of one of n runs that are queued one behind another and waited for once: what
 * queueing and waiting take is not the operations'. A processor runs each at once. */
static status time_runs(const struct program *p, int n, double *seconds)
{
    double const start = clock_seconds();

    for (int i = 0; i < n; i++) TRY(program_queue(p));
    TRY(program_wait(p));
    *seconds = (clock_seconds() - start) / n;
    return ST_OK;
}

/* Median of one burst, after runs that are not counted. */
static status time_program(const struct program *p, double *median)
{
    double run[RUNS_MAX], one;
    int n = 0;

    TRY(time_runs(p, 1, &one));
    TRY(time_runs(p, 1, &one));
    int const queued = one * QUEUED_MAX < queue_s ? QUEUED_MAX
                       : one < queue_s            ? (int)(queue_s / one)
                                                  : 1;
    for (double const end = clock_seconds() + burst_s;
         n < RUNS_MIN || (n < RUNS_MAX && clock_seconds() < end);)
        TRY(time_runs(p, queued, &run[n++]));
    *median = bench_median(run, n);
    return ST_OK;
}

/* What a row did in `s` seconds: flops, or where there are none to speak of, bytes. */
struct work {
    const char *name, *what;
    double flops, bytes, s;
    uint64_t card; /* bytes of the card's memory that are taken; 0: not looked at */
};

static void print_row(const struct bench *b, const struct work *w)
{
    double const rate = (w->flops > 0 ? w->flops : w->bytes) / w->s * 1e-9;
    double const of_roof = b->roof > 0 ? w->flops / w->s / b->roof * 100 : 0;

    if (b->json)
        printf("{\"name\": \"%s\", \"size\": \"%s\", \"precision\": \"%s\", \"threads\": %d, "
               "\"ms\": %.4f, \"gflop\": %.4f, \"percent_of_roof\": %.1f, \"card_mib\": %.0f}\n",
               w->name, b->size->name, dtype_precision(b->act), b->ctx->threads, w->s * 1e3,
               w->flops * 1e-9, of_roof, bytes_mib((double)w->card));
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
        print_row(
            b,
            &(struct work){
                .name = c->name, .what = c->what, .flops = p->flops, .bytes = p->bytes, .s = s });
    }
    program_free(p);
    free(p);
    return st;
}

static status time_row(struct bench *b, const struct bench_row *row)
{
    struct bench_model_config const c = { .dir = b->model,
                                          .backend = &b->backend,
                                          .threads = b->ctx->threads,
                                          .precision = b->act,
                                          .latent_h = b->size->latent_h,
                                          .latent_w = b->size->latent_w };
    struct bench_result r = { .flop = 0 };

    if (!b->model) return fail(ST_ARG, "bench: %s needs --model DIR", row->name);
    TRY(row->time(&c, &r));
    print_row(b, &(struct work){ .name = row->name,
                                 .what = row->what,
                                 .flops = r.flop,
                                 .s = bench_median(r.seconds, BENCH_ROW_RUNS),
                                 .card = r.card });
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
static status answer_stdin(struct bench *b)
{
    char line[64];

    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        TRY(time_named(b, line));
    }
    return ST_OK;
}

static status time_all(struct bench *b, int count, char **names)
{
    if (!b->json)
        printf("%s, %s, %d threads\n", b->size->name, dtype_precision(b->act), b->ctx->threads);
    for (int i = 0; i < count; i++) TRY(time_named(b, names[i]));
    for (int i = 0; !count && i < bench_case_count; i++) TRY(time_case(b, &bench_cases[i]));
    for (int i = 0; !count && b->model && i < bench_row_count; i++)
        TRY(time_row(b, &bench_rows[i]));
    return ST_OK;
}

static status list_cases(void)
{
    for (int i = 0; i < bench_case_count; i++)
        printf("%-16s %s\n", bench_cases[i].name, bench_cases[i].what);
    for (int i = 0; i < bench_row_count; i++)
        printf("%-16s %s; needs --model\n", bench_rows[i].name, bench_rows[i].what);
    return ST_OK;
}

struct bench_options {
    const char *size, *precision, *model, *job;
    struct backend_request request;
    int threads;
    bool json, on_demand, names;
};

static status parse_bench(struct bench_options *b, int *argc, char **argv, bool *help)
{
    struct opt const table[] = {
        { "size", OPT_CHOICE, &b->size, .value = "NAME", .help = "shapes of the models",
          .choices = bench_size_names },
        { "precision", OPT_CHOICE, &b->precision, .value = "NAME",
          .help = "what products are computed in; job: as --for says, else bf16",
          .choices = "job|f32|bf16" },
        { "threads", OPT_INT, &b->threads, .value = "N", .help = "threads to compute with",
          .min = 1, .max = 1024 },
        BACKEND_OPTIONS(b->request),
        { "model", OPT_TEXT, &b->model, .value = "DIR",
          .help = "time whole parts of this model too (make_model)" },
        { "for", OPT_TEXT, &b->job, .value = "JOB.yaml",
          .help = "time only what `plan --bench` needs for this job" },
        { "json", OPT_FLAG, &b->json, .help = "one JSON object per line" },
        { "on-demand", OPT_FLAG, &b->on_demand,
          .help = "time the cases named on stdin, as they come" },
        { "list", OPT_FLAG, &b->names, .help = "print the cases and do nothing" },
    };
    struct opts const o = {
        .usage = "bench [CASE...] [options]",
        .about = "Times operations and layers on random data. Percent is of the roof: a large\n"
                 "matrix product on the same threads in the same run.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&o, argc, argv, help));
    if (*help || b->names) return ST_OK;
    opts_print(&o);
    if (b->job && *argc > 1) return fail(ST_ARG, "bench: one of CASE and --for is allowed");
    return ST_OK;
}

status cmd_bench(int argc, char **argv)
{
    struct bench_options o = { .size = "small", .precision = "job", .threads = pool_cpus() };
    struct bench b = { 0 };
    bool help;

    TRY(parse_bench(&o, &argc, argv, &help));
    if (help) return ST_OK;
    if (o.names) return list_cases();
    TRY(backend_choose(&b.backend, &o.request));
    backend_print(&b.backend);
    if (o.job)
        return bench_for_job(&(struct bench_for){ .job = (char *)(uintptr_t)o.job,
                                                  .backend = &b.backend,
                                                  .request = &o.request,
                                                  .precision = o.precision,
                                                  .threads = o.threads,
                                                  .json = o.json });
    b.json = o.json || o.on_demand;
    b.size = bench_size_find(o.size);
    b.model = o.model;
    b.act = strcmp(o.precision, "f32") ? DT_BF16 : DT_F32;
    TRY(kern_backend_supports(b.backend.kern, b.act));
    TRY(b.backend.kern->open(&b.ctx, &(struct kern_config){ .threads = o.threads }));
    status const st = o.on_demand ? answer_stdin(&b) : time_all(&b, argc - 1, argv + 1);
    b.ctx->backend->close(&b.ctx);
    return st;
}
