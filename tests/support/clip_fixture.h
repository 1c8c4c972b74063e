/*
 * clip_fixture.h - clips through the line, for tests over any transport: small latents of the
 * recorded model, noise and prompts from numbers, every finished block kept.
 *
 * Ranks that are threads share one fixture. Under mpirun each has its own, and only the one
 * that owns stage W-1 gets blocks.
 */
#ifndef CLIP_FIXTURE_H
#define CLIP_FIXTURE_H

#include "pipeline/line/line.h"

#include <stdatomic.h>

enum { FIXTURE_H = 4, FIXTURE_W = 6, FIXTURE_CHANNELS = 16, FIXTURE_FRAMES = 3 };
enum { FIXTURE_HEADS = 12 }; /* more than it was recorded with, for up to six ranks to share */
enum { FIXTURE_BLOCK = FIXTURE_FRAMES * FIXTURE_CHANNELS * FIXTURE_H * FIXTURE_W };
enum {
    FIXTURE_CLIPS = 5,
    FIXTURE_BLOCKS = 12,
    FIXTURE_RANKS = 6,
    FIXTURE_LEVELS = 5,
    FIXTURE_CHOICE = 1024
}; /* at most */

struct clip_fixture_model {
    const struct kern_backend *backend; /* of those that render */
    int device;                         /* and of this rank */
    struct kern_ctx *ctx;
    struct dit *dit;
    struct dit_shape shape;
    struct schedule schedule;
    float *embeds[2]; /* of two prompts, [text_len, text_dim] */
};
/* On failure it is closed. */
status clip_fixture_model_open(struct clip_fixture_model *m, const struct kern_backend *b) MUST_USE;
status clip_fixture_model_open_on(struct clip_fixture_model *m, const struct kern_backend *b,
                                  int device) MUST_USE;
void clip_fixture_model_close(struct clip_fixture_model *m);

/* The windows there are. */
enum {
    FIXTURE_ROLLING,
    FIXTURE_BLOCK21,
    FIXTURE_BLOCK12,
    FIXTURE_FORCING_KV,
    FIXTURE_LOL,
    FIXTURE_KINDS
};
extern const struct kv_policy clip_fixture_policy[FIXTURE_KINDS];

/* May so many ranks share a line by heads? */
bool clip_fixture_by_heads(const struct kv_policy *p, int ranks);

struct clip_fixture {
    const struct clip_fixture_model *model; /* borrowed */
    const struct kv_policy *policy;
    int clips;
    int64_t blocks[FIXTURE_CLIPS];
    uint64_t seed[FIXTURE_CLIPS];
    int change[FIXTURE_CLIPS]; /* from this block on the other prompt; 0: never */
    bool recache;              /* and brings a recache with it */
    bool new_before;           /* it is in force before, too */
    struct line_mode mode;

    /* Clips join in order. Clip i does before this tick, or when the line is idle; the first
     * `hesitate` times that it is, rank 0 says nothing. late_over: the end is said when the line is
     * idle, not with the last clip. cut: before tick cut_tick; -1: none. */
    int64_t join[FIXTURE_CLIPS];
    int hesitate;
    bool late_over;
    int cut;
    int64_t cut_tick;

    /* So many first blocks of the clip are given: those of clip `given_clip` of another fixture. */
    int given[FIXTURE_CLIPS];
    const struct clip_fixture *given_of; /* NULL: none are given */
    int given_clip;

    /* Checkpoints behind every so many blocks, 0: none; of one clip they are kept. goes_on: the
     * clip with given blocks does so behind the checkpoint that given_of has kept there. */
    int every, kept_clip;
    bool goes_on, chosen;         /* chosen: behind the choices that given_of has kept */
    int kept[FIXTURE_BLOCKS + 1]; /* by blocks finished: how many latents of the window */
    int32_t choice[FIXTURE_CLIPS][FIXTURE_BLOCKS][FIXTURE_CHOICE]; /* behind a block's latent */
    float window[FIXTURE_BLOCKS + 1][FIXTURE_LEVELS][FIXTURE_BLOCK];

    bool gathers; /* ranks that are threads are said to be good at it */

    /* Asks to stop at this boundary between ticks, counted from 0 (an idle line has several before
     * one tick). -1: nobody does. */
    int stop_rank;
    int64_t stop_boundary;
    int fault_rank;              /* -1: none */
    long fault_call, fault_wait; /* its callback, or its wait, that fails; from 1; 0: none */

    atomic_bool fault_met;
    atomic_long parts;              /* of all ranks */
    atomic_int done[FIXTURE_CLIPS]; /* blocks handed out, in order */
    status ended[FIXTURE_RANKS];
    float latents[FIXTURE_CLIPS][FIXTURE_BLOCKS][FIXTURE_BLOCK]; /* NaN where nothing came */
};

/* Clip i has seed first_seed + i. NULL: no memory. The caller frees it. */
struct clip_fixture *clip_fixture_new(const struct clip_fixture_model *m, const struct kv_policy *p,
                                      int clips, const int64_t *blocks, uint64_t first_seed);

/* Who stands where, with all that joins and is cut: as the line is to see it. `stopped`: the tick
 * before which it is stopped, and of which nothing was decided; -1: it ends by itself. */
status clip_fixture_timeline(const struct clip_fixture *s, struct timeline *out,
                             int64_t *stopped) MUST_USE;

/* The first blocks of a clip, from a fixture that has rendered them. */
void clip_fixture_give(struct clip_fixture *s, int clip, int blocks, const struct clip_fixture *of,
                       int of_clip);

/* [all] This rank's part of it. A callback that is to fail fails with ST_IO, a wait with
 * ST_COMM. */
status clip_fixture_run(struct clip_fixture *s, struct comm *c) MUST_USE;

/* Over so many ranks that are threads; delay_us > 0: delayed at random, as the seed says. */
status clip_fixture_run_threads(struct clip_fixture *s, int ranks, uint64_t delay_seed,
                                int delay_us) MUST_USE;

/* The first `blocks` blocks of clip a of one fixture are those of clip b of another, to the
 * bit, and all there. ST_MISMATCH says which is not. */
status clip_fixture_same(const struct clip_fixture *a, int clip_a, const struct clip_fixture *b,
                         int clip_b, int64_t blocks) MUST_USE;

#endif /* CLIP_FIXTURE_H */
