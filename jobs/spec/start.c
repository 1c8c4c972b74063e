/*
 * start.c - what a clip begins with: a job's `start`, and which starts a card's model was made
 * for.
 *
 * Kinds from CLIP_START_VIDEO on have an end that so much is taken of.
 *
 * Which file it is may differ from clip to clip, so the path is a template like a prompt. Of a
 * video as many of its last pictures are taken as whole blocks hold: a clip of N blocks of B
 * latent frames has 4 N B - 3 pictures. How long latents are, only their file says; whoever
 * renders checks that.
 */
#include "jobs/spec/spec_internal.h"

#include "base/choice.h"
#include "base/digest.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char start_words[] = "latents|image|video|clip"; /* enum clip_start_kind from 1 on */

/* ---- the card's `starts` ---- */

status starts_read(const struct tree_node *n, void *to)
{
    unsigned *const starts = to;

    *starts = 0;
    if (n->kind != TREE_LIST) return tree_refuse(n, "a list of latents, image, video, clip");
    for (const struct tree_node *m = n->first; m; m = m->next) {
        int which;
        TRY(field_choice(m, start_words, &which));
        *starts |= 1u << (which + 1);
    }
    return ST_OK;
}

/* ---- the job's `start` ---- */

#define AT(member) offsetof(struct job_start, member)
#define PATH(key)                                                                                  \
    {                                                                                              \
        .name = #key, .type = FIELD_PATH, .to = AT(key), .max = 4096                               \
    }
static const struct field start_fields[] = {
    PATH(latents),
    PATH(image),
    PATH(video),
    PATH(clip),
    { .name = "last", .type = FIELD_READ, .to = AT(last), .read = duration_read },
    { .name = "force", .type = FIELD_BOOL, .to = AT(force) },
};
const struct field_table start_table = { "start", start_fields, COUNT_OF(start_fields) };

status start_read(const struct tree_node *n, void *to)
{
    struct job_start *const s = to;

    TRY(field_read(n, &start_table, s));
    const char *const path[] = { s->latents, s->image, s->video, s->clip };
    for (int i = 0; i < COUNT_OF(path); i++) {
        if (!path[i]) continue;
        if (s->path)
            return tree_fail(n, "found two files; allowed: one of latents, image, video, clip");
        s->kind = (enum clip_start_kind)(i + 1);
        s->path = path[i];
        s->node = tree_find(n, clip_start_name(s->kind));
    }
    if (!s->path) return tree_fail(n, "found no file; allowed: one of latents, image, video, clip");
    const struct tree_node *const last = tree_find(n, "last");
    if (!last && s->kind >= CLIP_START_VIDEO)
        return tree_fail(n, "last is missing; allowed: how much of the video's end is taken, as "
                            "{video: clip.mp4, last: 2s}");
    if (last && s->kind < CLIP_START_VIDEO)
        return tree_fail_key(last, "found with %s; allowed with video and clip alone",
                             clip_start_name(s->kind));
    return ST_OK;
}

/* ---- a clip's ---- */

static status check_model(const struct job_start *s, const struct card *card)
{
    int const frames = card->frames_per_block;

    if (s->kind == CLIP_START_IMAGE && frames > 1)
        return tree_fail(s->node,
                         "an image is one latent frame, a block of the model %s has %d; allowed: a "
                         "video of at least %lld pictures, or latents",
                         card->name, frames, (long long)clip_pictures(1, frames));
    if (s->force || card->starts & (1u << s->kind)) return ST_OK;
    return tree_fail(
        s->node,
        "the model %s was not made to go on from this; allowed: force: true beside it, "
        "to try, or a model whose card has %s among its starts",
        card->name, clip_start_name(s->kind));
}

/* Pictures and blocks that are taken of a video; blocks 0: its file says. */
static status count_taken(const struct job *job, int frames, struct clip_spec *c, int64_t *blocks)
{
    const struct job_start *const s = &job->start;
    int64_t const least = clip_pictures(1, frames);

    *blocks = s->kind == CLIP_START_IMAGE;
    if (s->kind < CLIP_START_VIDEO) return ST_OK;
    int64_t const asked = duration_nearest(s->last, job->clip.fps);
    if (asked < least)
        return tree_fail(tree_find(s->node->parent, "last"),
                         "found %lld pictures; allowed: at least %lld, a block", (long long)asked,
                         (long long)least);
    *blocks = (asked - least) / (clip_pictures(2, frames) - least) + 1;
    c->start.pictures = clip_pictures(*blocks, frames);
    return ST_OK;
}

status start_check(const struct job *job, const struct card *card, struct clip_spec *c)
{
    int64_t blocks;

    c->start.kind = job->start.kind;
    if (job->start.kind == CLIP_START_NONE) return ST_OK;
    TRY(check_model(&job->start, card));
    TRY(count_taken(job, card->frames_per_block, c, &blocks));
    if (blocks < c->blocks) return ST_OK;
    return tree_fail(tree_find(tree_find(job->node, "clip"), "length"),
                     "found %lld block%s, of which %lld are given; allowed: more than are given",
                     (long long)c->blocks, c->blocks == 1 ? "" : "s", (long long)blocks);
}

status start_hash(const struct job *job, struct clip_spec *c)
{
    bool const clip = c->start.kind == CLIP_START_CLIP;
    char *const path =
        clip ? path_join(c->start.file, "clip.json") : str_format("%s", c->start.file);
    status st = ST_OK;

    if (!path) return fail(ST_NOMEM, "%s: no memory", c->start.file);
    if (path_is_missing(path))
        st = tree_fail(job->start.node, "%s: no such file; allowed: the path of a %s", path,
                       clip ? "finished clip's folder" : "file");
    else st = clip_start_hash(&c->start, NULL, NULL, c->start.sha256);
    free(path);
    return st;
}
