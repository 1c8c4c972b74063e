/*
 * work_list.c - job files to clips to a work source.
 *
 * Opening settles everything that a person can get wrong, before a model is loaded: files first,
 * for they are read in a moment, then encoders, then what needs the models' bytes. When it
 * returns, jobs and cards are gone: clips are whole in themselves.
 *
 * Which clips share a line is settled at the end, once: each clip has the number of its group,
 * and a group's waiting clips are a list through the clips, so that the next one is found at once
 * however many there are.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "cmd/render/work_list.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cmd/job_encoders.h"
#include "cmd/prompt_lengths.h"
#include "jobs/spec/clip.h"
#include "pipeline/dit/dit.h"
#include "pipeline/engine/output_formats.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { SIDECAR_BYTES = 64 << 20, NONE = -1 };

struct work_clip {
    struct clip_spec spec;
    const struct model_spec *model; /* one of the list's */
    int64_t at;                     /* place among all, as the jobs have them */
    int group;
    int64_t next; /* the group's next waiting clip; NONE */
    status st;    /* of one that failed */
    char *why;    /* NULL: it did not */
};

/* Clips that can share a line, and those of them that wait. */
struct work_group {
    int64_t first, last; /* NONE: none waits */
};

struct work_list {
    struct work_clip *clip; /* a clip's place is its ticket */
    int64_t clips, skipped, done;
    struct model_spec *model; /* [models], one a job */
    int models;
    struct work_group *group;
    int groups;
    int64_t *failed; /* tickets, in the order they came */
    int64_t failures;
};

/* ---- opening ---------------------------------------------------------------------- */

/* A job and its card, while the list is opened. */
struct source {
    struct job *job;
    struct card card;
};

struct opening {
    struct work_list *l;
    const char *precision;
    struct job_file *file;
    int files;
    struct source *source;
    int sources;
    struct prompt_lengths lengths;
};

static status load_file(struct job_file *out, const struct work_job *w)
{
    return w->text ? job_parse(out, w->text, strlen(w->text), w->path) : job_load(out, w->path);
}

static status load_jobs(struct opening *o, const struct work_job *work, int count)
{
    int jobs = 0;

    o->file = calloc((size_t)count + 1, sizeof *o->file);
    if (!o->file) return fail(ST_NOMEM, "%d job files", count);
    for (int i = 0; i < count; i++) {
        TRY(load_file(&o->file[i], &work[i]));
        o->files++;
        jobs += o->file[i].jobs;
    }
    o->source = calloc((size_t)jobs + 1, sizeof *o->source);
    o->l->model = calloc((size_t)jobs + 1, sizeof *o->l->model);
    if (!o->source || !o->l->model) return fail(ST_NOMEM, "%d jobs", jobs);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < o->file[i].jobs; j++) {
            struct source *const s = &o->source[o->sources++];
            s->job = &o->file[i].job[j];
            TRY(clip_card(&s->card, s->job));
        }
    return ST_OK;
}

/* Is the folder the finished clip of this very task? */
static bool is_same_task(const char *dir, const char *task_id)
{
    char *const path = path_join(dir, "clip.json");
    char *text = NULL;
    size_t len = 0;
    bool same = false;

    if (path && file_read(path, SIDECAR_BYTES, &text, &len) == ST_OK) {
        json_t *const root = json_loadb(text, len, 0, NULL);
        const char *const id =
            json_string_value(json_object_get(json_object_get(root, "identity"), "task_id"));
        same = id && !strcmp(id, task_id);
        json_decref(root);
    }
    free(text);
    free(path);
    return same;
}

/* Sets dir to the clip's folder, under on_exists: version the first of dir-v2, dir-v3 ... that
 * is free; NULL: the clip is there already. */
static status choose_folder(struct clip_spec *c, const struct job *job)
{
    char *at = path_join(job->output.dir, c->name);
    enum { VERSIONS = 10000 };
    status st = ST_OK;

    for (int version = 2; at && job->output.on_exists == JOB_VERSION && path_exists(at);
         version++) {
        free(at);
        at = version < VERSIONS ? str_format("%s/%s-v%d", job->output.dir, c->name, version) : NULL;
    }
    if (!at) return fail(ST_NOMEM, "%s/%s: no free name", job->output.dir, c->name);
    if (!path_exists(at)) {
        c->dir = at;
        return ST_OK;
    }
    if (job->output.on_exists == JOB_ERROR)
        st = fail(ST_FORMAT, "%s: already exists, and output.on_exists is error", at);
    else if (!is_same_task(at, c->task_id))
        st = fail(
            ST_FORMAT,
            "%s: exists and is not this clip (task %s); remove it, give the clip another name, "
            "or set output.on_exists: version",
            at, c->task_id);
    free(at);
    return st;
}

/* Make the output folder now, not when the first clip is half rendered, and name it
 * one way however a job spells it. */
static status open_output(struct job *job)
{
    TRY(dir_make(job->output.dir));
    char *const real = realpath(job->output.dir, NULL);

    if (!real || access(real, W_OK | X_OK)) {
        status const st = fail(ST_IO, "%s: %s", job->output.dir, strerror(errno));
        free(real);
        return st;
    }
    free(job->output.dir);
    job->output.dir = real;
    return ST_OK;
}

/* The clips that are to be made become the list's. */
static status keep_clips(struct work_list *l, struct clip_list *clips, const struct job *job,
                         const struct model_spec *model)
{
    struct work_clip *const more =
        realloc(l->clip, (size_t)(l->clips + clips->count + 1) * sizeof *more);

    if (!more) return fail(ST_NOMEM, "%lld clips", (long long)(l->clips + clips->count));
    l->clip = more;
    for (int i = 0; i < clips->count; i++) {
        struct clip_spec *const c = &clips->clip[i];
        TRY(choose_folder(c, job));
        if (!c->dir) {
            l->skipped++;
            continue;
        }
        l->clip[l->clips] = (struct work_clip){ .spec = *c, .model = model, .at = l->clips };
        l->clips++;
        *c = (struct clip_spec){ 0 }; /* handed over */
    }
    return ST_OK;
}

static status expand_job(struct opening *o, struct source *s)
{
    struct model_spec *const model = &o->l->model[o->l->models];
    struct clip_list clips = { 0 };
    status st = ST_OK;

    TRY(card_check_files(&s->card, NULL));
    TRY(card_spec(model, &s->card));
    o->l->models++;
    TRY(card_fingerprint(&s->card, model->id));
    TRY(clip_expand(&clips, s->job, &s->card,
                    &(struct clip_options){ .model_id = model->id, .precision = o->precision }));
    TRY_OUT(prompt_lengths_check(&o->lengths, s->job, &s->card, &clips));
    TRY_OUT(open_output(s->job));
    TRY_OUT(keep_clips(o->l, &clips, s->job, model));
out:
    clip_free(&clips);
    return st;
}

/* Folders by where they are, then by name whatever its case: a disk may not tell case apart. */
static int compare_dirs(const void *a, const void *b)
{
    const char *const x = *(const char *const *)a, *const y = *(const char *const *)b;
    const char *const name_x = strrchr(x, '/'), *const name_y = strrchr(y, '/');
    int const at_x = name_x ? (int)(name_x - x) : 0, at_y = name_y ? (int)(name_y - y) : 0;
    int const order = strncmp(x, y, (size_t)(at_x < at_y ? at_x : at_y));

    if (order || at_x != at_y) return order ? order : at_x - at_y;
    return strcasecmp(x + at_x, y + at_y);
}

static status check_folders(const struct work_list *l)
{
    const char **const dirs = calloc((size_t)l->clips + 1, sizeof *dirs);
    status st = ST_OK;

    if (!dirs) return fail(ST_NOMEM, "%lld clips", (long long)l->clips);
    for (int64_t i = 0; i < l->clips; i++) dirs[i] = l->clip[i].spec.dir;
    qsort(dirs, (size_t)l->clips, sizeof *dirs, compare_dirs);
    for (int64_t i = 1; i < l->clips && st == ST_OK; i++)
        if (!compare_dirs(&dirs[i - 1], &dirs[i]))
            st = fail(ST_FORMAT, "%s: two clips of these jobs would have this folder%s", dirs[i],
                      strcmp(dirs[i - 1], dirs[i]) ? ", but for the name's case" : "");
    free(dirs);
    return st;
}

/* Higher priority first; the order of the jobs otherwise. */
static int compare_priorities(const void *a, const void *b)
{
    const struct work_clip *const x = a, *const y = b;

    if (x->spec.priority != y->spec.priority) return x->spec.priority < y->spec.priority ? 1 : -1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static struct work_item item_at(const struct work_list *l, int64_t ticket)
{
    const struct work_clip *const c = &l->clip[ticket];
    return (struct work_item){ .ticket = ticket, .clip = &c->spec, .model = c->model };
}

/* The clip's group, a new one if it shares a line with none before it. Each group's first clip
 * stands for it: none has been handed over yet. */
static int find_group(struct work_list *l, int64_t ticket)
{
    struct work_item const item = item_at(l, ticket);
    int g = 0;

    for (; g < l->groups; g++) {
        struct work_item const first = item_at(l, l->group[g].first);
        if (work_same_group(&item, &first)) return g;
    }
    l->group[l->groups++] = (struct work_group){ .first = ticket, .last = NONE };
    return g;
}

static status make_groups(struct work_list *l)
{
    /* A job's clips are of one group. */
    l->group = calloc((size_t)l->models + 1, sizeof *l->group);
    l->failed = calloc((size_t)l->clips + 1, sizeof *l->failed);
    if (!l->group || !l->failed) return fail(ST_NOMEM, "%lld clips", (long long)l->clips);
    if (l->clips) qsort(l->clip, (size_t)l->clips, sizeof *l->clip, compare_priorities);
    for (int64_t i = 0; i < l->clips; i++) {
        struct work_group *const g = &l->group[l->clip[i].group = find_group(l, i)];
        l->clip[i].next = NONE;
        if (g->last != NONE) l->clip[g->last].next = i;
        g->last = i;
    }
    return ST_OK;
}

static status open_list(struct opening *o, const struct work_job *jobs, int count)
{
    struct job_encoders encoders = { 0 };

    TRY(load_jobs(o, jobs, count));
    for (int i = 0; i < o->sources; i++) TRY(job_encoders_settle(&encoders, o->source[i].job));
    for (int i = 0; i < o->sources; i++) TRY(expand_job(o, &o->source[i]));
    TRY(check_folders(o->l));
    return make_groups(o->l);
}

status work_list_open(struct work_list **out, const struct work_job *jobs, int count,
                      const char *precision)
{
    struct opening o = { .l = calloc(1, sizeof *o.l), .precision = precision };

    *out = NULL;
    if (!o.l) return fail(ST_NOMEM, "%d job files", count);
    status const st = open_list(&o, jobs, count);
    for (int i = 0; i < o.sources; i++) card_close(&o.source[i].card);
    for (int i = 0; i < o.files; i++) job_close(&o.file[i]);
    prompt_lengths_close(&o.lengths);
    free(o.source);
    free(o.file);
    if (st != ST_OK) {
        work_list_close(&o.l);
        return st;
    }
    *out = o.l;
    return ST_OK;
}

void work_list_close(struct work_list **list)
{
    struct work_list *const l = *list;

    if (!l) return;
    for (int64_t i = 0; i < l->clips; i++) {
        clip_spec_free(&l->clip[i].spec);
        free(l->clip[i].why);
    }
    for (int i = 0; i < l->models; i++) model_spec_free(&l->model[i]);
    free(l->clip);
    free(l->model);
    free(l->group);
    free(l->failed);
    free(l);
    *list = NULL;
}

/* ---- the source ------------------------------------------------------------------- */

/* The group whose waiting clip comes before those of all others; NONE: none waits. */
static int foremost_group(const struct work_list *l)
{
    int found = NONE;

    for (int g = 0; g < l->groups; g++)
        if (l->group[g].first != NONE &&
            (found == NONE || l->group[g].first < l->group[found].first))
            found = g;
    return found;
}

static status hand_over(void *arg, const struct work_item *group, double wait_s,
                        struct work_item *out, enum work_next *what)
{
    struct work_list *const l = arg;
    int const foremost = foremost_group(l);
    int const g = group ? l->clip[group->ticket].group : foremost;

    (void)wait_s;
    *what = foremost == NONE ? WORK_END : WORK_OTHER;
    if (g == NONE || l->group[g].first == NONE) return ST_OK;
    *out = item_at(l, l->group[g].first);
    l->group[g].first = l->clip[out->ticket].next;
    *what = WORK_CLIP;
    return ST_OK;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The clip that begins the group and those that wait: `first`, then next ones. */
static int64_t next_waiting(const struct work_list *l, int64_t first, int64_t at)
{
    return at == first ? l->group[l->clip[first].group].first : l->clip[at].next;
}

static status count_texts(const struct work_list *l, int64_t first, struct work_outlook *out)
{
    const char **text = NULL;
    int64_t all = 0;

    for (int64_t i = first; i != NONE; i = next_waiting(l, first, i))
        all += l->clip[i].spec.prompts;
    text = calloc((size_t)all + 1, sizeof *text);
    if (!text) return fail(ST_NOMEM, "%lld prompts", (long long)all);
    all = 0;
    for (int64_t i = first; i != NONE; i = next_waiting(l, first, i))
        for (int p = 0; p < l->clip[i].spec.prompts; p++)
            text[all++] = l->clip[i].spec.prompt[p].text;
    qsort(text, (size_t)all, sizeof *text, compare_texts);
    for (int64_t i = 0; i < all; i++) out->texts += i == 0 || strcmp(text[i - 1], text[i]) != 0;
    free(text);
    return ST_OK;
}

/* All that wait of the group are in it, so that none comes later with a file of a format that
 * the line has no buffers for. */
static status look_out(void *arg, const struct work_item *first, struct work_outlook *out)
{
    const struct work_list *const l = arg;
    struct dit_shape shape;

    *out = (struct work_outlook){ 0 };
    TRY(dit_shape_read(&shape, first->model->config));
    for (int64_t i = first->ticket; i != NONE; i = next_waiting(l, first->ticket, i)) {
        const struct clip_spec *const c = &l->clip[i].spec;
        out->clips++;
        out->blocks += c->blocks;
        out->formats |= clip_pixel_formats(c);
        for (int p = 1; p < c->prompts; p++) out->mixes += c->prompt[p].blend;
    }
    TRY(count_texts(l, first->ticket, out));
    out->tokens = out->texts * shape.text_len;
    return ST_OK;
}

static void count_done(void *arg, int64_t ticket)
{
    struct work_list *const l = arg;

    (void)ticket;
    l->done++;
}

static void note_failure(void *arg, int64_t ticket, status st, const char *why)
{
    struct work_list *const l = arg;
    struct work_clip *const c = &l->clip[ticket];

    c->st = st;
    c->why = strdup(why ? why : ""); /* without memory only the status is reported */
    l->failed[l->failures++] = ticket;
}

static const struct work_source_ops list_ops = {
    .next = hand_over,
    .outlook = look_out,
    .done = count_done,
    .failed = note_failure,
};

struct work_source work_list_source(struct work_list *l)
{
    return (struct work_source){ .ops = &list_ops, .arg = l };
}

struct work_counts work_list_counts(const struct work_list *l)
{
    return (struct work_counts){
        .clips = l->clips, .skipped = l->skipped, .done = l->done, .failed = l->failures
    };
}

struct work_failure work_list_failure(const struct work_list *l, int64_t i)
{
    const struct work_clip *const c = &l->clip[l->failed[i]];
    return (struct work_failure){ &c->spec, c->st, c->why ? c->why : status_name(c->st) };
}
