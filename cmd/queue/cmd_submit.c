/* cmd_submit.c - jobs into the queue. */
#include "base/json_build.h"
#include "cmd/cmd.h"
#include "cmd/queue/cmd_queue_internal.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

struct submit_options {
    const char *queue, *hash;
    bool json, held;
    bool failed; /* no memory for a job's line of JSON */
};

static status parse_submit(struct submit_options *o, int *argc, char **argv, bool *help)
{
    struct opt const table[] = {
        QUEUE_OPTION(&o->queue),
        HASH_OPTION(o->hash),
        { "hold", OPT_FLAG, &o->held, .help = "begin none before `queue release`" },
        { "json", OPT_FLAG, &o->json, .help = "print a JSON object a job" },
    };
    struct opts const opts = {
        .usage = "submit JOB.yaml... [options]",
        .about =
            "Validate the jobs and put every clip of them into the queue. A job that is there\n"
            "already, the same clips in the same folders, is not added again.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&opts, argc, argv, help));
    if (!*help && *argc < 2) return fail(ST_ARG, "submit needs at least one JOB.yaml; see --help");
    return ST_OK;
}

static void print_job(void *arg, const struct queue_submitted *s)
{
    struct submit_options *const o = arg;

    if (!o->json) {
        printf("%s  %lld clip%s%s\n", s->uid, (long long)s->clips, s->clips == 1 ? "" : "s",
               s->fresh ? "" : ", in the queue already");
        return;
    }
    json_t *const root =
        json_pack("{s:s, s:s, s:I, s:I, s:b}", "job", s->uid, "name", s->name, "id",
                  (json_int_t)s->id, "clips", (json_int_t)s->clips, "added", s->fresh);
    if (!json_print(root, 0)) o->failed = true;
}

/* A queue in a file of this user is made by its first job; a server's is made by its owner. */
status cmd_submit(int argc, char **argv)
{
    struct submit_options o = { .hash = "sampled" };
    struct queue *q = NULL;
    bool help;

    TRY(parse_submit(&o, &argc, argv, &help));
    if (help) return ST_OK;
    status st = queue_url_open(&q, o.queue, queue_url_is_file(o.queue));
    if (st == ST_OK)
        st = queue_jobs_submit(
            q, argv + 1, argc - 1,
            &(struct queue_submission){ .held = o.held, .whole = !strcmp(o.hash, "full") },
            print_job, &o);
    queue_close(&q);
    if (st == ST_OK && o.failed) return fail(ST_NOMEM, "no memory for JSON");
    return st;
}
