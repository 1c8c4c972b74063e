/*
 * kv_policy.h - who attends to whom: the cache policy as rules over frames. Pure.
 *
 * A rule lists spans of frames in key order, each with the RoPE position of its first frame. It
 * says nothing of where keys and values lie (kv_cache.h) nor which rank holds them (line.h). Keys
 * are stored without RoPE, so each pass may give a frame another position.
 *
 * A policy is a file policy_NAME.c with one row of struct kv_policy_ops, and a line in
 * KV_POLICIES (base/kv_policies.h); nothing outside asks which one it is. Two are here: rolling
 * (Rolling Forcing, arXiv 2509.25161) and block (Self-Forcing, LongLive).
 *
 * Other long-video policies need more than spans of frames. It goes here, when one comes:
 *   rows        today a row of the table is a frame of a block, the same for all layers and
 *               heads. A policy that keeps single tokens, or other ones by layer or head, widens
 *               kv_span by tokens, use counts, or row and column, and kv_pass by the layer and
 *               the heads
 *   contents    one that writes keys (averages, compressed ones) has blocks in the cache of its own
 *               beside those of the clip, and a call on eviction: what leaves, before it goes
 *   choices     one that scores keys chooses before a block's first pass, or after a pass, on the
 *               rank that has what it scores; what it chose travels to the others as numbers, and
 *               the rule stays a pure function of them: another field of kv_pass
 */
#ifndef KV_POLICY_H
#define KV_POLICY_H

#include "base/base.h"
#include "base/kv_policies.h"

struct kv_policy {
    enum window_kind kind;
    int levels;           /* W */
    int frames_per_block; /* B */
    int attention_frames; /* A: queries and keys together span at most this */
    int sink_frames;      /* rolling: 0 or B; block by block: 0 .. B, at most A - B */
    enum kv_sink sink;
};

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

/* What a rule goes by: a window pass over blocks first .. first+count-1, which stand at levels
 * falling from the oldest; or the clean pass of block `first`, count 1. */
struct kv_pass {
    int64_t first;
    int count;
};

struct kv_policy_ops {
    /* ST_ARG says which number does not fit and what is allowed. Levels and frames per block
     * fit. */
    status (*check)(const struct kv_policy *p);

    /* The keys of a window pass, and of a clean one, itself included as the last span. *out is
     * empty before. */
    void (*window_spans)(const struct kv_policy *p, const struct kv_pass *pass,
                         struct kv_window *out);
    void (*clean_spans)(const struct kv_policy *p, const struct kv_pass *pass,
                        struct kv_window *out);

    /* How many of the newest clean blocks passes at this stage look back on; see kv_lookback. */
    int (*lookback)(const struct kv_policy *p, int stage, bool given);
};
const struct kv_policy_ops *kv_policy_ops(const struct kv_policy *p);

status kv_policy_check(const struct kv_policy *p) MUST_USE;

/* Blocks of all levels are in one pass: a line takes a block every tick. Else one block at a
 * time, every W+1 ticks. */
bool kv_policy_joint(const struct kv_policy *p);

/* See the ops. count is 1 where a policy is not joint. */
void kv_window_spans(struct kv_window *out, const struct kv_policy *p, int64_t first, int count);
void kv_clean_spans(struct kv_window *out, const struct kv_policy *p, int64_t block);

/* How many of the newest clean blocks a rank must keep that owns noise levels
 * first_stage .. end_stage-1 (stage W is the clean stage): the block of the
 * current clean pass counts, block 0 does not (it has a place of its own).
 * given: clips may begin with blocks that exist already; the first windows behind
 * these are short and still have a whole past, at every level. */
int kv_lookback(const struct kv_policy *p, int first_stage, int end_stage, bool given);

#endif /* KV_POLICY_H */
