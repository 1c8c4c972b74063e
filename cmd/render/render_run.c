/* render_run.c - the ranks of a render, their options, and signals. */
#include "cmd/render/render_run.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/strbuf.h"
#include "cmd/cmd.h"
#include "cmd/render/render_internal.h"
#include "cmd/user_cache.h"
#include "comm/world.h"
#include "pipeline/engine/model_pool.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- stops --------------------------------------------------------------------------- */

static atomic_int stop_asked, heeded, speaks, work_ends, overdue;

/* While a line runs, a stop is heeded at the next tick. Before, nothing is in work
 * and the process may just end. A second signal ends it at once: the handler is
 * gone by then. */
static void on_signal(int number)
{
    static const char words[] = "render: stopped while loading. Give the same command again.\n";

    (void)number;
    stop_asked = 1;
    if (heeded || work_ends) return;
    if (speaks && write(STDERR_FILENO, words, sizeof words - 1) < 0) _exit(EXIT_FAILURE);
    _exit(75);
}

/* What is ignored from the start, as nohup has SIGHUP ignored and a script the SIGINT of what it
 * runs in the background, stays ignored. */
void render_catch_signals(void)
{
    struct sigaction const act = { .sa_handler = on_signal,
                                   .sa_flags = (int)(SA_RESETHAND | SA_RESTART) };
    int const stops[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1 };

    speaks = comm_launcher_rank() <= 0;
    for (int i = 0; i < COUNT_OF(stops); i++) {
        struct sigaction before;
        if (sigaction(stops[i], NULL, &before) || before.sa_handler != SIG_IGN)
            sigaction(stops[i], &act, NULL);
    }
}

/* Once somebody heeds it. */
static bool peek_stop(void) { return stop_asked != 0; }

static bool heed_stop(void)
{
    heeded = 1; /* whoever asks will heed it */
    return stop_asked != 0;
}

static void begin_loading(void) { heeded = 0; }

void render_stop(void) { stop_asked = 1; }

bool render_stop_asked(void) { return stop_asked != 0; }

/* Whoever hands back what it holds first ends the process itself. */
static void end_overdue(void)
{
    overdue = 1;
    if (work_ends) return;
    log_warn("stopped: the clips in work have had their run.grace, and stay where they are");
    _exit(cmd_exit_code(ST_CANCELED));
}

bool render_is_overdue(void) { return overdue != 0; }

bool render_is_loading(void) { return !heeded; }

/* ---- the ranks ------------------------------------------------------------------------ */

/* What the ranks of this process share; the rest is rank 0's. */
struct render {
    struct engine_options o;
    struct model_pool *pool;
    const struct render_work *work;
    const char *report_path; /* NULL: none */
    struct render_notes_config notes_asked;

    struct render_summary *summary;
    struct render_report *report;
    struct render_notes *notes;
    bool opened;
    struct engine_result result; /* the same on all ranks */
};

/* Only where somebody asked for them. */
static status take_notes(struct render *r, struct work_source *source)
{
    const struct render_notes_config *const c = &r->notes_asked;

    if (!c->events && !c->metrics && !c->openjd) return ST_OK;
    TRY(render_notes_open(&r->notes, c, *source));
    *source = render_notes_source(r->notes);
    return ST_OK;
}

/* Whether the report can be written is known before anything is read. */
static status open_asked(void *arg, int ranks, struct work_source *out)
{
    struct render *const r = arg;
    int64_t clips = 0;

    if (r->report_path) TRY(render_report_open(&r->report, r->report_path, &r->o, ranks));
    r->opened = true;
    TRY(r->work->open(r->work->arg, &r->o, out, &clips));
    work_ends = r->work->ends_itself;
    render_summary_set(r->summary, clips, r->report);
    r->notes_asked.clips = clips;
    return take_notes(r, out);
}

static void close_asked(void *arg)
{
    struct render *const r = arg;

    work_ends = false;
    render_notes_close(&r->notes);
    if (r->opened) r->work->close(r->work->arg);
    r->opened = false;
}

static status render_on_rank(struct comm *world, void *arg)
{
    struct render *const r = arg;
    struct engine_events const events = render_summary_events(r->summary);
    struct engine_config const c = { .options = &r->o,
                                     .pool = r->pool,
                                     .open_source = open_asked,
                                     .close_source = close_asked,
                                     .source_arg = r,
                                     .events = &events };
    struct engine_result result;
    status const st = engine_run(world, &c, &result);

    if (world->rank == 0) close_asked(r); /* also after an open that failed half way */
    /* Now: a launcher ends this rank as soon as another has ended with 75. */
    bool const stopped = st == ST_CANCELED && !(r->o.fail_fast && result.failed);
    if (world->rank == 0 && stopped && r->work->stopped) log_info("%s", r->work->stopped);
    if (world->rank == 0 || comm_launcher_rank() >= 0) r->result = result;
    return st;
}

static struct engine_options options_of(const struct render_request *w, const struct backend *b,
                                        const char *same, int ahead)
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
        .resume = !w->no_resume,
        .fail_fast = w->fail_fast,
        .ahead = ahead,
        .deadline_s = w->deadline,
        .stall_s = w->stall < w->deadline ? w->stall : w->deadline,
        .prompt_cache = w->no_cache ? NULL : w->cache,
        .prompt_cache_bytes = (int64_t)w->cache_mib << 20,
        .hash_cache = w->hashes,
        .trace = w->trace,
        .same = same,
        .stop = heed_stop,
        .stop_asked = peek_stop,
        .loading = begin_loading,
        .overdue = end_overdue,
        .exit_code = cmd_exit_code,
    };
}

status render_run(const struct render_request *w, const struct render_work *work,
                  struct engine_result *out)
{
    struct render r = { .work = work,
                        .report_path = w->report,
                        .notes_asked = {
                            .events = w->events, .metrics = w->metrics, .openjd = w->openjd } };
    struct backend backend;
    struct world_options world = { .ranks = w->ranks,
                                   .deadline_s = w->deadline,
                                   .report = cmd_report,
                                   .exit_code = cmd_exit_code };
    char *same = NULL;
    status st = ST_OK;

    TRY(backend_choose(&backend, &w->backend));
    backend_print(&backend);
    world.devices = backend.devices;
    same = str_format("%s--precision %s\n--report %s\n", work->same, w->precision,
                      w->report ? w->report : "-");
    if (!same) FAIL_OUT(ST_NOMEM, "the options: no memory");
    r.o = options_of(w, &backend, same, work->ahead);
    TRY_OUT(model_pool_open(&r.pool, r.o.threads ? r.o.threads : pool_cpus()));
    TRY_OUT(render_summary_open(&r.summary, &r.o));
    TRY_OUT(world_run(&world, render_on_rank, &r));
out:
    *out = r.result;
    render_report_close(&r.report);
    render_summary_close(&r.summary);
    model_pool_close(&r.pool);
    free(same);
    return st;
}

/* ---- options ------------------------------------------------------------------------- */

void render_request_begin(struct render_request *w)
{
    *w = (struct render_request){ .text = "same",
                                  .precision = "job",
                                  .aim = "throughput",
                                  .home_cache = user_cache_path("prompts"),
                                  .hashes = user_cache_path("hashes"),
                                  .ranks = 1,
                                  .decode = -1,
                                  .cache_mib = 4096,
                                  .deadline = 3600,
                                  .stall = 120 };
    w->cache = w->home_cache;
}

void render_request_end(struct render_request *w)
{
    free(w->home_cache);
    free(w->hashes);
    w->home_cache = w->hashes = NULL;
}

struct opt render_option(struct render_request *w, int row)
{
    struct opt const table[] = {
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
        { "events", OPT_TEXT, &w->events, .value = "FILE",
          .help = "add a line of JSON to it for every event" },
        { "metrics-file", OPT_TEXT, &w->metrics, .value = "FILE",
          .help = "keep metrics in it for node_exporter while this runs" },
        { "openjd", OPT_FLAG, &w->openjd,
          .help = "progress on stdout as Open Job Description has it" },
        { "prompt-cache", OPT_TEXT, &w->cache, .value = "DIR",
          .help = "where prompt embeddings are kept" },
        { "prompt-cache-mib", OPT_INT, &w->cache_mib, .value = "N",
          .help = "it holds at most; what was used longest ago goes", .min = 1, .max = 1 << 30 },
        { "no-resume", OPT_FLAG, &w->no_resume,
          .help = "start clips over, even if an attempt left checkpoints" },
        { "no-prompt-cache", OPT_FLAG, &w->no_cache, .help = "embed every prompt again" },
    };
    return table[row];
}

status render_request_check(const struct render_request *w)
{
    if (w->trace && w->report && !strcmp(w->trace, w->report) && strncmp(w->trace, "/dev/", 5) != 0)
        return fail(ST_ARG, "--trace and --report name one file: %s", w->trace);
    return ST_OK;
}

const char *render_precision(const struct render_request *w)
{
    return strcmp(w->precision, "job") ? w->precision : NULL;
}
