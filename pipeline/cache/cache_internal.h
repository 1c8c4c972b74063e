/* cache_internal.h - what the policies share: frames, sinks and how far back they reach. Private to
 * pipeline/cache. */
#ifndef CACHE_INTERNAL_H
#define CACHE_INTERNAL_H

#include "pipeline/cache/kv_policy.h"

#define POLICY(NAME, name, joint) extern const struct kv_policy_ops policy_##name;
KV_POLICIES(POLICY)
#undef POLICY

/* Append frames from .. to-1 of the clip, cut at block borders, at their own positions. */
void frames_add(struct kv_window *out, enum kv_source source, int frames_per_block, int64_t from,
                int64_t to);

/* Append the clip's first frames, the first of them at `position`. None: nothing. */
void frames_add_sink(struct kv_window *out, int frames, int64_t position);

/* Blocks from the oldest clean one but block 0 up to `newest`. */
int frames_lookback(const struct kv_window *w, int64_t newest);

/* A block deep in a clip, where every rule is in its steady form. */
enum { FRAMES_DEEP = 1 << 20 };

/* ST_ARG unless attention spans `least` frames, and no more than a window can list. */
status frames_check(const struct kv_policy *p, int64_t least) MUST_USE;

#endif /* CACHE_INTERNAL_H */
