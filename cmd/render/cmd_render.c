/* cmd_render.c - jobs in, finished clips out. */
#include "base/log.h"
#include "base/pool.h"
#include "base/strbuf.h"
#include "cmd/backend.h"
#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "cmd/render/render_report_json.h"
#include "comm/world.h"
#include "pipeline/engine/config_check.h"

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

static void catch_signals(void)
{
    struct sigaction const act = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    int const stops[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1 };

    speaks = comm_launcher_rank() <= 0;
    for (int i = 0; i < COUNT_OF(stops); i++) sigaction(stops[i], &act, NULL);
}

/* Once somebody heeds it. */
static bool asked(void) { return stop_asked != 0; }

static bool stopped(void)
{
    heeded = 1; /* whoever asks will heed it */
    return stop_asked != 0;
}

static bool together(const struct render_clip *a, const struct render_clip *b)
{
    return !strcmp(a->card->card, b->card->card) && a->job->precision == b->job->precision &&
           a->spec->width == b->spec->width && a->spec->height == b->spec->height;
}

/* Higher priority first; the order of the jobs otherwise. */
static int by_priority(const void *a, const void *b)
{
    const struct render_clip *const x = *(struct render_clip *const *)a;
    const struct render_clip *const y = *(struct render_clip *const *)b;

    if (x->job->priority != y->job->priority) return x->job->priority < y->job->priority ? 1 : -1;
    return x < y ? -1 : x > y;
}

/* [all] A stop that came when a batch needed no more than to be put into files. */
static status go_on(struct comm *world)
{
    bool const stop = comm_stopped(world);
    return comm_agree(world, stop ? fail(ST_CANCELED, "stopped") : ST_OK);
}

/* Clips that can share a line are taken together, the first one's batch first. */
static status run_batches(const struct engine_rank *rank, const struct render_list *l)
{
    const struct render_clip **const order = calloc((size_t)l->count + 1, sizeof *order);
    const struct render_clip **const batch = calloc((size_t)l->count + 1, sizeof *batch);
    int left = l->count, done = 0;
    status st = ST_OK;

    if (!order || !batch) {
        st = fail(ST_NOMEM, "%d clips", l->count);
        goto out;
    }
    for (int i = 0; i < l->count; i++) order[i] = &l->clip[i];
    qsort(order, (size_t)l->count, sizeof *order, by_priority);
    while (left && st == ST_OK) {
        const struct render_clip *const first = order[0];
        int taken = 0, kept = 0;
        for (int i = 0; i < left; i++)
            if (together(first, order[i])) batch[taken++] = order[i];
            else order[kept++] = order[i];
        left = kept;
        heeded = 0;
        st = engine_batch_run(
            rank, &(struct engine_batch){
                      .clip = batch, .clips = taken, .all_clips = l->count, .clips_done = done });
        done += taken;
        if (left && st == ST_OK) st = go_on(rank->world);
    }
out:
    free(order);
    free(batch);
    return st;
}

/* What the ranks of this process share. */
struct render {
    const struct engine_options *o;
    char *const *path;
    int paths;
    struct model_pool *store;
};

/* The rank hangs where no wait for a peer would notice: the world ends here. */
static void hung(void *arg, const struct track *t, double seconds)
{
    const struct engine_rank *const rank = arg;
    const struct comm *const world = rank->world;
    char words[TRACK_TEXT_BYTES];

    log_set_rank(world->rank);
    log_error("rank %d: no progress for %.0f s: %s", world->rank, seconds,
              track_words(track_state(t), words));
    if (rank->why->st != ST_OK) log_error("%s", rank->why->msg);
    _exit(cmd_exit_code(rank->why->st != ST_OK ? rank->why->st : ST_COMM));
}

/* [all] One file for all; times count from rank 0's word. */
static status open_trace(struct trace **out, struct comm *world, const char *path)
{
    double start = trace_epoch();
    char *bytes = (char *)&start, name[64];
    size_t len = sizeof start;

    if (!path) return ST_OK;
    TRY(comm_agree(world, world->rank ? ST_OK : trace_create(path)));
    TRY(comm_broadcast(world, 0, &bytes, &len));
    if (world->rank) {
        memcpy(&start, bytes, sizeof start);
        free(bytes);
    }
    snprintf(name, sizeof name, "rank %d, machine %d", world->rank, world->node[world->rank]);
    return trace_open(out, &(struct trace_config){
                               .path = path, .rank = world->rank, .name = name, .start = start });
}

/* [all] Whether it can be written is known before anything is loaded. */
static status open_report(struct render_report **out, struct comm *world,
                          const struct engine_options *o)
{
    if (!o->report) return ST_OK;
    return comm_agree(world, world->rank ? ST_OK : render_report_open(out, o, world->size));
}

static int threads_of(const struct comm *world, const struct engine_options *o)
{
    int here = 1;

    for (int r = 0; r < world->size; r++)
        here += r != world->rank && world->node[r] == world->node[world->rank];
    if (comm_launcher_rank() >= 0 && o->threads) return o->threads;
    int const threads = (o->threads ? o->threads : pool_cpus()) / here;
    return threads > 0 ? threads : 1;
}

/* [all] The file's closing bracket, when everyone has written. */
static status end_trace(struct engine_rank *rank, status st)
{
    struct error const own = *error_last();

    if (!rank->trace) return st;
    if (rank->world->rank) trace_close(&rank->trace, false);
    status const met = comm_agree(rank->world, ST_OK);
    trace_close(&rank->trace, met == ST_OK);
    if (status_outweighs(met, st)) return met;
    if (st != ST_OK) error_adopt(&own);
    return st;
}

/* Where all ranks meet they wait as long as the others live: the pulse sees to that. */
enum { ALL_WAIT_S = 1000000 };

static status render_rank_main(struct comm *world, void *arg)
{
    const struct render *const r = arg;
    const struct engine_options *const o = r->o;
    struct error why = { .st = ST_OK };
    struct engine_rank rank = {
        .why = &why,
        .o = o,
        .world = world,
        .threads = threads_of(world, o),
        .device = world_device(world, o->devices),
        .store = r->store,
    };
    struct watchdog_config const watch = { .expired = hung, .arg = &rank };
    double const usual = world->deadline_s;
    struct render_list l = { 0 };
    status st = ST_OK;

    log_set_rank(world->size > 1 ? world->rank : -1);
    TRY_OUT(watchdog_open(&rank.watch, &watch));
    TRY_OUT(heartbeat_open(&rank.pulse, world, o->stall_s, o->stop_asked));
    world->deadline_s = ALL_WAIT_S;
    TRY_OUT(engine_check_config(world, o, r->path, r->paths));
    TRY_OUT(open_trace(&rank.trace, world, o->trace));
    TRY_OUT(open_report(&rank.report, world, o));
    TRY_OUT(render_list_open(&l, world, r->path, r->paths, o->precision));
    TRY_OUT(run_batches(&rank, &l));
    log_info("render: %d clips made", l.count);
out:
    if (st == ST_CANCELED)
        log_info("render: stopped at a block boundary. Give the same command again: clips that "
                 "are finished are kept, the one in work begins anew.");
    render_list_close(&l);
    if (st == ST_OK || st == ST_CANCELED) st = end_trace(&rank, st);
    render_report_close(&rank.report);
    trace_close(&rank.trace, false);
    if (st == ST_PEER && heartbeat_verdict(rank.pulse) != ST_OK) st = error_last()->st;
    heartbeat_close(&rank.pulse);
    watchdog_close(&rank.watch);
    world->deadline_s = usual;
    return st;
}

static status render(char *const *paths, int count, const struct world_options *w,
                     const struct engine_options *o)
{
    struct render r = { .o = o, .path = paths, .paths = count };
    status st = ST_OK;

    catch_signals();
    TRY(model_pool_open(&r.store, o->backend, o->threads ? o->threads : pool_cpus()));
    st = world_run(w, render_rank_main, &r);
    model_pool_close(&r.store);
    return st;
}

/* Where embeddings are kept between renders: the user's cache folder. */
static char *default_cache(void)
{
    const char *const xdg = getenv("XDG_CACHE_HOME"), *const home = getenv("HOME");

    if (xdg && xdg[0] == '/') return str_format("%s/rollmill/prompts", xdg);
    return home && home[0] == '/' ? str_format("%s/.cache/rollmill/prompts", home) : NULL;
}

/* The options as they are written. */
struct wishes {
    struct backend_request backend;
    const char *text, *precision, *aim, *cache, *trace, *report;
    int ranks, per_line, decode, threads, deadline, stall;
    bool no_cache, cross_nodes;
};

/* *help: printed, and nothing more to do; else the jobs are argv[1] to argv[*argc - 1]. */
static status parse(struct wishes *w, int *argc, char **argv, bool *help)
{
    struct opt const table[] = {
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
        .usage = "render JOB.yaml... [options]",
        .about = "Render every clip of the jobs. A clip's folder appears complete or not at all.\n"
                 "Given again, it goes on where it was stopped: finished clips are skipped.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&o, argc, argv, help));
    if (*help) return ST_OK;
    if (*argc < 2) return fail(ST_ARG, "render needs at least one JOB.yaml; see --help");
    if (w->trace && w->report && !strcmp(w->trace, w->report) && strncmp(w->trace, "/dev/", 5) != 0)
        return fail(ST_ARG, "--trace and --report name one file: %s", w->trace);
    opts_print(&o);
    return ST_OK;
}

static struct engine_options options_of(const struct wishes *w, const struct backend *b)
{
    return (struct engine_options){
        .backend = b->kern,
        .text_backend = strcmp(w->text, "cpu") ? b->kern : kern_backend_find("cpu"),
        .mode = b->mode,
        .device_name = b->device_name,
        .devices = b->devices,
        .precision = strcmp(w->precision, "job") ? w->precision : NULL,
        .threads = w->threads,
        .ranks_per_line = w->per_line,
        .decode_ranks = w->decode,
        .for_latency = !strcmp(w->aim, "latency"),
        .cross_nodes = w->cross_nodes,
        .deadline_s = w->deadline,
        .stall_s = w->stall < w->deadline ? w->stall : w->deadline,
        .prompt_cache = w->no_cache ? NULL : w->cache,
        .trace = w->trace,
        .report = w->report,
        .stop = stopped,
        .stop_asked = asked,
    };
}

status cmd_render(int argc, char **argv)
{
    char *const home_cache = default_cache();
    struct wishes w = { .text = "same",
                        .precision = "job",
                        .aim = "throughput",
                        .cache = home_cache,
                        .ranks = 1,
                        .decode = -1,
                        .deadline = 3600,
                        .stall = 120 };
    struct backend backend;
    status st = ST_OK;
    bool help;

    TRY_OUT(parse(&w, &argc, argv, &help));
    if (help) goto out;
    TRY_OUT(backend_choose(&backend, &w.backend));
    backend_print(&backend);

    struct engine_options const options = options_of(&w, &backend);
    struct world_options const world = { .ranks = w.ranks,
                                         .deadline_s = w.deadline,
                                         .devices = backend.devices,
                                         .report = cmd_report,
                                         .exit_code = cmd_exit_code };
    TRY_OUT(render(argv + 1, argc - 1, &world, &options));
out:
    free(home_cache);
    return st;
}
