/* cmd_work.c - a world that renders what the queue has. */
#define _XOPEN_SOURCE 700 /* strptime */
#include "base/log.h"
#include "base/strbuf.h"
#include "cmd/cmd.h"
#include "cmd/queue/cmd_queue_internal.h"
#include "cmd/render/render_run.h"
#include "comm/comm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct work_options {
    struct render_request render;
    const char *queue, *until;
    int ahead, lease, patience;
    bool stay;
};

struct work {
    const struct work_options *o;
    int64_t until;
    struct queue_link *link;
    struct queue_link_counts counts;
    status end; /* of the link, where it ended before its time */
};

static status open_queue(void *arg, const struct engine_options *o, struct work_source *out,
                         int64_t *clips)
{
    struct work *const w = arg;
    char *url;

    TRY(queue_url_find(&url, w->o->queue));
    struct queue_link_config const c = { .url = url,
                                         .lease_ms = w->o->lease * 1000,
                                         .ahead = 1,
                                         .stay = w->o->stay,
                                         .patience_s = w->o->patience,
                                         .until = w->until,
                                         .stop = render_stop,
                                         .stopped = render_stop_asked,
                                         .loading = render_is_loading,
                                         .overdue = render_is_overdue,
                                         .stopped_code = cmd_exit_code(ST_CANCELED),
                                         .engine = o };
    status const st = queue_link_open(&w->link, &c);
    free(url);
    if (st != ST_OK) {
        struct error const why = *error_last();
        (void)!queue_link_close(&w->link, &w->counts);
        error_adopt(&why);
        return st;
    }
    *clips = 0;
    *out = queue_link_source(w->link);
    return ST_OK;
}

static void close_queue(void *arg)
{
    struct work *const w = arg;

    if (!w->link) return; /* why it could not be opened is yet to be said */
    w->end = queue_link_close(&w->link, &w->counts);
    if (w->end != ST_OK && w->end != ST_CANCELED) log_error("%s", error_last()->msg);
    if (w->end == ST_CANCELED) log_warn("%s", error_last()->msg);
    error_clear();
}

/* Seconds since 1970, or a local time such as 2031-05-01T18:30. */
static status read_until(const char *text, int64_t *out)
{
    char *end;
    struct tm t = { .tm_isdst = -1 };

    *out = 0;
    if (!text) return ST_OK;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (!errno && end != text && !*end && *out > 0) return ST_OK;
    const char *const rest = strptime(text, "%Y-%m-%dT%H:%M", &t);
    const char *const more = rest && *rest == ':' ? strptime(rest, ":%S", &t) : rest;
    if (more && !*more && (*out = (int64_t)mktime(&t)) > 0) return ST_OK;
    return fail(ST_ARG,
                "--until %s: allowed: seconds since 1970, or a time such as "
                "2031-05-01T18:30",
                text);
}

static status parse_work(struct work_options *o, int *argc, char **argv, bool *help)
{
    struct opt const table[] = {
        QUEUE_OPTION(&o->queue),
        { "stay", OPT_FLAG, &o->stay, .help = "wait at an empty queue instead of ending" },
        { "until", OPT_TEXT, &o->until, .value = "TIME",
          .help = "stop then, as by a signal: seconds since 1970, or 2031-05-01T18:30" },
        { "ahead", OPT_INT, &o->ahead, .value = "N",
          .help =
              "clips held beyond those in the line: what an outage of the database costs nothing",
          .min = 1, .max = 64 },
        { "lease", OPT_INT, &o->lease, .value = "S",
          .help = "a world that is silent so long is taken for dead", .min = 1, .max = 86400 },
        { "queue-patience", OPT_INT, &o->patience, .value = "S",
          .help = "how long an idle world waits for an unreachable database", .min = 1,
          .max = 864000 },
        RENDER_OPTIONS(o->render),
    };
    struct opts const opts = {
        .usage = "work [options]",
        .about =
            "Render what the queue has, until it is empty. Any number of worlds may work on one\n"
            "queue. A world that is stopped hands its clips back; one that dies has them taken.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&opts, argc, argv, help));
    if (*help) return ST_OK;
    if (*argc > 1) return fail(ST_ARG, "work takes no jobs, found %s; `submit` does", argv[1]);
    if (strcmp(o->render.precision, "job") != 0)
        return fail(ST_ARG, "--precision %s: a queue's clips are rendered as their jobs say",
                    o->render.precision);
    TRY(render_request_check(&o->render));
    opts_print(&opts);
    return ST_OK;
}

static status work_on_queue(const struct work_options *o)
{
    struct work w = { .o = o };
    struct engine_result result;

    TRY(read_until(o->until, &w.until));
    struct render_work const work = { .open = open_queue,
                                      .close = close_queue,
                                      .arg = &w,
                                      .same = "work\n",
                                      .ahead = o->ahead,
                                      .ends_itself = true };
    status st = render_run(&o->render, &work, &result);
    if (comm_launcher_rank() <= 0)
        log_info("work: %lld clips made, %lld failed, %lld handed back, %lld lost to others",
                 (long long)w.counts.done, (long long)w.counts.failed,
                 (long long)w.counts.handed_back, (long long)w.counts.lost);
    if (st == ST_OK && w.end != ST_OK) st = fail(w.end, "the queue ended this world");
    return st;
}

status cmd_work(int argc, char **argv)
{
    struct work_options o = { .ahead = 2, .lease = QUEUE_LEASE_MS / 1000, .patience = 600 };
    bool help;

    render_catch_signals();
    render_request_begin(&o.render);
    status st = parse_work(&o, &argc, argv, &help);
    if (st == ST_OK && !help) st = work_on_queue(&o);
    render_request_end(&o.render);
    return st;
}
