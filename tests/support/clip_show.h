/*
 * clip_show.h - clips through the line, for tests over any transport: small latents of the
 * recorded model, noise and prompts from numbers, every finished block kept.
 *
 * Ranks that are threads share one show. Under mpirun each has its own, and only the one
 * that owns stage W-1 gets blocks.
 */
#ifndef CLIP_SHOW_H
#define CLIP_SHOW_H

#include "pipeline/line/line.h"

#include <stdatomic.h>

enum { SHOW_H = 4, SHOW_W = 6, SHOW_CHANNELS = 16, SHOW_FRAMES = 3 };
enum { SHOW_HEADS = 12 }; /* more than it was recorded with, for up to six ranks to share */
enum { SHOW_BLOCK = SHOW_FRAMES * SHOW_CHANNELS * SHOW_H * SHOW_W };
enum { SHOW_CLIPS = 5, SHOW_BLOCKS = 12, SHOW_RANKS = 6 }; /* at most */

struct show_model {
    const struct kern_backend *backend; /* of those that render */
    int device;                         /* and of this rank */
    struct kern_ctx *ctx;
    struct dit *dit;
    struct dit_shape shape;
    struct schedule schedule;
    float *embeds[2]; /* of two prompts, [text_len, text_dim] */
};
/* On failure it is closed. */
status show_model_open(struct show_model *m, const struct kern_backend *b) MUST_USE;
status show_model_open_on(struct show_model *m, const struct kern_backend *b, int device) MUST_USE;
void show_model_close(struct show_model *m);

/* The windows there are. */
enum { SHOW_ROLLING, SHOW_BLOCK21, SHOW_BLOCK12, SHOW_KINDS };
extern const struct kv_policy show_policy[SHOW_KINDS];

struct show {
    const struct show_model *model; /* borrowed */
    const struct kv_policy *policy;
    int clips;
    int64_t blocks[SHOW_CLIPS];
    uint64_t seed[SHOW_CLIPS];
    int change[SHOW_CLIPS]; /* from this block on the other prompt; 0: never */
    struct line_mode mode;

    /* Clips join in order. Clip i does before this tick, or when the line is idle; the first
     * `hesitate` times that it is, rank 0 says nothing. late_over: the end is said when the line is
     * idle, not with the last clip. cut: before tick cut_tick; -1: none. */
    int64_t join[SHOW_CLIPS];
    int hesitate;
    bool late_over;
    int cut;
    int64_t cut_tick;

    /* So many first blocks of the clip are given: those of clip `given_clip` of another show. */
    int given[SHOW_CLIPS];
    const struct show *given_of; /* NULL: none are given */
    int given_clip;

    bool gathers; /* ranks that are threads are said to be good at it */

    int stop_rank; /* asks to stop before the tick; -1: nobody does */
    int64_t stop_tick;
    int fault_rank;              /* -1: none */
    long fault_call, fault_wait; /* its callback, or its wait, that fails; from 1; 0: none */

    atomic_bool fault_met;
    atomic_long parts;           /* of all ranks */
    atomic_int done[SHOW_CLIPS]; /* blocks handed out, in order */
    status ended[SHOW_RANKS];
    float latents[SHOW_CLIPS][SHOW_BLOCKS][SHOW_BLOCK]; /* NaN where nothing came */
};

/* Clip i has seed first_seed + i. NULL: no memory. The caller frees it. */
struct show *show_new(const struct show_model *m, const struct kv_policy *p, int clips,
                      const int64_t *blocks, uint64_t first_seed);

/* Who stands where, with all that joins and is cut: as the line is to see it. */
status show_timeline(const struct show *s, struct timeline *out) MUST_USE;

/* The first blocks of a clip, from a show that has rendered them. */
void show_give(struct show *s, int clip, int blocks, const struct show *of, int of_clip);

/* [all] This rank's part of it. A callback that is to fail fails with ST_IO, a wait with
 * ST_COMM. */
status show_run(struct show *s, struct comm *c) MUST_USE;

/* Over so many ranks that are threads; delay_us > 0: they dawdle, as the seed says. */
status show_threads(struct show *s, int ranks, uint64_t delay_seed, int delay_us) MUST_USE;

/* The first `blocks` blocks of clip a of one show are those of clip b of another, to the
 * bit, and all there. ST_MISMATCH says which is not. */
status show_same(const struct show *a, int clip_a, const struct show *b, int clip_b,
                 int64_t blocks) MUST_USE;

#endif /* CLIP_SHOW_H */
