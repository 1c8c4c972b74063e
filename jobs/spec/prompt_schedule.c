/* prompt_schedule.c - prompts are given in time and take effect at blocks: the rounding, and what
 * must hold between neighbours after it. */
#include "jobs/spec/spec_internal.h"

#include <stdlib.h>

enum { PICTURES = 4 }; /* of a latent frame */
_Static_assert((int)CLIP_TIME == (int)DURATION_TEXT, "a spelled duration");

static int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* The first block that begins at this picture or later. */
static int64_t block_up(int64_t picture, int frames_per_block)
{
    return picture ? divide_up(picture + PICTURES - 1, (int64_t)PICTURES * frames_per_block) : 0;
}

static const struct tree_node *key_node(const struct job_prompt *p, const char *name)
{
    const struct tree_node *const n = tree_find(p->node, name);
    return n ? n : p->node;
}

static status check_moved(const struct job *job, const struct job_prompt *p,
                          const struct clip_prompt *c, int frames)
{
    if (!c->moved) return ST_OK;
    if (job->quantize == JOB_QUANTIZE_WARN) {
        tree_warn(key_node(p, "at"), "%s is inside a block; the prompt begins at %lldf",
                  tree_quote(key_node(p, "at")->text).s,
                  (long long)clip_first_picture(c->block, frames));
        return ST_OK;
    }
    return tree_fail(
        key_node(p, "at"), "found %s, inside a block; allowed with quantize: error: %lldf or %lldf",
        tree_quote(key_node(p, "at")->text).s, (long long)clip_first_picture(c->block - 1, frames),
        (long long)clip_first_picture(c->block, frames));
}

static status check_order(const struct prompts *s, const struct job *job, int i, int frames)
{
    const struct clip_prompt *const p = &s->prompt[i], *const before = p - 1;
    const struct job_prompt *const asked = &job->prompt[i];
    const struct tree_node *const at = key_node(asked, "at");

    if (p->block >= s->blocks || clip_first_picture(p->block, frames) >= s->pictures)
        return tree_fail(at, "found %s, after the last block begins; allowed: at most %lldf",
                         tree_quote(at->text).s,
                         (long long)clip_first_picture(s->blocks - 1, frames));
    if (p->block <= before->block)
        return tree_fail(
            at, "found %s, in block %lld; allowed: after %lldf, for prompts[%d] has block %lld",
            tree_quote(at->text).s, (long long)p->block,
            (long long)clip_first_picture(before->block, frames), i - 1, (long long)before->block);
    if (before->block + before->blend > p->block)
        return tree_fail(
            key_node(&job->prompt[i - 1], "blend"),
            "found %lld blocks of blend; allowed: at most %lld, for then prompts[%d] begins",
            (long long)before->blend, (long long)(p->block - before->block), i);
    return ST_OK;
}

/* A policy without a rule for it would go on as if nothing were asked for. */
static status check_change(const struct job_prompt *p, const struct card *card)
{
    bool const usual_block = card->rule == KV_USUAL && !kv_window_is_joint(card->window);

    if (p->change == CLIP_CUT && !kv_key_bounds(card->rule, KV_KEY_cut_position))
        return tree_refuse(key_node(p, "change"),
                           "blend, for the model's window.policy has no rule for a cut; "
                           "infinity-rope has");
    if (p->change == CLIP_RECACHE && !usual_block)
        return tree_refuse(key_node(p, "change"),
                           "blend, for only a block window without a policy has a recache "
                           "(docs/policies.md)");
    if (p->change == CLIP_BLEND || duration_is_zero(p->blend)) return ST_OK;
    return tree_refuse(key_node(p, "blend"), "no blend with change: cut or recache");
}

status prompts_make(struct prompts *out, const struct job *job, const struct card *card)
{
    int const frames_per_block = card->frames_per_block;
    struct value_rate const fps = job->clip.fps;
    int64_t const block = (int64_t)PICTURES * frames_per_block;

    *out = (struct prompts){ .pictures = duration_nearest(job->clip.length, fps) };
    out->blocks = clip_blocks(out->pictures, frames_per_block);
    out->prompt = calloc((size_t)job->prompts, sizeof *out->prompt);
    if (!out->prompt) return fail(ST_NOMEM, "%s: no memory for its prompts", job->name);
    for (int i = 0; i < job->prompts; i++) {
        const struct job_prompt *const asked = &job->prompt[i];
        struct clip_prompt *const p = &out->prompt[i];
        int64_t const picture = duration_up(asked->at, fps);

        *p = (struct clip_prompt){
            .block = block_up(picture, frames_per_block),
            .blend = divide_up(duration_up(asked->blend, fps), block),
            .change = (enum clip_change)asked->change,
        };
        duration_text(asked->at, p->at);
        duration_text(asked->blend, p->over);
        p->moved = clip_first_picture(p->block, frames_per_block) != picture;
        if (i) TRY(check_order(out, job, i, frames_per_block));
        TRY(check_moved(job, asked, p, frames_per_block));
        TRY(check_change(asked, card));
    }
    return ST_OK;
}

void prompts_free(struct prompts *s)
{
    free(s->prompt);
    *s = (struct prompts){ 0 };
}
