/* cmd_render.c - jobs in, finished clips out. */
#include "base/log.h"
#include "base/pool.h"
#include "base/strbuf.h"
#include "cmd/backend.h"
#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "cmd/render/prompt_job.h"
#include "cmd/render/render_report_json.h"
#include "cmd/render/render_summary.h"
#include "cmd/render/work_list.h"
#include "comm/world.h"
#include "pipeline/engine/model_pool.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_int stop_asked, heeded, speaks;

/* While a line runs, a stop is heeded at the next tick. Before, nothing is in work
 * and the process may just end. A second signal ends it at once: the handler is
 * gone by then. */
static void on_signal(int number)
{
    static const char words[] = "render: stopped while loading. Give the same command again.\n";

    (void)number;
    stop_asked = 1;
    if (heeded) return;
    if (speaks && write(STDERR_FILENO, words, sizeof words - 1) < 0) _exit(EXIT_FAILURE);
    _exit(75);
}

/* What is ignored from the start, as nohup has SIGHUP ignored and a script the SIGINT of what it
 * runs in the background, stays ignored. */
static void catch_signals(void)
{
    struct sigaction const act = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    int const stops[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1 };

    speaks = comm_launcher_rank() <= 0;
    for (int i = 0; i < COUNT_OF(stops); i++) {
        struct sigaction before;
        if (sigaction(stops[i], NULL, &before) || before.sa_handler != SIG_IGN)
            sigaction(stops[i], &act, NULL);
    }
}

/* Once somebody heeds it. */
static bool asked(void) { return stop_asked != 0; }

static bool stopped(void)
{
    heeded = 1; /* whoever asks will heed it */
    return stop_asked != 0;
}

static void begin_loading(void) { heeded = 0; }

/* ---- the work ----------------------------------------------------------------------- */

/* What the ranks of this process share; the rest is rank 0's. */
struct render {
    struct engine_options o;
    struct model_pool *pool;
    const struct work_job *job;
    int jobs;
    const char *precision;   /* "f32" or "bf16", overrules the jobs; NULL: as they say */
    const char *report_path; /* NULL: none */

    struct work_list *list;
    struct render_summary *summary;
    struct render_report *report;
    struct engine_result result; /* the same on all ranks */
};

/* Whether the report can be written is known before anything is read. */
static status open_source(void *arg, int ranks, struct work_source *out)
{
    struct render *const r = arg;

    if (r->report_path) TRY(render_report_open(&r->report, r->report_path, &r->o, ranks));
    TRY(work_list_open(&r->list, r->job, r->jobs, r->precision));
    struct work_counts const counts = work_list_counts(r->list);
    if (counts.skipped)
        log_info("render: %lld clips already exist, skipped", (long long)counts.skipped);
    render_summary_set(r->summary, counts.clips, r->report);
    *out = work_list_source(r->list);
    return ST_OK;
}

static void close_source(void *arg)
{
    struct render *const r = arg;

    if (!r->list) return;
    for (int64_t i = 0; i < work_list_counts(r->list).failed; i++) {
        struct work_failure const f = work_list_failure(r->list, i);
        if (f.st != ST_CANCELED) log_error("not made: %s: %s", f.clip->dir, f.why);
    }
    work_list_close(&r->list);
}

static status render_on_rank(struct comm *world, void *arg)
{
    struct render *const r = arg;
    struct engine_events const events = render_summary_events(r->summary);
    struct engine_config const c = { .options = &r->o,
                                     .pool = r->pool,
                                     .open_source = open_source,
                                     .close_source = close_source,
                                     .source_arg = r,
                                     .events = &events };
    struct engine_result result;
    status const st = engine_run(world, &c, &result);

    if (world->rank == 0 || comm_launcher_rank() >= 0) r->result = result;
    if (st == ST_CANCELED)
        log_info("render: stopped at a block boundary. Give the same command again: clips that "
                 "are finished are kept, the one in work starts over.");
    if (st == ST_OK && !result.failed) log_info("render: %lld clips made", (long long)result.done);
    return st;
}

/* All ranks end alike; rank 0 has said which clips and why. */
static status check_result(const struct engine_result *result)
{
    if (!result->failed) return ST_OK;
    return fail(comm_launcher_rank() > 0 ? ST_PEER : ST_IO, "%lld of %lld clips were not made",
                (long long)result->failed, (long long)(result->failed + result->done));
}

static status render_jobs(struct render *r, const struct world_options *w)
{
    status st = ST_OK;

    catch_signals();
    TRY_OUT(model_pool_open(&r->pool, r->o.backend, r->o.threads ? r->o.threads : pool_cpus()));
    TRY_OUT(render_summary_open(&r->summary, &r->o));
    TRY_OUT(world_run(w, render_on_rank, r));
    TRY_OUT(check_result(&r->result));
out:
    render_report_close(&r->report);
    render_summary_close(&r->summary);
    model_pool_close(&r->pool);
    return st;
}

/* ---- options ------------------------------------------------------------------------- */

/* Where embeddings are kept between renders: the user's cache folder. */
static char *default_cache(void)
{
    const char *const xdg = getenv("XDG_CACHE_HOME"), *const home = getenv("HOME");

    if (xdg && xdg[0] == '/') return str_format("%s/rollmill/prompts", xdg);
    return home && home[0] == '/' ? str_format("%s/.cache/rollmill/prompts", home) : NULL;
}

/* The options as they are written. */
struct cli_options {
    struct backend_request backend;
    struct prompt_request prompt; /* .text NULL: jobs are files */
    const char *text, *precision, *aim, *cache, *trace, *report;
    int ranks, per_line, decode, threads, deadline, stall;
    bool no_cache, cross_nodes;
};

/* *help: printed, and nothing more to do; else the jobs are argv[1] to argv[*argc - 1]. */
static status parse(struct cli_options *w, int *argc, char **argv, bool *help)
{
    struct opt const table[] = {
        { "prompt", OPT_TEXT, &w->prompt.text, .value = "TEXT",
          .help = "render this one sentence, without a job file" },
        { "length", OPT_TEXT, &w->prompt.length, .value = "TIME",
          .help = "of --prompt's clip, as 2m; left out: 20s" },
        { "model", OPT_TEXT, &w->prompt.card, .value = "CARD",
          .help = "of --prompt; left out: $ROLLMILL_MODEL, or the demo model" },
        { "size", OPT_TEXT, &w->prompt.size, .value = "WxH",
          .help = "of --prompt's pictures; left out: what the card says, or 832x480" },
        { "seed", OPT_TEXT, &w->prompt.seed, .value = "N",
          .help = "of --prompt's noise; left out: 0" },
        { "out", OPT_TEXT, &w->prompt.out, .value = "DIR",
          .help = "where --prompt's clip goes; left out: out" },
        BACKEND_OPTIONS(w->backend),
        { "text-backend", OPT_CHOICE, &w->text, .value = "NAME",
          .help = "what embeds the prompts: the same, or cpu, which leaves a card's memory alone",
          .choices = "same|cpu" },
        { "precision", OPT_CHOICE, &w->precision, .value = "TYPE",
          .help = "of weights and activations", .choices = "job|f32|bf16" },
        { "ranks", OPT_INT, &w->ranks, .value = "N",
          .help = "ranks, as threads of this process; under mpirun leave it out", .min = 1,
          .max = 256 },
        { "ranks-per-line", OPT_INT, &w->per_line, .value = "R",
          .help = "ranks that share out one line's stages; 0: the planner's choice", .min = 0,
          .max = SCHEDULE_LEVELS + 1 },
        { "decode-ranks", OPT_INT, &w->decode, .value = "D",
          .help = "ranks that decode; 0: beside the lines; -1: the planner's choice", .min = -1,
          .max = 255 },
        { "for", OPT_CHOICE, &w->aim, .value = "GOAL", .help = "what the planner chooses by",
          .choices = "throughput|latency" },
        { "cross-nodes", OPT_FLAG, &w->cross_nodes, .help = "a line may span machines" },
        { "threads", OPT_INT, &w->threads, .value = "N",
          .help = "threads that compute, of one process; 0: its share of the machine", .min = 0,
          .max = 4096 },
        { "deadline", OPT_INT, &w->deadline, .value = "S",
          .help = "longest wait for a rank that lives, first tick, encoding of a block", .min = 1,
          .max = 86400 },
        { "stall", OPT_INT, &w->stall, .value = "S",
          .help = "longest silence of a rank, and later tick unless 16 usual ones take longer",
          .min = 1, .max = 86400 },
        { "trace", OPT_TEXT, &w->trace, .value = "FILE",
          .help = "write a timeline for Perfetto or chrome://tracing" },
        { "report", OPT_TEXT, &w->report, .value = "FILE",
          .help = "write the table at the end as JSON" },
        { "prompt-cache", OPT_TEXT, &w->cache, .value = "DIR",
          .help = "where prompt embeddings are kept" },
        { "no-prompt-cache", OPT_FLAG, &w->no_cache, .help = "embed every prompt anew" },
    };
    struct opts const o = {
        .usage = "render JOB.yaml... [options]\n       rollmill render --prompt TEXT [options]",
        .about = "Render every clip of the jobs. A clip's folder appears complete or not at all.\n"
                 "Given again, it goes on where it was stopped: finished clips are skipped.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&o, argc, argv, help));
    if (*help) return ST_OK;
    if ((*argc < 2) == !w->prompt.text)
        return fail(ST_ARG, "render needs at least one JOB.yaml, or --prompt; see --help");
    TRY(prompt_request_check(&w->prompt));
    if (w->trace && w->report && !strcmp(w->trace, w->report) && strncmp(w->trace, "/dev/", 5) != 0)
        return fail(ST_ARG, "--trace and --report name one file: %s", w->trace);
    opts_print(&o);
    return ST_OK;
}

/* Clips that are taken from the jobs before their first block enters a line: as many as have
 * their prompts embedded together. */
enum { AHEAD = 64 };

static struct engine_options options_of(const struct cli_options *w, const struct backend *b,
                                        const char *same)
{
    return (struct engine_options){
        .backend = b->kern,
        .text_backend = strcmp(w->text, "cpu") ? b->kern : kern_backend_find("cpu"),
        .mode = b->mode,
        .device_name = b->device_name,
        .devices = b->devices,
        .threads = w->threads,
        .ranks_per_line = w->per_line,
        .decode_ranks = w->decode,
        .for_latency = !strcmp(w->aim, "latency"),
        .cross_nodes = w->cross_nodes,
        .ahead = AHEAD,
        .deadline_s = w->deadline,
        .stall_s = w->stall < w->deadline ? w->stall : w->deadline,
        .prompt_cache = w->no_cache ? NULL : w->cache,
        .trace = w->trace,
        .same = same,
        .stop = stopped,
        .stop_asked = asked,
        .loading = begin_loading,
        .exit_code = cmd_exit_code,
    };
}

/* What was asked of this rank beside the engine's own options: all must be asked the same. */
static char *describe_request(const struct cli_options *w, const struct work_job *job, int jobs)
{
    struct strbuf t = { 0 };

    strbuf_addf(&t, "%d jobs\n", jobs);
    for (int i = 0; i < jobs; i++)
        strbuf_addf(&t, "job %s\n%s", job[i].path, job[i].text ? job[i].text : "");
    strbuf_addf(&t, "--precision %s\n--report %s\n", w->precision, w->report ? w->report : "-");
    if (t.failed) strbuf_free(&t);
    return t.s;
}

/* The job of --prompt, or one of each path. Both results are the caller's to free, whatever is
 * returned. */
static status list_jobs(struct work_job **out, int *count, char **text,
                        const struct prompt_request *prompt, char *const *path, int paths)
{
    int const n = prompt->text ? 1 : paths;
    struct work_job *const job = calloc((size_t)n, sizeof *job);

    *out = job;
    *count = n;
    if (!job) return fail(ST_NOMEM, "%d jobs", n);
    for (int i = 0; i < n && !prompt->text; i++) job[i].path = path[i];
    if (!prompt->text) return ST_OK;
    TRY(prompt_job_text(text, prompt));
    job[0] = (struct work_job){ .path = PROMPT_JOB_PATH, .text = *text };
    return ST_OK;
}

status cmd_render(int argc, char **argv)
{
    char *const home_cache = default_cache();
    char *same = NULL, *text = NULL;
    struct work_job *job = NULL;
    struct cli_options w = { .text = "same",
                             .precision = "job",
                             .aim = "throughput",
                             .cache = home_cache,
                             .ranks = 1,
                             .decode = -1,
                             .deadline = 3600,
                             .stall = 120 };
    struct backend backend;
    status st = ST_OK;
    int jobs = 0;
    bool help;

    TRY_OUT(parse(&w, &argc, argv, &help));
    if (help) goto out;
    TRY_OUT(list_jobs(&job, &jobs, &text, &w.prompt, argv + 1, argc - 1));
    TRY_OUT(backend_choose(&backend, &w.backend));
    backend_print(&backend);

    same = describe_request(&w, job, jobs);
    if (!same) FAIL_OUT(ST_NOMEM, "%d jobs", jobs);
    struct render r = { .o = options_of(&w, &backend, same),
                        .job = job,
                        .jobs = jobs,
                        .precision = strcmp(w.precision, "job") ? w.precision : NULL,
                        .report_path = w.report };
    struct world_options const world = { .ranks = w.ranks,
                                         .deadline_s = w.deadline,
                                         .devices = backend.devices,
                                         .report = cmd_report,
                                         .exit_code = cmd_exit_code };
    TRY_OUT(render_jobs(&r, &world));
out:
    free(job);
    free(text);
    free(same);
    free(home_cache);
    return st;
}
