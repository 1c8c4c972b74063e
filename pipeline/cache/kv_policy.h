/*
 * kv_policy.h - who attends to whom: the cache policy as rules over frames and rows.
 *
 * There is one cache (kv_cache.h): clean keys and values of the clip in work, keys without RoPE. A
 * rule lists, for each pass and layer, which of them the pass attends to, in key order, each with
 * the RoPE position it is roped to. So most policies are tables alone. It says nothing of where
 * keys and values lie nor which rank holds them (line.h).
 *
 * A policy is a file policy_NAME.c with one row of struct kv_policy_ops, and a line in
 * KV_POLICIES, where what others ask of it stands beside its name. Nothing outside asks which one
 * it is, but whether it is the window's own (KV_USUAL). What else a policy may have:
 *
 *   bank      the clip's first blocks, kept for ever (the sink, or what is replayed)
 *   kept      rows of its own in the cache, per layer, that are no frame's: averages, or single
 *             tokens that were chosen. The rule lists them as KV_KEPT
 *   state     numbers on the host (kv_state.h), the same on every rank of a line; they change only
 *             in the calls below
 *
 *   enter     before the first pass of a block, on every rank: the state moves on to this block,
 *             and so do rows that are averages of what leaves. All that the passes before have
 *             made is there
 *   observe   in the clean pass of a block, a layer, on the rank that owns it: what the next
 *             choice will need of the pass's queries, as numbers (the note)
 *   choose    in the first pass of a block, a layer, on the rank that owns it, queries at hand:
 *             which rows are kept, as numbers (the choice). Nobody else chooses: sums that order
 *             otherwise on another machine could choose otherwise
 *   take      on every rank, a layer's choice is there: is it one that can have been made, and what
 *             the state remembers of it
 *   settle    behind take: rows move. At once where the choice was made, at the end of the tick
 *             elsewhere, so before anybody's next pass
 *
 * A policy whose scores come from clean keys alone, which all ranks have to the bit, needs none of
 * that: it chooses in enter, on the host and in one order of sums, each rank for itself.
 *
 * For whoever rebuilds the cache from a clip's latents by its clean passes (given blocks,
 * a render that goes on after a stop): enter and observe run in these passes as in any others, so
 * averages and notes come out the same. Choices do not: they depend on queries at pure noise.
 * A policy with choices (kv_policy_chooses) has to have the choice of every block handed back to
 * settle: what kv_state_take_choice has said of it, when it was made. Without them such a policy
 * takes no more given blocks than come before its first choice. All such policies go block by
 * block, so the last choice is that of the block in work until it is finished.
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
    int sink_frames;      /* see each policy */
    enum kv_sink sink;
    enum kv_rule rule;
    double key[KV_KEYS_COUNT]; /* the rule's own numbers (kv_policies.h): those it has */
    struct kv_profile profile; /* of heads, for a rule that has them of two kinds */
};

enum kv_source {
    KV_CLEAN,  /* left by the clean pass of this block */
    KV_WINDOW, /* made in this very pass by a block that is being denoised */
    KV_KEPT,   /* the policy's own rows of the layer */
};
struct kv_span {
    enum kv_source source;
    int64_t block;     /* of the clip; KV_KEPT: 0 */
    int frame, frames; /* part of the block, or of the kept rows: first frame and how many */
    int64_t position;  /* RoPE position of the first frame, in latent frames */
    int64_t rows;      /* KV_KEPT, frames 0: the first so many kept rows, roped already */
    bool some_heads;   /* for the heads of the layer alone that are not static; no rolling window */
};

enum { KV_SPANS = 32 };
struct kv_window {
    struct kv_span span[KV_SPANS];
    int count;
};

/* A recache: clean passes of blocks first .. up to the change, made once more and together. keys:
 * what all of them attend to, these blocks whole, older or younger ones alike. */
struct kv_recache {
    int64_t first;
    int64_t sink_block; /* that the sink begins with from then on */
    struct kv_window keys;
};

struct kv_state;

/* What a rule goes by: a window pass over blocks first .. first+count-1, which stand at levels
 * falling from the oldest; or the clean pass of block `first`, count 1. */
struct kv_pass {
    int64_t first;
    int count;
    int layer;
    int64_t sink_block;           /* that the sink begins with: 0, or of a kv_recache */
    bool cut;                     /* block `first` begins a scene with a cut (infinity-rope) */
    const struct kv_state *state; /* of a policy that has one; else not read */
};

struct kv_call;
struct kv_state_shape;

struct kv_policy_ops {
    /* Needs all heads of a layer in one place: no exchange by heads. NULL: no. */
    bool (*all_heads)(const struct kv_policy *p);

    /* ST_ARG says which number does not fit and what is allowed. Levels, frames per block and the
     * rule's own keys, one by one, fit. */
    status (*check)(const struct kv_policy *p);

    /* The same of what it is to be a state of, where that is known. NULL: anything fits. */
    status (*fits)(const struct kv_policy *p, const struct kv_state_shape *shape);

    /* The keys of a pass, its own blocks included as the last spans: own is KV_WINDOW in a window
     * pass and KV_CLEAN in a clean one. *out is empty before. */
    void (*spans)(const struct kv_policy *p, const struct kv_pass *pass, enum kv_source own,
                  struct kv_window *out);

    /* How many of the newest clean blocks passes at this stage look back on, and what enter and
     * settle read there; see kv_lookback. NULL: what the spans reach. */
    int (*lookback)(const struct kv_policy *p, int stage, bool given);

    /* The recache of a new prompt from `block` on. NULL: the policy has no rule for it. */
    void (*recache)(const struct kv_policy *p, int64_t block, struct kv_recache *out);

    /* The base of a head's time frequencies, in all layers. NULL: all heads have the usual. */
    double (*head_base)(const struct kv_policy *p, int head);

    int (*bank)(const struct kv_policy *p); /* first blocks that are kept; NULL: 1 */
    int (*kept)(const struct kv_policy *p); /* frames' worth of rows of its own; NULL: none */
    bool wide;                              /* these are computed with in F32 */

    bool scores; /* enter chooses rows by scores */

    /* Bytes of its state beside choice and note. */
    size_t (*state_bytes)(const struct kv_policy *p, const struct kv_state_shape *shape);
    void (*reset)(struct kv_state *s); /* a clip begins; NULL: zeroes will do */

    /* Numbers of a layer's choice, for so many tokens a frame; layers that choose. NULL: it does
     * not choose. */
    int64_t (*choice_count)(const struct kv_policy *p, int64_t tokens);
    bool first_layer_chooses;                                 /* for all; else each for itself */
    bool (*chooses_now)(const struct kv_state *s, int layer); /* in the block's first pass */
    int64_t (*chooses_from)(const struct kv_policy *p); /* the first block that it can do so in */

    /* Numbers of a layer's note, for rows of so many columns; NULL: as many. */
    int64_t (*note_count)(int64_t dim);

    /* See above; NULL: nothing to do. enter: all layers, call.layer is not read; of a policy that
     * chooses it goes by the state alone (kv_replay_choice). */
    status (*enter)(const struct kv_call *c, int64_t block);
    status (*observe)(const struct kv_call *c);
    status (*choose)(const struct kv_call *c);
    status (*take)(struct kv_state *s, int layer); /* ST_ARG */
    status (*settle)(const struct kv_call *c);

    /* Where kept row `row` of a layer comes from, for who wants to look: source frame and token of
     * it. A negative frame: no frame's. NULL: of none. */
    void (*kept_source)(const struct kv_state *s, int layer, int64_t row, double *frame,
                        int64_t *token);
};
const struct kv_policy_ops *kv_policy_ops(const struct kv_policy *p);

status kv_policy_check(const struct kv_policy *p) MUST_USE;

/* Blocks of all levels are in one pass: a line takes a block every tick. Else one block at a
 * time, every W+1 ticks. */
bool kv_policy_joint(const struct kv_policy *p);

bool kv_policy_chooses(const struct kv_policy *p);
/* int32 numbers of a block's choice, of all layers, for so many tokens a frame; 0: none is made. */
int64_t kv_policy_choice(const struct kv_policy *p, int layers, int64_t tokens);
/* The most given blocks that a clip may have. */
int64_t kv_policy_most_given(const struct kv_policy *p);
bool kv_policy_scores(const struct kv_policy *p); /* it selects rows by score */
bool kv_policy_all_heads(const struct kv_policy *p);
bool kv_policy_heads_apart(const struct kv_policy *p); /* they have a head_base each */
int kv_policy_bank(const struct kv_policy *p);         /* >= 1 */
int kv_policy_kept(const struct kv_policy *p);         /* frames' worth of rows */

/* See the ops. pass.count is 1 where a policy is not joint. */
void kv_window_spans(struct kv_window *out, const struct kv_policy *p, const struct kv_pass *pass);
void kv_clean_spans(struct kv_window *out, const struct kv_policy *p, const struct kv_pass *pass);

/* Has the policy a rule for a recache, and do its numbers fit it? */
bool kv_policy_recaches(const struct kv_policy *p);
/* ST_ARG says why not. */
status kv_recache_check(const struct kv_policy *p) MUST_USE;
/* How many blocks one takes, at most. */
int kv_recache_blocks(const struct kv_policy *p);
/* The one of a new prompt from `block` on. */
void kv_recache_find(struct kv_recache *out, const struct kv_policy *p, int64_t block);

/* The oldest of these are the sink then: all of them must be there. */
static inline bool kv_policy_renews_sink(const struct kv_policy *p)
{
    return p->rule == KV_USUAL && p->key[KV_KEY_renew_sink] != 0;
}

/* How many of the newest clean blocks a rank must keep that owns noise levels
 * first_stage .. end_stage-1 (stage W is the clean stage): the block of the
 * current clean pass counts, those of the bank do not (they have a place of their own).
 * given: clips may begin with blocks that exist already; the first windows behind
 * these are short and still have a whole past, at every level. */
int kv_lookback(const struct kv_policy *p, int first_stage, int end_stage, bool given);

#endif /* KV_POLICY_H */
