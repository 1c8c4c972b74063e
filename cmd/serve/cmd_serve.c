/* cmd_serve.c - a queue as a page, for Prometheus and as JSON; only to look at. */
#include "base/log.h"
#include "cmd/cmd.h"
#include "cmd/queue/queue_url.h"
#include "cmd/serve/serve_internal.h"

#include <signal.h>
#include <stdio.h>

struct serve_options {
    const char *queue, *listen;
};

static status parse_serve(struct serve_options *o, int *argc, char **argv, bool *help)
{
    struct opt const table[] = {
        QUEUE_OPTION(&o->queue),
        { "listen", OPT_TEXT, &o->listen, .value = "HOST:PORT",
          .help = "address to listen on; any but this machine's own lets everybody look" },
    };
    struct opts const opts = {
        .usage = "serve [OUTPUT...] [options]",
        .about = "Show a queue as a page, until a signal: jobs, what runs, what failed, and of\n"
                 "clips in the output folders OUTPUT their contact sheets. /metrics is for\n"
                 "Prometheus, /api/v1/status for programs. Nothing can be changed here.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&opts, argc, argv, help));
    if (!*help) opts_print(&opts);
    return ST_OK;
}

/* The thread that answers inherits that these are blocked. */
static void wait_for_signal(const sigset_t *set)
{
    int got = 0;

    while (sigwait(set, &got)) continue;
    log_info("serve: ended by %s", got == SIGINT ? "SIGINT" : "SIGTERM");
}

static status serve_queue(const struct serve_options *o, char *const *outputs, int count)
{
    struct serve s = { 0 };
    struct serve_http *http = NULL;
    sigset_t set;
    int port;
    status st;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    TRY_OUT(serve_roots_open(&s.roots, outputs, count));
    TRY_OUT(queue_url_open(&s.q, o->queue, false));
    TRY_OUT(serve_http_open(&http, &s, o->listen, &port));
    printf("http port %d\n", port);
    fflush(stdout);
    wait_for_signal(&set);
out:
    serve_http_close(&http);
    serve_snapshot_free(&s.now);
    queue_close(&s.q);
    serve_roots_close(&s.roots);
    return st;
}

status cmd_serve(int argc, char **argv)
{
    struct serve_options o = { .listen = "127.0.0.1:8080" };
    bool help;

    TRY(parse_serve(&o, &argc, argv, &help));
    return help ? ST_OK : serve_queue(&o, argv + 1, argc - 1);
}
