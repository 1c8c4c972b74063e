/* queue_select.c - names to jobs. */
#include "base/strbuf.h"
#include "cmd/queue/cmd_queue_internal.h"
#include "jobs/yaml/yaml_value.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One name being looked for. */
struct search {
    struct selection *to;
    const char *name;
    struct selected range; /* first and last */
    bool pattern, failed;
    struct selected best; /* job 0: none */
    bool best_open;
    int found;
};

static void add_selected(struct search *s, const struct selected *what)
{
    struct selection *const to = s->to;
    struct selected *const more = realloc(to->at, (size_t)(to->count + 1) * sizeof *more);

    s->failed = s->failed || !more;
    if (!more) return;
    to->at = more;
    to->at[to->count++] = *what;
}

static void look_at_job(void *arg, const struct queue_job_status *j)
{
    struct search *const s = arg;
    struct selected it = s->range;
    bool const open = !j->closed;

    it.job = j->id;
    snprintf(it.uid, sizeof it.uid, "%s", j->uid);
    if (s->pattern) {
        if (fnmatch(s->name, j->name, 0) && fnmatch(s->name, j->uid, 0)) return;
        s->found++;
        add_selected(s, &it);
    } else if (!strcmp(s->name, j->uid)) {
        s->best = it;
        s->best_open = true;
    } else if (!strcmp(s->name, j->name) && (open || !s->best_open)) { /* they come by age */
        s->best = it;
        s->best_open = open;
    }
}

/* "name/3-7": cut at the slash. */
static status read_clip_range(char *name, struct selected *to)
{
    char *const slash = strchr(name, '/'), *dash;
    uint64_t first, last;

    to->first = to->last = -1;
    if (!slash) return ST_OK;
    *slash = '\0';
    dash = strchr(slash + 1, '-');
    if (dash) *dash = '\0';
    bool const ok = value_u64(slash + 1, &first) && value_u64(dash ? dash + 1 : slash + 1, &last) &&
                    first <= last && last < INT32_MAX;
    if (!ok)
        return fail(ST_ARG,
                    "%s/...: behind the slash a clip's number is allowed, or numbers such "
                    "as 3-7",
                    name);
    to->first = (int64_t)first;
    to->last = (int64_t)last;
    return ST_OK;
}

static status select_one(struct selection *out, struct queue *q, const char *text)
{
    char *const name = str_format("%s", text);
    struct search s = { .to = out, .name = name };
    status st = ST_OK;

    if (!name) return fail(ST_NOMEM, "%s: no memory", text);
    TRY_OUT(read_clip_range(name, &s.range));
    s.pattern = strpbrk(name, "*?[") != NULL;
    TRY_OUT(queue_check_answer(q, queue_jobs(q, look_at_job, &s)));
    if (s.best.job) {
        s.found++;
        add_selected(&s, &s.best);
    }
    if (s.failed) FAIL_OUT(ST_NOMEM, "%s: no memory", text);
    if (!s.found)
        st = fail(ST_ARG, "%s: the queue has no such job; `queue status` lists them", name);
out:
    free(name);
    return st;
}

status queue_select(struct selection *out, struct queue *q, char *const *names, int count)
{
    *out = (struct selection){ 0 };
    for (int i = 0; i < count; i++) {
        status const st = select_one(out, q, names[i]);
        if (st == ST_OK) continue;
        queue_select_free(out);
        return st;
    }
    return ST_OK;
}

void queue_select_free(struct selection *s)
{
    free(s->at);
    *s = (struct selection){ 0 };
}
