/*
 * cmd_extend.c - a finished clip made longer: a render of one clip, which goes on from what the
 * finished one has kept (pipeline/output/clip_extension.c).
 *
 * The longer clip is a clip of its own, in a folder of its own: what is finished is never written
 * to. Its ids are those of the same job with the longer clip.length, for what was kept of the
 * shorter one says all that the job did.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "cmd/clip_folder.h"
#include "cmd/cmd.h"
#include "cmd/render/render_run.h"
#include "comm/comm.h"
#include "jobs/spec/clip.h"
#include "jobs/spec/spec_json.h"
#include "jobs/yaml/duration.h"
#include "pipeline/dit/dit.h"
#include "pipeline/engine/work_source.h"
#include "pipeline/output/attempts.h"
#include "pipeline/output/clip_claim.h"
#include "pipeline/output/finished_clip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SPEC_BYTES = 64 << 20, VERSIONS = 10000 };

struct extension {
    struct render_request render;
    const char *length, *to; /* as asked for; `to` NULL: the next version of the name */

    /* rank 0's */
    char *from; /* the finished clip's folder, by its whole path */
    struct clip_spec clip;
    struct model_spec model;
    struct clip_claims *claims;
    bool there, handed; /* the longer clip stands already; the engine has it */
};

/* ---- what it goes on from ----------------------------------------------------------- */

static status read_kept(const struct extension *x, const char *name, char **text, size_t *len)
{
    char *const path = str_format("%s/" FINISHED_EXTENSION "/%s", x->from, name);

    if (!path) return fail(ST_NOMEM, "%s: no memory for a name", x->from);
    status const st = file_read(path, SPEC_BYTES, text, len);
    free(path);
    return st;
}

static status read_specs(struct extension *x)
{
    char *text = NULL;
    size_t len;
    status st = ST_OK;

    TRY(read_kept(x, "clip.spec.json", &text, &len));
    TRY_OUT(clip_spec_from_json(&x->clip, text, len));
    free(text);
    text = NULL;
    TRY_OUT(read_kept(x, "model.spec.json", &text, &len));
    st = model_spec_from_json(&x->model, text, len);
out:
    free(text);
    return st;
}

/* All its files are what they were, and it has what it takes. */
static status read_finished(struct extension *x)
{
    struct finished_clip there;
    char *const kept = path_join(x->from, FINISHED_EXTENSION);
    bool const has = kept && path_exists(kept);

    free(kept);
    TRY(finished_clip_read(&there, x->from, FINISHED_RECORD));
    if (!has)
        return fail(ST_FORMAT,
                    "%s: cannot be extended: what that needs was not kept; allowed: a clip whose "
                    "job says output.extendable: true, with two blocks that are made, in a rolling "
                    "window as many as the model has levels",
                    x->from);
    status const st = finished_clip_read(&there, x->from, FINISHED_HASHES);
    if (st == ST_MISMATCH) {
        struct error const why = *error_last();
        return fail(ST_FORMAT, "%s: cannot be extended, it is damaged:\n%.3000s", x->from, why.msg);
    }
    TRY(st);
    TRY(read_specs(x));
    if (!x->clip.task_id[0] || strcmp(x->clip.task_id, there.task_id) != 0)
        return fail(ST_FORMAT, "%s: cannot be extended: what was kept is of another clip", x->from);
    x->clip.extends = path_join(x->from, FINISHED_EXTENSION);
    return x->clip.extends ? ST_OK : fail(ST_NOMEM, "%s: no memory", x->from);
}

static status lengthen_clip(struct extension *x)
{
    struct value_rate const fps = { x->clip.fps_num, x->clip.fps_den };
    int64_t const now = x->clip.pictures;
    struct duration length;

    if (!duration_parse(x->length, &length))
        return fail(ST_ARG, "--length %s: allowed: " DURATION_FORM, x->length);
    int64_t const pictures = duration_nearest(length, fps);
    if (!duration_is_length(pictures, fps))
        return fail(ST_ARG, "--length %s: allowed: " DURATION_LENGTHS, x->length);
    if (pictures <= now)
        return fail(ST_ARG, "--length %s: %lld pictures; %s has %lld; allowed: more", x->length,
                    (long long)pictures, x->from, (long long)now);
    return clip_lengthen(&x->clip, &x->model, pictures);
}

/* ---- where it goes ------------------------------------------------------------------ */

/* The longer clip stands there, or nothing does; else *taken. */
static status look_at(struct extension *x, char *dir, bool *taken)
{
    char by[PROCESS_WORDS];
    bool held = true;

    free(x->clip.dir);
    x->clip.dir = dir;
    if (!dir) return fail(ST_NOMEM, "%s: no memory for a name", x->from);
    *taken = path_exists(dir);
    x->there = *taken && clip_folder_is_task(dir, x->clip.task_id);
    if (x->there) *taken = false;
    if (*taken || x->there) return ST_OK;
    TRY(clip_claims_take(x->claims, dir, &held, by));
    return held ? ST_OK : fail(ST_IO, "%s: in work by %s; it is not waited for", dir, by);
}

/* The path without the slashes that it ends in, malloc'ed, and where in it the name stands. */
static status split_asked(const char *to, char **path, const char **name)
{
    size_t len = strlen(to);

    while (len && to[len - 1] == '/') len--;
    *path = str_format("%.*s", (int)len, to);
    if (!*path) return fail(ST_NOMEM, "%s: no memory for a name", to);
    const char *const slash = strrchr(*path, '/');
    *name = slash ? slash + 1 : *path;
    if (**name && strcmp(*name, ".") != 0 && strcmp(*name, "..") != 0) return ST_OK;
    return fail(ST_ARG, "--to %s: allowed: a path that ends in the new folder's name", to);
}

/* The folder that was asked for. Its parent is made, for the claim lies there. */
static status choose_asked(struct extension *x)
{
    char *path = NULL, *parent = NULL, *real = NULL;
    const char *name;
    bool taken;
    status st = ST_OK;

    TRY_OUT(split_asked(x->to, &path, &name));
    parent = path_dir(path);
    if (!parent) FAIL_OUT(ST_NOMEM, "%s: no memory for a name", x->to);
    TRY_OUT(dir_make(parent));
    real = realpath(parent, NULL);
    if (!real) FAIL_OUT(ST_IO, "%s: %s", parent, strerror(errno));
    TRY_OUT(look_at(x, path_join(real, name), &taken));
    if (taken) st = fail(ST_FORMAT, "--to %s: is there already, and is another clip", x->to);
out:
    free(real);
    free(parent);
    free(path);
    return st;
}

static status choose_version(struct extension *x)
{
    char *const out = path_dir(x->from);
    bool taken = true;
    status st = ST_OK;

    if (!out) return fail(ST_NOMEM, "%s: no memory for a name", x->from);
    for (int version = 2; taken && version < VERSIONS && st == ST_OK; version++)
        st = look_at(x, str_format("%s/%s-v%d", out, x->clip.name, version), &taken);
    if (st == ST_OK && taken) st = fail(ST_IO, "%s: no name is free", x->from);
    free(out);
    return st;
}

static status sweep_beside(const struct extension *x)
{
    char *const out = path_dir(x->clip.dir);
    struct attempts_found found;
    status const st =
        out ? attempts_sweep(out, false, &found) : fail(ST_NOMEM, "%s: no memory", x->clip.dir);

    free(out);
    return st;
}

/* ---- the clip as a work source ------------------------------------------------------- */

static status hand_over(void *arg, const struct work_item *group, double wait_s,
                        struct work_item *out, enum work_next *what)
{
    struct extension *const x = arg;

    (void)group, (void)wait_s;
    *what = x->there || x->handed ? WORK_END : WORK_CLIP;
    *out = (struct work_item){ 0, &x->clip, &x->model };
    x->handed = true;
    return ST_OK;
}

static status look_out(void *arg, const struct work_item *first, struct work_outlook *out)
{
    const struct clip_spec *const c = first->clip;
    struct dit_shape shape;

    (void)arg;
    TRY(dit_shape_read(&shape, first->model->config));
    *out = (struct work_outlook){ .texts = c->prompts, .tokens = c->prompts * shape.text_len };
    work_outlook_add(out, c);
    return ST_OK;
}

static void report_done(void *arg, int64_t ticket)
{
    struct extension *const x = arg;

    (void)ticket;
    clip_claims_give_back(x->claims, x->clip.dir);
    log_info("extend: %s", x->clip.dir);
}

static void report_failed(void *arg, int64_t ticket, status st, const char *why)
{
    struct extension *const x = arg;

    (void)ticket;
    clip_claims_give_back(x->claims, x->clip.dir);
    if (st != ST_CANCELED) log_error("not made: %s: %s", x->clip.dir, why ? why : status_name(st));
}

static const struct work_source_ops ops = {
    .next = hand_over, .outlook = look_out, .done = report_done, .failed = report_failed
};

static status open_clip(void *arg, const struct engine_options *o, struct work_source *out,
                        int64_t *clips)
{
    struct extension *const x = arg;

    (void)o;
    TRY(read_finished(x));
    TRY(lengthen_clip(x));
    TRY(clip_claims_open(&x->claims));
    TRY(x->to ? choose_asked(x) : choose_version(x));
    if (x->there) log_info("extend: %s is that clip already", x->clip.dir);
    else TRY(sweep_beside(x));
    *clips = !x->there;
    *out = (struct work_source){ .ops = &ops, .arg = x };
    return ST_OK;
}

static void close_clip(void *arg)
{
    struct extension *const x = arg;

    clip_claims_close(&x->claims);
    clip_spec_free(&x->clip);
    model_spec_free(&x->model);
}

/* ---- the command --------------------------------------------------------------------- */

static status parse_extend(struct extension *x, int *argc, char **argv, bool *help)
{
    struct opt const table[] = {
        { "length", OPT_TEXT, &x->length, .value = "TIME", .help = "of the whole clip, as 4m" },
        { "to", OPT_TEXT, &x->to, .value = "FOLDER",
          .help = "the longer clip's folder; left out: beside CLIP, as its name's next version" },
        RENDER_OPTIONS(x->render),
    };
    struct opts const o = {
        .usage = "extend CLIP --length TIME [options]",
        .about =
            "Go on from a finished clip: the result is, byte for byte, the longer clip that its\n"
            "job would have made. CLIP, a clip's folder, stays as it is. Its job must have said\n"
            "output.extendable: true, and this program and machine be of the kind that made it.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&o, argc, argv, help));
    if (*help) return ST_OK;
    if (*argc != 2) return fail(ST_ARG, "extend takes one clip's folder; see --help");
    if (!x->length) return fail(ST_ARG, "extend needs --length TIME; see --help");
    if (strcmp(x->render.precision, "job") != 0)
        return fail(ST_ARG, "--precision %s: a clip is extended as it was begun",
                    x->render.precision);
    TRY(render_request_check(&x->render));
    opts_print(&o);
    return ST_OK;
}

static status extend_clip(struct extension *x, const char *clip)
{
    struct engine_result result;
    char *same = NULL;
    status st = ST_OK;

    x->from = realpath(clip, NULL);
    if (!x->from) return fail(file_open_status(errno), "%s: %s", clip, strerror(errno));
    same = str_format("extend %s --length %s --to %s\n", x->from, x->length, x->to ? x->to : "-");
    if (!same) return fail(ST_NOMEM, "%s: no memory", clip);
    struct render_work const work = {
        .open = open_clip,
        .close = close_clip,
        .arg = x,
        .same = same,
        .ahead = 1,
        .stopped = "extend: stopped at a block boundary. Give the same command again to go on.",
    };
    st = render_run(&x->render, &work, &result);
    free(same);
    if (st != ST_OK || !result.failed) return st;
    error_clear();
    if (comm_launcher_rank() > 0) return result.why; /* rank 0 says so */
    return fail(result.why, "the longer clip was not made");
}

status cmd_extend(int argc, char **argv)
{
    struct extension x = { .length = NULL };
    bool help;

    render_catch_signals();
    render_request_begin(&x.render);
    status st = parse_extend(&x, &argc, argv, &help);
    if (st == ST_OK && !help) st = extend_clip(&x, argv[1]);
    render_request_end(&x.render);
    free(x.from);
    return st;
}
