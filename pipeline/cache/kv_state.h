/*
 * kv_state.h - what a policy remembers of the clip in work, on the host, and what its calls get.
 *
 * A rank of a line has one state, beside its cache. All ranks' are alike at every tick's
 * boundary: enter and settle are pure functions of the blocks that passed and of the choices,
 * and these one rank makes and the others are sent (kv_policy.h). Nothing of it grows with the
 * clip.
 */
#ifndef KV_STATE_H
#define KV_STATE_H

#include "kernels/kern.h"
#include "pipeline/cache/kv_cache.h"
#include "pipeline/cache/kv_policy.h"

struct kv_state {
    struct kv_policy policy;
    int layers;
    int64_t tokens, dim;  /* of a frame; columns of a row here */
    int heads;            /* that these columns are of */
    int64_t block;        /* entered last; 0: none, block 0 has no past */
    int64_t choice_count; /* numbers of a layer's choice; 0: it does not choose */
    int choice_layers;
    int32_t *choice;    /* [choice_layers, choice_count], of the last choice made or come; owned */
    int64_t note_count; /* numbers of a layer's note; 0: none is taken */
    float *note;        /* [layers, note_count], as of the last clean pass observed; owned */
    size_t own_bytes;   /* of own */
    void *own;          /* the policy's; owned */
};

/* What a state is of: layers of a model, tokens of a frame; columns of a row on this rank, and the
 * heads that these are of. */
struct kv_state_shape {
    int layers;
    int64_t tokens, dim;
    int heads;
};
/* Is the policy one for such a model? tokens 0: not known yet. ST_ARG says which number does not
 * fit. kv_state_open asks, too. */
status kv_state_check(const struct kv_policy *p, const struct kv_state_shape *shape) MUST_USE;

status kv_state_open(struct kv_state *out, const struct kv_policy *p,
                     const struct kv_state_shape *shape) MUST_USE;
void kv_state_close(struct kv_state *s); /* safe on a zeroed one */
size_t kv_state_bytes(const struct kv_state *s);
void kv_state_reset(struct kv_state *s); /* another clip begins */

/* A layer's note and choice, and how many bytes all of them have. */
static inline float *kv_state_note(const struct kv_state *s, int layer)
{
    return s->note + layer * s->note_count;
}
static inline int32_t *kv_state_choice(const struct kv_state *s, int layer)
{
    return s->choice + layer * s->choice_count;
}
size_t kv_state_choice_bytes(const struct kv_state *s);

/* The choice of a block that has had its first pass, if no other has entered since; zeros where it
 * made none. to: [kv_state_choice_bytes] */
void kv_state_take_choice(const struct kv_state *s, int64_t block, void *to);
size_t kv_state_note_bytes(const struct kv_state *s);

/* Does any layer choose in the first pass of the block that has entered? */
bool kv_state_chooses_any(const struct kv_state *s);

/* What every call of a policy gets; all is borrowed. The room is scratch: nothing in it is kept
 * from one call to the next, and a policy takes of it what it needs. */
struct kv_call {
    struct kern_ctx *ctx;
    struct kv_cache *cache;
    struct kv_state *state;
    int layer;
    const struct tensor *q; /* observe, choose: roped queries of the pass, [B tokens, dim] act */

    struct kv_room {
        struct tensor rows;  /* [A tokens, dim] act */
        struct tensor wide;  /* [(B + 1) tokens, dim] F32 */
        struct tensor sums;  /* [dim] F32 */
        struct tensor score; /* [A tokens] F32 */
        struct tensor index; /* [A tokens] F32, as kern_gather_rows takes it */
        float *host;         /* as many numbers as score, sums and index, in this order */
    } room;

    /* x, keys of whole frames one behind another, roped to positions from `position` on. */
    status (*rope)(void *arg, const struct tensor *x, int64_t position, struct tensor *out);
    void *arg;

    /* x, queries or keys of whole frames, roped to positions from `position` on: out is what they
     * are without RoPE, and may be x. */
    status (*unrope)(void *arg, const struct tensor *x, int64_t position, struct tensor *out);
};

/* The room's places, but for the host's: act and columns as the cache's; frames: A; block: B. */
status kv_room_place(struct kv_room *out, const struct kv_policy *p, int64_t tokens, int64_t dim,
                     enum dtype act, struct arena *a) MUST_USE;

/* Before the first pass of a block and of all that follow it, whichever rank it is; blocks must
 * come one after another, but for what needs no order. Does nothing for one that has entered. */
status kv_enter(const struct kv_call *c, int64_t block) MUST_USE;
status kv_observe(const struct kv_call *c) MUST_USE;
status kv_choose(const struct kv_call *c) MUST_USE; /* and settle: this rank is through with it */

/* Every layer of a choice that came. */
status kv_settle(const struct kv_call *c) MUST_USE;

/* The same of what kv_state_take_choice had, in place of the first pass of the block that has
 * entered. ST_ARG for what cannot have been chosen. */
status kv_settle_taken(const struct kv_call *c, const void *choice) MUST_USE;

/* The same without any rows, for a state of its own that no line has: can this have been chosen for
 * `block`, behind what was replayed of the blocks before? From block 0 on, behind kv_state_reset.
 * Only of a policy that chooses. ST_ARG: no. */
status kv_replay_choice(struct kv_state *s, int64_t block, const void *choice) MUST_USE;

#endif /* KV_STATE_H */
