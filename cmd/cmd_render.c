/* cmd_render.c - jobs in, finished clips out. */
#include "base/log.h"
#include "base/pool.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "cmd/render.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stop_asked, line_runs;

/* While a line runs, a stop is heeded at the next tick. Before, nothing is in work
 * and the process may just end. A second signal ends it at once: the handler is
 * gone by then. */
static void on_signal(int number)
{
    static const char words[] = "render: stopped while loading. Give the same command again.\n";

    (void)number;
    stop_asked = 1;
    if (line_runs) return;
    if (write(STDERR_FILENO, words, sizeof words - 1) < 0) _exit(EXIT_FAILURE);
    _exit(75);
}

static void catch_signals(void)
{
    struct sigaction const act = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
    int const stops[] = { SIGINT, SIGTERM, SIGHUP, SIGUSR1 };

    for (int i = 0; i < COUNT_OF(stops); i++) sigaction(stops[i], &act, NULL);
}

static bool stopped(void)
{
    line_runs = 1; /* it is the line that asks */
    return stop_asked != 0;
}

static bool together(const struct render_clip *a, const struct render_clip *b)
{
    return !strcmp(a->card->path, b->card->path) && a->job->precision == b->job->precision &&
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

/* Clips that can share a line are taken together, the first one's batch first. */
static status run_batches(const struct render_list *l, const struct render_options *o)
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
        line_runs = 0;
        st = render_batch_run(&(struct render_batch){
            .o = o, .clip = batch, .clips = taken, .all_clips = l->count, .clips_done = done });
        done += taken;
    }
out:
    free(order);
    free(batch);
    return st;
}

static status render(char *const *paths, int count, const struct render_options *o)
{
    struct render_list l;
    status st;

    catch_signals();
    TRY(render_list_open(&l, paths, count, o->precision));
    if (l.skipped) log_info("render: %d clips are there already", l.skipped);
    st = run_batches(&l, o);
    if (st == ST_OK) log_info("render: %d clips made", l.count);
    if (st == ST_CANCELED)
        log_info("render: stopped at a block boundary. Give the same command again: clips that "
                 "are finished are kept, the one in work begins anew.");
    render_list_close(&l);
    return st;
}

/* Where embeddings are kept between renders: the user's cache folder. */
static char *default_cache(void)
{
    const char *const xdg = getenv("XDG_CACHE_HOME"), *const home = getenv("HOME");

    if (xdg && xdg[0] == '/') return text_format("%s/rollmill/prompts", xdg);
    return home && home[0] == '/' ? text_format("%s/.cache/rollmill/prompts", home) : NULL;
}

status cmd_render(int argc, char **argv)
{
    char *const home_cache = default_cache();
    const char *backend = "cpu", *precision = "job", *cache = home_cache;
    int ranks = 1, threads = pool_cpus(), deadline = 3600;
    bool no_cache = false;
    struct opt const table[] = {
        { "backend", OPT_CHOICE, &backend, .value = "NAME", .help = "what computes",
          .choices = kern_backend_names() },
        { "precision", OPT_CHOICE, &precision, .value = "TYPE",
          .help = "of weights and activations", .choices = "job|f32|bf16" },
        { "ranks", OPT_INT, &ranks, .value = "N",
          .help = "threads that share out the line's stages", .min = 1, .max = 16 },
        { "threads", OPT_INT, &threads, .value = "N", .help = "threads that compute, in all",
          .min = 1, .max = 4096 },
        { "deadline", OPT_INT, &deadline, .value = "S",
          .help = "longest wait of one rank for another", .min = 1, .max = 86400 },
        { "prompt-cache", OPT_TEXT, &cache, .value = "DIR",
          .help = "where prompt embeddings are kept" },
        { "no-prompt-cache", OPT_FLAG, &no_cache, .help = "embed every prompt anew" },
    };
    struct opts const o = {
        .usage = "render JOB.yaml... [options]",
        .about = "Render every clip of the jobs. A clip's folder appears complete or not at all.\n"
                 "Given again, it goes on where it was stopped: finished clips are skipped.\n",
        .table = table,
        .count = COUNT_OF(table),
    };
    status st = ST_OK;
    bool help;

    TRY_OUT(opts_parse(&o, &argc, argv, &help));
    if (help) goto out;
    if (argc < 2) {
        st = fail(ST_ARG, "render needs at least one JOB.yaml; see --help");
        goto out;
    }
    opts_print(&o);

    struct render_options const options = {
        .backend = kern_backend_find(backend),
        .precision = strcmp(precision, "job") ? precision : NULL,
        .ranks = ranks,
        .threads = threads,
        .deadline_s = deadline,
        .prompt_cache = no_cache ? NULL : cache,
        .stop = stopped,
    };
    TRY_OUT(render(argv + 1, argc - 1, &options));
out:
    free(home_cache);
    return st;
}
