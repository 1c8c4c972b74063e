/*
 * policy_lol.c - LoL (arXiv 2601.16914): the window as it is without a policy, and each head with
 * time frequencies of a base of its own.
 *
 * A sink at its own positions comes back into phase with the newest frames from time to time, and
 * all heads then copy it at once. With bases apart they do so at different times. Keys are kept
 * without RoPE, so only angles differ: queries and keys of a head turn by the same ones, in all
 * layers. A head's base does not depend on which rank has it.
 */
#include "pipeline/cache/cache_internal.h"
#include "pipeline/dit/rope.h"

static const struct kv_policy_ops *window_of(const struct kv_policy *p)
{
    return kv_window_is_joint(p->kind) ? &policy_rolling : &policy_block;
}

static status check_lol(const struct kv_policy *p)
{
    if (!p->sink_frames)
        return fail(ST_ARG, "sink frames: 0; 1 at least, for it is the sink that heads copy");
    return window_of(p)->check(p);
}

static void list_lol(const struct kv_policy *p, const struct kv_pass *pass, enum kv_source own,
                     struct kv_window *out)
{
    window_of(p)->spans(p, pass, own, out);
}

static int bank_of_lol(const struct kv_policy *p)
{
    return kv_window_is_joint(p->kind) ? 1 : frames_sink_blocks(p);
}

static double base_of_head(const struct kv_policy *p, int head)
{
    uint32_t const seed = (uint32_t)kv_whole(p, KV_KEY_jitter_seed);
    return rope_jittered_base(p->key[KV_KEY_jitter], seed, head);
}

const struct kv_policy_ops policy_lol = {
    .check = check_lol,
    .bank = bank_of_lol,
    .spans = list_lol,
    .head_base = base_of_head,
};
