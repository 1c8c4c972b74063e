/* queue_clean.c - the output folders of all jobs, each swept once. */
#include "base/file.h"
#include "base/strbuf.h"
#include "cmd/queue/cmd_queue_internal.h"

#include <stdlib.h>
#include <string.h>

struct folders {
    char **at;
    int count;
    int64_t *job; /* [jobs] */
    int jobs;
    bool failed;
};

static void take_folder(void *arg, const struct queue_clip_status *s)
{
    struct folders *const f = arg;
    char *const out = path_dir(s->folder);

    for (int i = 0; out && i < f->count; i++)
        if (!strcmp(f->at[i], out)) {
            free(out);
            return;
        }
    char **const more = out ? realloc(f->at, (size_t)(f->count + 1) * sizeof *more) : NULL;
    f->failed = f->failed || !more;
    if (more) {
        f->at = more;
        f->at[f->count++] = out;
    } else {
        free(out);
    }
}

static void take_job(void *arg, const struct queue_job_status *s)
{
    struct folders *const f = arg;
    int64_t *const more = realloc(f->job, (size_t)(f->jobs + 1) * sizeof *more);

    f->failed = f->failed || !more;
    if (!more) return;
    f->job = more;
    f->job[f->jobs++] = s->id;
}

/* A job's clips are all in one folder: output.dir. */
static status find_folders(struct queue *q, struct folders *f)
{
    TRY(queue_check_answer(q, queue_jobs(q, take_job, f)));
    for (int i = 0; i < f->jobs; i++)
        TRY(queue_check_answer(q, queue_clips(q, f->job[i], 0, 1, take_folder, f)));
    return f->failed ? fail(ST_NOMEM, "%d jobs", f->jobs) : ST_OK;
}

static status sweep_folders(const struct folders *f, struct attempts_found *found)
{
    for (int i = 0; i < f->count; i++) {
        struct attempts_found one = { 0 };
        if (!path_exists(f->at[i])) continue;
        TRY(attempts_sweep(f->at[i], false, &one));
        found->removed += one.removed;
        found->alive += one.alive;
        found->unknown += one.unknown;
        found->resumable += one.resumable;
        found->finished += one.finished;
    }
    return ST_OK;
}

status queue_clean(struct queue *q, struct attempts_found *found, int *folders)
{
    struct folders f = { 0 };

    *found = (struct attempts_found){ 0 };
    status st = find_folders(q, &f);
    if (st == ST_OK) st = sweep_folders(&f, found);
    *folders = f.count;
    for (int i = 0; i < f.count; i++) free(f.at[i]);
    free(f.at);
    free(f.job);
    return st;
}
