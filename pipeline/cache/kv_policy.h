/*
 * kv_policy.h - who attends to whom: the cache policy as rules over frames. Pure.
 *
 * A rule lists spans of frames in key order, each with the RoPE position of its
 * first frame. It says nothing of where keys and values lie (kv_cache.h) nor which
 * rank holds them (line.h). Keys are stored without RoPE, so another long-video
 * policy is another rule here. Source: Rolling Forcing (arXiv 2509.25161).
 */
#ifndef KV_POLICY_H
#define KV_POLICY_H

#include "base/base.h"

enum window_kind {
    WINDOW_ROLLING, /* blocks of all levels are denoised jointly */
    WINDOW_BLOCK,   /* one block takes all its levels, then the next begins */
};

struct kv_policy {
    enum window_kind kind;
    int levels;           /* W */
    int frames_per_block; /* B */
    int attention_frames; /* A: queries and keys together span at most this */
    int sink_frames;      /* rolling: B; block by block: 0 .. A - B */
};

/* ST_ARG says which number does not fit and what is allowed. */
status kv_policy_check(const struct kv_policy *p) MUST_USE;

enum kv_source {
    KV_CLEAN,  /* left by the clean pass of this block */
    KV_WINDOW, /* made in this very pass by a block that is being denoised */
};
struct kv_span {
    enum kv_source source;
    int64_t block;     /* of the clip */
    int frame, frames; /* part of the block: first frame and how many */
    int64_t position;  /* RoPE position of the first frame, in latent frames */
};

enum { KV_SPANS = 32 };
struct kv_window {
    struct kv_span span[KV_SPANS];
    int count;
};

/* A window pass over blocks first .. first+count-1, which stand at levels
 * falling from the oldest. count is 1 when the kind is WINDOW_BLOCK. */
void kv_window_spans(struct kv_window *out, const struct kv_policy *p, int64_t first, int count);

/* The clean pass of a block, itself included as the last span. */
void kv_clean_spans(struct kv_window *out, const struct kv_policy *p, int64_t block);

/* How many of the newest clean blocks a rank must keep that owns noise levels
 * first_stage .. end_stage-1 (stage W is the clean stage): the block of the
 * current clean pass counts, block 0 does not (it has a place of its own).
 * given: clips may begin with blocks that exist already; the first windows behind
 * these are short and still have a whole past, at every level. */
int kv_lookback(const struct kv_policy *p, int first_stage, int end_stage, bool given);

#endif /* KV_POLICY_H */
