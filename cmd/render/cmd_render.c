/* cmd_render.c - jobs in, finished clips out. */
#include "base/log.h"
#include "base/strbuf.h"
#include "cmd/cmd.h"
#include "cmd/job_numerics.h"
#include "cmd/render/render_internal.h"
#include "cmd/render/render_run.h"
#include "comm/comm.h"

#include <stdlib.h>
#include <string.h>

/* ---- the work ----------------------------------------------------------------------- */

struct job_render {
    const struct work_job *job;
    int jobs;
    struct work_list_options list_options;
    struct work_list *list;
    int64_t failed; /* clips that were not made, all of them; rank 0 */
    int refused;    /* jobs that were left out; rank 0 */
};

static status open_jobs(void *arg, const struct engine_options *o, struct work_source *out,
                        int64_t *clips)
{
    struct job_render *const r = arg;

    r->list_options.engine = o;
    TRY(work_list_open(&r->list, r->job, r->jobs, &r->list_options));
    struct work_counts const counts = work_list_counts(r->list);
    if (counts.skipped)
        log_info("render: %lld clips already exist, skipped", (long long)counts.skipped);
    *clips = counts.clips;
    *out = work_list_source(r->list);
    return ST_OK;
}

static void close_jobs(void *arg)
{
    struct job_render *const r = arg;

    if (!r->list) return;
    for (int64_t i = 0; i < work_list_counts(r->list).failed; i++) {
        struct work_failure const f = work_list_failure(r->list, i);
        if (f.st == ST_CANCELED) continue;
        log_error("not made: %s: %s", f.clip->dir, f.why);
        r->failed++;
    }
    for (int i = 0; i < work_list_counts(r->list).refused; i++) {
        struct work_refusal const f = work_list_refusal(r->list, i);
        log_error("not made: all of job %s: %s", f.job, f.why);
        r->refused++;
    }
    work_list_close(&r->list);
}

/* All ranks end alike; rank 0 has said which clips and why, those too that no line has had. */
static status check_result(const struct job_render *r, const struct engine_result *result,
                           bool failed_fast)
{
    int64_t const failed = r->failed > result->failed ? r->failed : result->failed;

    if (!failed && !r->refused) {
        log_info("render: %lld clips made", (long long)result->done);
        return ST_OK;
    }
    bool const only_refused = !result->done && result->failed && result->failed == result->refused;
    status const code = only_refused && !failed_fast ? ST_FORMAT : ST_IO;
    error_clear();
    if (comm_launcher_rank() > 0) return code; /* rank 0 says why */
    if (failed_fast) return fail(code, "stopped at the first clip that was not made");
    if (!r->refused)
        return fail(code, "%lld of %lld clips were not made", (long long)failed,
                    (long long)(failed + result->done));
    return fail(code, "%lld of %lld clips were not made, and none of %d jobs", (long long)failed,
                (long long)(failed + result->done), r->refused);
}

/* ---- options ------------------------------------------------------------------------- */

/* *help: printed, and nothing more to do; else the jobs are argv[1] to argv[*argc - 1]. */
static status parse_render(struct render_request *w, struct work_list_options *list,
                           struct prompt_request *prompt, int *argc, char **argv, bool *help)
{
    const char *clips = NULL, *part = NULL, *hash = "sampled";
    struct opt const table[] = {
        { "prompt", OPT_TEXT, &prompt->text, .value = "TEXT",
          .help = "render this one sentence, without a job file" },
        { "length", OPT_TEXT, &prompt->length, .value = "TIME",
          .help = "of --prompt's clip, as 2m; left out: 20s" },
        { "model", OPT_TEXT, &prompt->card, .value = "CARD",
          .help = "of --prompt; left out: $ROLLMILL_MODEL, or the demo model" },
        { "size", OPT_TEXT, &prompt->size, .value = "WxH",
          .help = "of --prompt's pictures; left out: what the card says, or 832x480" },
        { "seed", OPT_TEXT, &prompt->seed, .value = "N",
          .help = "of --prompt's noise; left out: 0" },
        { "out", OPT_TEXT, &prompt->out, .value = "DIR",
          .help = "where --prompt's clip goes; left out: out" },
        { "clips", OPT_TEXT, &clips, .value = "LIST",
          .help = "only these of each job: numbers from 0, such as 17-24,30" },
        { "part", OPT_TEXT, &part, .value = "K/N",
          .help = "only the K-th of N parts of each job's clips, from 1" },
        RENDER_OPTIONS(*w),
        HASH_OPTION(hash),
        { "verify", OPT_FLAG, &list->verify,
          .help = "read all files of finished clips before they are skipped" },
        { "fail-fast", OPT_FLAG, &w->fail_fast,
          .help = "stop at the first clip that fails, instead of making all others" },
        { "same-numerics", OPT_FLAG, &list->same_numerics,
          .help = "a finished clip of other numerics is made again, as another version" },
    };
    struct opts const o = {
        .usage = "render JOB.yaml... [options]\n       rollmill render --prompt TEXT [options]",
        .about = "Render every clip of the jobs. A clip's folder appears complete or not at all.\n"
                 "Given again, it resumes where it was stopped: finished clips are skipped.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&o, argc, argv, help));
    if (*help) return ST_OK;
    if ((*argc < 2) == !prompt->text)
        return fail(ST_ARG, "render needs at least one JOB.yaml, or --prompt; see --help");
    TRY(prompt_request_check(prompt));
    TRY(render_request_check(w));
    TRY(clip_choice_read(&list->choice, clips, part));
    list->hash.whole = !strcmp(hash, "full");
    opts_print(&o);
    return ST_OK;
}

/* Clips that are taken from the jobs before their first block enters a line: as many as have
 * their prompts embedded together. */
enum { AHEAD = 64 };

/* What was asked of this rank beside the engine's own options: all must be asked the same. */
static char *describe_jobs(const struct work_job *job, int jobs)
{
    struct strbuf t = { 0 };

    strbuf_addf(&t, "%d jobs\n", jobs);
    for (int i = 0; i < jobs; i++)
        strbuf_addf(&t, "job %s\n%s", job[i].path, job[i].text ? job[i].text : "");
    if (t.failed) strbuf_free(&t);
    return t.s;
}

static status render_jobs(const struct render_request *w, const struct work_list_options *list,
                          const struct work_job *job, int jobs)
{
    char *const same = describe_jobs(job, jobs);
    struct job_render r = { .job = job, .jobs = jobs, .list_options = *list };
    struct render_work const work = {
        .open = open_jobs,
        .close = close_jobs,
        .arg = &r,
        .same = same,
        .ahead = AHEAD,
        .stopped = "render: stopped at a block boundary. Give the same command again: clips that "
                   "are finished are kept, those in work go on from their last checkpoint.",
    };
    struct engine_result result;

    if (!same) return fail(ST_NOMEM, "%d jobs", jobs);
    r.list_options.fail_fast = w->fail_fast;
    r.list_options.precision = render_precision(w);
    r.list_options.hash.cache = w->hashes;
    r.list_options.given = job_numerics_given(&w->backend);
    status st = render_run(w, &work, &result);
    bool const failed_fast = st == ST_CANCELED && w->fail_fast && result.failed;
    if (st == ST_OK || failed_fast) st = check_result(&r, &result, failed_fast);
    free(same);
    return st;
}

/* One job of a sentence. */
static status render_prompt(const struct render_request *w, const struct work_list_options *list,
                            const struct prompt_request *prompt)
{
    char *text;

    TRY(prompt_job_text(&text, prompt));
    struct work_job const job = { .path = PROMPT_JOB_PATH, .text = text };
    status const st = render_jobs(w, list, &job, 1);
    free(text);
    return st;
}

static status render_files(const struct render_request *w, const struct work_list_options *list,
                           char *const *path, int paths)
{
    struct work_job *const job = calloc((size_t)paths, sizeof *job);

    if (!job) return fail(ST_NOMEM, "%d jobs", paths);
    for (int i = 0; i < paths; i++) job[i].path = path[i];
    status const st = render_jobs(w, list, job, paths);
    free(job);
    return st;
}

status cmd_render(int argc, char **argv)
{
    struct work_list_options list = { .verify = false };
    struct prompt_request prompt = { .text = NULL };
    struct render_request w;
    bool help;

    render_catch_signals();
    render_request_begin(&w);
    status st = parse_render(&w, &list, &prompt, &argc, argv, &help);
    if (st == ST_OK && !help)
        st = prompt.text ? render_prompt(&w, &list, &prompt)
                         : render_files(&w, &list, argv + 1, argc - 1);
    render_request_end(&w);
    return st;
}
