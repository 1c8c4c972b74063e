/* cache_internal.h - what the policies share: frames, sinks and how far back they reach. Private to
 * pipeline/cache. */
#ifndef CACHE_INTERNAL_H
#define CACHE_INTERNAL_H

#include "pipeline/cache/kv_policy.h"
#include "pipeline/cache/kv_state.h"

#include <math.h>

extern const struct kv_policy_ops policy_rolling, policy_block;
#define POLICY(NAME, file, ...) extern const struct kv_policy_ops policy_##file;
KV_POLICIES(POLICY)
#undef POLICY

/* One of a rule's own numbers that is whole. */
static inline int kv_whole(const struct kv_policy *p, enum kv_key k) { return (int)p->key[k]; }

/* For all_heads: always. */
static inline bool kv_all_heads(const struct kv_policy *p)
{
    (void)p;
    return true;
}

/* Append frames from .. to-1 of the clip, cut at block borders, the first at `position`. None:
 * nothing. */
void frames_add(struct kv_window *out, enum kv_source source, int frames_per_block, int64_t from,
                int64_t to, int64_t position);

/* Positions from .. to-1 of an endless walk over the clip's first `frames`, forwards and backwards
 * again: each shows its frame there, and below `frames` that is the frame of this number. */
void frames_add_walk(const struct kv_policy *p, int frames, int64_t from, int64_t to,
                     struct kv_window *out);

/* Block by block: all clean frames before the pass's block that fit beside it into A; or else the
 * sink, from `sink_position` on, and the newest at their own positions. */
void frames_add_history(const struct kv_policy *p, const struct kv_pass *pass,
                        int64_t sink_position, struct kv_window *out);

/* For chooses_from: the first block that does not fit into A beside its whole past. */
int64_t frames_first_full(const struct kv_policy *p);

/* The first frame behind the sink that such a history still has; <= 0: it has all. */
int64_t frames_oldest(const struct kv_policy *p, int64_t block);

/* The block of a pass itself, at its own positions or `jump` further on. */
void frames_add_own(const struct kv_policy *p, const struct kv_pass *pass, enum kv_source source,
                    int64_t jump, struct kv_window *out);

/* Blocks that a sink lies in: what most policies have as their bank. */
int frames_sink_blocks(const struct kv_policy *p);

/* kv_lookback of one stage, by a policy's own spans deep in a clip. Block by block a block's
 * passes see the same but for itself, which in the clean pass counts; behind given blocks too. */
int frames_look_back(const struct kv_policy_ops *ops, const struct kv_policy *p, int stage,
                     bool given);

/* A block deep in a clip, where every rule is in its steady form. */
enum { FRAMES_DEEP = 1 << 20 };

/* ST_ARG unless attention spans `least` frames, and no more than a window can list. */
status frames_check(const struct kv_policy *p, int64_t least) MUST_USE;

/* Block by block: ST_ARG unless the sink and a block fit. least: of the sink. */
status frames_check_sink(const struct kv_policy *p, int least) MUST_USE;

/* ---- policy_rank.c -------------------------------------------------------------------------- */

/* A score that is not to be chosen. */
#define RANK_NEVER (-INFINITY)

/* The places of the `best` largest of `count` scores, rising; of equal ones the first. */
status rank_best(const float *score, int64_t count, int64_t best, int32_t *out) MUST_USE;

/* Rising, each from `first` on and below `end`, as rank_best chooses? ST_ARG says which is not. */
status rank_check(const int32_t *choice, int64_t count, int64_t first, int64_t end) MUST_USE;

/* A choice of `count` rows, to the room's index. */
status rank_upload(const struct kv_call *c, const int32_t *choice, int64_t count) MUST_USE;

/* ---- policy_rows.c -------------------------------------------------------------------------- */

typedef void row_work(const struct kv_state *s, void *arg, float *row, int64_t index);

/* Calls `work` for every row of F32 [rows, dim], copied to the host in pieces that fit the room,
 * with its index. rows_change writes the rows back. */
status rows_read(const struct kv_call *c, const struct tensor *rows, row_work *work,
                 void *arg) MUST_USE;
status rows_change(const struct kv_call *c, const struct tensor *rows, row_work *work,
                   void *arg) MUST_USE;

/* ---- policy_average.c ----------------------------------------------------------------------- */

/* Some kept rows of a layer, keys or values: as F32, and as they are attended to. */
struct average {
    struct tensor wide, act;
};
struct average average_of(const struct kv_call *c, int layer, int values, int64_t first,
                          int64_t rows);

/* a := x; a := alpha a + (1 - alpha) x. x: as many rows, act or F32. */
status average_begin(const struct kv_call *c, struct average *a, const struct tensor *x) MUST_USE;
status average_add(const struct kv_call *c, struct average *a, const struct tensor *x,
                   double alpha) MUST_USE;

/* The same with each product and the sum rounded to bf16. */
status average_add_bf16(const struct kv_call *c, struct average *a, const struct tensor *x,
                        double alpha) MUST_USE;

#endif /* CACHE_INTERNAL_H */
