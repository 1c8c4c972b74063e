/* cmd_queue.c - a queue's own command: one table of what can be done with it. */
#include "base/log.h"
#include "base/strbuf.h"
#include "cmd/cmd.h"
#include "cmd/queue/cmd_queue_internal.h"
#include "jobs/yaml/yaml_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct queue_command {
    const char *queue, *older, *by;
    bool json, watch, follow;
    char **arg; /* behind the verb */
    int args;
    const struct verb_row *row;
};

struct verb_row {
    const char *name, *what, *args;
    status (*run)(struct queue_command *c);
    int least, most;           /* arguments */
    enum queue_verb job, clip; /* what an order does to a job, and to one clip */
    bool of_job, of_clip;
};

/* ---- the queue itself ---- */

static status make_queue(struct queue_command *c)
{
    struct queue *q;
    char *url;

    status const st = queue_url_open(&q, c->queue, true);
    queue_close(&q);
    TRY(st);
    TRY(queue_url_find(&url, c->queue));
    if (queue_url_has_password(url)) puts("the queue is ready");
    else printf("the queue is ready: %s\n", url);
    free(url);
    return ST_OK;
}

static status upgrade_queue(struct queue_command *c)
{
    struct queue *q = NULL;
    char *url;
    int from;

    TRY(queue_url_find(&url, c->queue));
    enum queue_answer const a = queue_upgrade(&q, url, &from);
    free(url);
    status const st = queue_check_answer(q, a);
    queue_close(&q);
    if (st == ST_OK) printf("the queue is of version %d, this program's\n", from);
    return st;
}

/* ---- looking ---- */

static void wait_s(int s)
{
    struct timespec const t = { s, 0 };
    nanosleep(&t, NULL);
}

static status show_once(struct queue *q, const struct queue_command *c, const struct selection *s)
{
    if (c->by) return queue_show_owners(q, c->json);
    return s->count ? queue_show_clips(q, s, c->json) : queue_show_all(q, c->json);
}

static status show_status(struct queue_command *c)
{
    struct queue *q = NULL;
    struct selection s = { 0 };
    status st = ST_OK;

    TRY_OUT(queue_url_open(&q, c->queue, false));
    TRY_OUT(queue_select(&s, q, c->arg, c->args));
    while (st == ST_OK && c->watch && !ferror(stdout)) {
        queue_show_clear();
        st = show_once(q, c, &s);
        fflush(stdout);
        wait_s(2);
    }
    if (st == ST_OK && !c->watch) st = show_once(q, c, &s);
out:
    queue_select_free(&s);
    queue_close(&q);
    return st;
}

static status show_log(struct queue_command *c)
{
    struct queue *q = NULL;
    struct selection s = { 0 };
    int64_t after = 0;
    status st = ST_OK;

    TRY_OUT(queue_url_open(&q, c->queue, false));
    TRY_OUT(queue_select(&s, q, c->arg, c->args));
    st = queue_show_log(q, &s, c->json, &after);
    while (st == ST_OK && c->follow && !ferror(stdout)) {
        wait_s(1);
        st = queue_show_log(q, &s, c->json, &after);
    }
out:
    queue_select_free(&s);
    queue_close(&q);
    return st;
}

/* ---- orders ---- */

static status order_one(struct queue *q, enum queue_verb verb, int64_t job, int64_t arg,
                        int64_t *changed)
{
    int64_t rows = 0;
    enum queue_answer a = QUEUE_DOWN;

    for (int tries = 0; a == QUEUE_DOWN && tries < 3; tries++)
        a = queue_control(q, verb, job, arg, queue_user_name(), &rows);
    *changed += rows;
    return queue_check_answer(q, a);
}

/* The folder that a person has to move away before its clip is made again. */
struct standing {
    int64_t index;
    char folder[4096];
    bool stands;
};

static void look_for_folder(void *arg, const struct queue_clip_status *s)
{
    struct standing *const f = arg;
    struct stat there;

    if (s->index != f->index) return;
    f->stands = s->state == QUEUE_DONE && !lstat(s->folder, &there);
    snprintf(f->folder, sizeof f->folder, "%s", s->folder);
}

static status check_discard(struct queue *q, const struct selected *s, int64_t index)
{
    struct standing f = { .index = index };

    TRY(queue_check_answer(q, queue_clips(q, s->job, index, 1, look_for_folder, &f)));
    if (!f.stands) return ST_OK;
    return fail(ST_ARG, "%s/%lld: %s exists; move or remove it first", s->uid, (long long)index,
                f.folder);
}

static status order_clips(struct queue *q, const struct verb_row *row, const struct selected *s,
                          int64_t *changed)
{
    for (int64_t i = s->first; i <= s->last; i++) {
        if (row->clip == QUEUE_DO_DISCARD) TRY(check_discard(q, s, i));
        TRY(order_one(q, row->clip, s->job, i, changed));
    }
    return ST_OK;
}

static status order_selected(struct queue *q, const struct verb_row *row, const struct selected *s,
                             int64_t arg)
{
    int64_t changed = 0;

    if (s->first >= 0 && !row->of_clip)
        return fail(ST_ARG, "%s is for whole jobs, found %s/%lld", row->name, s->uid,
                    (long long)s->first);
    if (s->first < 0 && !row->of_job)
        return fail(ST_ARG, "%s is for clips, such as %s/0", row->name, s->uid);
    if (s->first >= 0) TRY(order_clips(q, row, s, &changed));
    else TRY(order_one(q, row->job, s->job, arg, &changed));
    printf("%s: %s%s\n", s->uid, row->name, changed ? "" : ": nothing to do");
    return ST_OK;
}

static status order_names(struct queue_command *c, char **names, int count, int64_t arg)
{
    struct queue *q = NULL;
    struct selection s = { 0 };
    status st = ST_OK;

    TRY_OUT(queue_url_open(&q, c->queue, false));
    TRY_OUT(queue_select(&s, q, names, count));
    for (int i = 0; i < s.count && st == ST_OK; i++) st = order_selected(q, c->row, &s.at[i], arg);
out:
    queue_select_free(&s);
    queue_close(&q);
    return st;
}

static status give_order(struct queue_command *c) { return order_names(c, c->arg, c->args, 0); }

static status set_priority(struct queue_command *c)
{
    uint64_t n;

    if (!value_u64(c->arg[0], &n) || n > 100)
        return fail(ST_ARG, "priority %s: a whole number from 0 to 100 is allowed", c->arg[0]);
    return order_names(c, c->arg + 1, c->args - 1, (int64_t)n);
}

static status drain_worlds(struct queue_command *c)
{
    struct queue *q = NULL;
    int64_t changed = 0;
    uint64_t world;
    status st = queue_url_open(&q, c->queue, false);

    if (st == ST_OK && !c->args) st = order_one(q, QUEUE_DO_DRAIN, 0, 0, &changed);
    for (int i = 0; i < c->args && st == ST_OK; i++) {
        if (value_u64(c->arg[i], &world) && world > 0 && world < INT64_MAX)
            st = order_one(q, QUEUE_DO_DRAIN, (int64_t)world, 0, &changed);
        else
            st = fail(ST_ARG, "drain %s: a world's number is allowed, as `queue status` has it",
                      c->arg[i]);
    }
    if (st == ST_OK)
        printf("%lld world%s to end after what %s in work\n", (long long)changed,
               changed == 1 ? " is" : "s are", changed == 1 ? "it has" : "they have");
    queue_close(&q);
    return st;
}

/* "30d", "12h", "90m", "10s" in ms. */
static status read_age(const char *text, int64_t *ms)
{
    static const struct {
        char letter;
        int64_t ms;
    } units[] = { { 'd', 86400000 }, { 'h', 3600000 }, { 'm', 60000 }, { 's', 1000 } };
    size_t const n = strlen(text);
    char digits[8] = "";
    uint64_t value;

    if (n > 1 && n <= sizeof digits - 1) memcpy(digits, text, n - 1);
    for (int i = 0; i < COUNT_OF(units); i++)
        if (n && text[n - 1] == units[i].letter && value_u64(digits, &value)) {
            *ms = (int64_t)value * units[i].ms;
            return ST_OK;
        }
    return fail(ST_ARG, "--older %s: an age such as 30d, 12h or 90m is allowed", text);
}

static status prune_jobs(struct queue_command *c)
{
    struct queue *q = NULL;
    int64_t ms, jobs = 0, before = -1;

    TRY(read_age(c->older, &ms));
    status st = queue_url_open(&q, c->queue, false);
    while (st == ST_OK && jobs != before) {
        before = jobs;
        st = order_one(q, QUEUE_DO_PRUNE, 0, ms, &jobs);
    }
    queue_close(&q);
    if (st == ST_OK)
        printf("%lld job%s older than %s forgotten\n", (long long)jobs, jobs == 1 ? "" : "s",
               c->older);
    return st;
}

static status clean_folders(struct queue_command *c)
{
    struct queue *q = NULL;
    struct attempts_found found;
    int folders = 0;
    status st = queue_url_open(&q, c->queue, false);

    if (st == ST_OK) st = queue_clean(q, &found, &folders);
    queue_close(&q);
    if (st == ST_OK)
        printf("%d output folders: %d attempts of killed worlds removed; left: %d running, "
               "%d resumable, %d unknown, %d finished clips that could not be published\n",
               folders, found.removed, found.alive, found.resumable, found.unknown, found.finished);
    return st;
}

/* ---- the command ---- */

enum { MANY = 1 << 20 };

#define JOBS  .least = 1, .most = MANY, .of_job = true
#define CLIPS .of_clip = true

static const struct verb_row verb_rows[] = {
    { "make", "create a queue, if there is none", "", make_queue, .most = 0 },
    { "upgrade", "bring an older queue to this program's version", "", upgrade_queue, .most = 0 },
    { "status", "jobs and worlds; of jobs, their clips", "[JOB...]", show_status, .most = MANY },
    { "log", "what happened; of clips, their attempts", "[JOB...]", show_log, .most = MANY },
    { "hold", "start no more of its clips", "JOB...", give_order, JOBS, .job = QUEUE_DO_HOLD },
    { "release", "resume it", "JOB...", give_order, JOBS, .job = QUEUE_DO_RELEASE },
    { "cancel", "stop its running clips, start no more", "JOB[/CLIP]...", give_order, JOBS, CLIPS,
      .job = QUEUE_DO_CANCEL, .clip = QUEUE_DO_CANCEL_CLIP },
    { "retry", "try what failed or was canceled again", "JOB[/CLIP]...", give_order, JOBS, CLIPS,
      .job = QUEUE_DO_RETRY, .clip = QUEUE_DO_RETRY_CLIP },
    { "discard", "make a clip again whose folder is gone", "JOB/CLIP...", give_order, .least = 1,
      .most = MANY, CLIPS, .clip = QUEUE_DO_DISCARD },
    { "priority", "set it, 0 to 100, higher first", "N JOB...", set_priority, .least = 2,
      .most = MANY, .of_job = true, .job = QUEUE_DO_PRIORITY },
    { "drain", "have worlds end after what they have in work", "[WORLD...]", drain_worlds,
      .most = MANY },
    { "clean", "remove what killed worlds have left beside the clips", "", clean_folders,
      .most = 0 },
    { "prune", "forget jobs that ended long ago", "--older AGE", prune_jobs, .most = 0 },
};

static char *write_about(void)
{
    struct strbuf t = { 0 };

    for (int i = 0; i < COUNT_OF(verb_rows); i++)
        strbuf_addf(&t, "  %-9s%-15s%s\n", verb_rows[i].name, verb_rows[i].args, verb_rows[i].what);
    strbuf_addf(&t,
                "\nA job is named as in its file, or by its number in the queue (name and 8 "
                "digits);\n'harbour-*' means several, harbour/17 and harbour/3-7 clips of it.\n");
    if (t.failed) strbuf_free(&t);
    return t.s;
}

static status find_verb(struct queue_command *c, int argc, char **argv)
{
    if (argc < 2) return fail(ST_ARG, "queue needs a command; see --help");
    for (int i = 0; i < COUNT_OF(verb_rows); i++)
        if (!strcmp(argv[1], verb_rows[i].name)) c->row = &verb_rows[i];
    if (!c->row) return fail(ST_ARG, "queue %s: no such word; see queue --help", argv[1]);
    c->arg = argv + 2;
    c->args = argc - 2;
    if (c->args < c->row->least)
        return fail(ST_ARG, "usage: rollmill queue %s %s", c->row->name, c->row->args);
    if (c->args > c->row->most)
        return fail(ST_ARG, "queue %s takes no names, found %s", c->row->name, c->arg[0]);
    if (c->by && c->args) return fail(ST_ARG, "--by owner counts all jobs; found %s", c->arg[0]);
    if (c->watch && c->json) return fail(ST_ARG, "--watch and --json do not go together");
    return ST_OK;
}

status cmd_queue(int argc, char **argv)
{
    struct queue_command c = { .older = "30d" };
    struct opt const table[] = {
        QUEUE_OPTION(&c.queue),
        { "json", OPT_FLAG, &c.json, .help = "status, log: print JSON" },
        { "watch", OPT_FLAG, &c.watch, .help = "status: again every two seconds" },
        { "by", OPT_CHOICE, &c.by, .value = "WHAT", .choices = "owner",
          .help = "status: clips, hours of video and of worlds, for each owner" },
        { "follow", OPT_FLAG, &c.follow, .help = "log: and what comes" },
        { "older", OPT_TEXT, &c.older, .value = "AGE", .help = "prune: ended so long ago" },
    };
    char *const about = write_about();
    struct opts const o = { .usage = "queue WHAT [JOB...] [options]",
                            .about = about,
                            .table = table,
                            .count = COUNT_OF(table) };
    bool help;

    status st = opts_parse(&o, &argc, argv, &help);
    if (st == ST_OK && !help) st = find_verb(&c, argc, argv);
    if (st == ST_OK && !help) st = c.row->run(&c);
    free(about);
    return st;
}
