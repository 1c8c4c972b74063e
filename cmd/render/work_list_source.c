/*
 * work_list_source.c - the clips of a work_list handed over, one by one.
 *
 * A clip's place was looked at when the list was opened; other processes work on the same folder.
 * So it is claimed and looked at once more when its turn has come.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "cmd/clip_folder.h"
#include "cmd/render/render_internal.h"
#include "pipeline/dit/dit.h"
#include "pipeline/output/clip_claim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The group whose waiting clip comes before those of all others; WORK_NONE: none waits. */
static int foremost_group(const struct work_list *l)
{
    int found = WORK_NONE;

    for (int g = 0; g < l->groups; g++)
        if (l->group[g].first != WORK_NONE &&
            (found == WORK_NONE || l->group[g].first < l->group[found].first))
            found = g;
    return found;
}

static void note_failure(void *arg, int64_t ticket, status st, const char *why)
{
    struct work_list *const l = arg;
    struct work_clip *const c = &l->clip[ticket];

    clip_claims_give_back(l->claims, c->spec.dir);
    c->st = st;
    c->why = strdup(why ? why : ""); /* without memory only the status is reported */
    l->failed[l->failures++] = ticket;
}

static void note_busy(struct work_list *l, int64_t ticket, const char *by)
{
    char why[PROCESS_WORDS + 64];

    snprintf(why, sizeof why, "in work by %s; it is not waited for", by);
    note_failure(l, ticket, ST_IO, why);
}

/* Claim the clip's place and look at it once more. *ours: it is to be made, by us. */
static status claim_clip(struct work_list *l, int64_t ticket, bool *ours)
{
    struct work_clip *const c = &l->clip[ticket];
    struct clip_folder_rules const rules = work_list_rules(l, c->on_exists, c->numerics, true);
    enum clip_folder_state what = FOLDER_FREE;
    char by[PROCESS_WORDS], *dir = NULL;
    bool held;
    status st = ST_OK;

    *ours = false;
    TRY(clip_claims_take(l->claims, c->spec.dir, &held, by));
    if (!held) {
        note_busy(l, ticket, by);
        return ST_OK;
    }
    if (path_exists(c->spec.dir))
        st = clip_folder_find(c->base, c->spec.task_id, &rules, &dir, &what);
    if (st == ST_OK && what == FOLDER_DAMAGED) st = clip_folder_set_aside(c->spec.dir);
    if (st == ST_NOMEM) goto out;
    if (st != ST_OK) {
        note_failure(l, ticket, st, error_last()->msg);
        error_clear();
        st = ST_OK;
    } else if (what == FOLDER_DONE) {
        l->skipped++;
        log_info("%s: another process has made it meanwhile", c->spec.dir);
        clip_claims_give_back(l->claims, c->spec.dir);
    } else *ours = true;
out:
    free(dir);
    return st;
}

/* Under on_exists: version a name that is taken meanwhile, or claimed, is not waited for. */
static status choose_version(struct work_list *l, int64_t ticket)
{
    enum { VERSIONS = 10000 };
    struct work_clip *const c = &l->clip[ticket];
    char by[PROCESS_WORDS];
    bool held = false;

    for (int version = 1; version < VERSIONS; version++) {
        char *const dir =
            version > 1 ? str_format("%s-v%d", c->base, version) : str_format("%s", c->base);
        if (!dir) return fail(ST_NOMEM, "%s: no memory for its name", c->base);
        free(c->spec.dir);
        c->spec.dir = dir;
        if (path_exists(dir)) continue;
        TRY(clip_claims_take(l->claims, dir, &held, by));
        if (held && !path_exists(dir)) return ST_OK;
        if (held) clip_claims_give_back(l->claims, dir);
    }
    return fail(ST_IO, "%s: no free name", c->base);
}

/* The group's next clip that is ours to make. */
static status next_of_group(struct work_list *l, int g, struct work_item *out, bool *found)
{
    *found = false;
    while (!*found && l->group[g].first != WORK_NONE) {
        int64_t const ticket = l->group[g].first;
        l->group[g].first = l->clip[ticket].next;
        if (l->clip[ticket].on_exists == JOB_VERSION) {
            TRY(choose_version(l, ticket));
            *found = true;
        } else TRY(claim_clip(l, ticket, found));
        *out = work_list_item(l, ticket);
    }
    return ST_OK;
}

static status hand_over(void *arg, const struct work_item *group, double wait_s,
                        struct work_item *out, enum work_next *what)
{
    struct work_list *const l = arg;
    bool found = false;

    (void)wait_s;
    if (group) TRY(next_of_group(l, l->clip[group->ticket].group, out, &found));
    for (int g; !group && !found && (g = foremost_group(l)) != WORK_NONE;)
        TRY(next_of_group(l, g, out, &found));
    *what = found ? WORK_CLIP : foremost_group(l) == WORK_NONE ? WORK_END : WORK_OTHER;
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

    for (int64_t i = first; i != WORK_NONE; i = next_waiting(l, first, i))
        all += l->clip[i].spec.prompts;
    text = calloc((size_t)all + 1, sizeof *text);
    if (!text) return fail(ST_NOMEM, "%lld prompts", (long long)all);
    all = 0;
    for (int64_t i = first; i != WORK_NONE; i = next_waiting(l, first, i))
        for (int p = 0; p < l->clip[i].spec.prompts; p++)
            text[all++] = l->clip[i].spec.prompt[p].text;
    qsort(text, (size_t)all, sizeof *text, compare_texts);
    for (int64_t i = 0; i < all; i++) out->texts += i == 0 || strcmp(text[i - 1], text[i]) != 0;
    free(text);
    return ST_OK;
}

/* All that wait of the group are in it, so that none comes later with a file of a format that
 * the line has no buffers for. */
static status count_outlook(void *arg, const struct work_item *first, struct work_outlook *out)
{
    const struct work_list *const l = arg;
    struct dit_shape shape;

    *out = (struct work_outlook){ 0 };
    TRY(dit_shape_read(&shape, first->model->config));
    for (int64_t i = first->ticket; i != WORK_NONE; i = next_waiting(l, first->ticket, i))
        work_outlook_add(out, &l->clip[i].spec);
    TRY(count_texts(l, first->ticket, out));
    out->tokens = out->texts * shape.text_len;
    return ST_OK;
}

static void count_done(void *arg, int64_t ticket)
{
    struct work_list *const l = arg;

    clip_claims_give_back(l->claims, l->clip[ticket].spec.dir);
    l->done++;
}

static const struct work_source_ops list_ops = {
    .next = hand_over,
    .outlook = count_outlook,
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
        .clips = l->clips,
        .skipped = l->skipped,
        .done = l->done,
        .failed = l->failures,
        .refused = l->refusals,
    };
}

struct work_failure work_list_failure(const struct work_list *l, int64_t i)
{
    const struct work_clip *const c = &l->clip[l->failed[i]];
    return (struct work_failure){ &c->spec, c->st, c->why ? c->why : status_name(c->st) };
}

struct work_refusal work_list_refusal(const struct work_list *l, int i)
{
    const struct refusal *const r = &l->refused[i];
    return (struct work_refusal){ r->job, r->st, r->why };
}
