/* line_state.h - one rank's part of the line. Private to line*.c. */
#ifndef LINE_STATE_H
#define LINE_STATE_H

#include "pipeline/cache.h"
#include "pipeline/line.h"

enum { LINE_STAGES = SCHEDULE_LEVELS + 1 };

/* What each holds: struct line_bytes. */
enum { LINE_CACHE, LINE_CONTEXT, LINE_SCRATCH, LINE_WIRE, LINE_ARENAS };

/* One own stage. Everything but the latents is this tick's. */
struct line_stage {
    struct tensor in, out; /* latents [frames, channels, h, w] F32 */
    struct tensor x;       /* residual stream [n, d] F32 */
    struct tensor q;       /* [n, d] act */
    struct dit_part near;  /* attention over the keys that no exchange brings */
    struct tensor time;    /* angles of the frames of `keys`, in its order: [A, pairs, 2] */
    struct key_list keys;
    struct dit_angles at; /* of the block itself */
    int context;          /* index into line.context */
};

struct line {
    struct line_config c;
    int levels, first, end; /* own stages first .. end-1; stage `levels` is the clean one */
    int64_t frames, tokens; /* of a block */

    void *memory[LINE_ARENAS];
    struct cache cache;
    int cache_clip; /* the clip whose clean blocks the cache holds; -1: none */
    struct dit_context context[LINE_STAGES]; /* `contexts` of them are in use */
    int contexts;
    int64_t context_id[LINE_STAGES]; /* -1: empty */
    struct dit_scratch scratch;
    struct tensor keys;            /* roped keys of one pass: [A * n/frames, d] act */
    int turned_for;                /* whose they are: a pass's first own stage; -1: nobody's */
    bool turned[KEY_SPANS];        /* which of them are there */
    struct tensor row, col;        /* angles of rows and columns */
    struct tensor noise, flow, x0; /* [frames, channels, h, w] F32 */
    struct tensor window_k[LINE_STAGES], window_v[LINE_STAGES]; /* [n, d] act, one layer's */
    struct line_stage stage[LINE_STAGES];                       /* own ones are in use */

    float *host[3]; /* latents for the callbacks: noisy, flow, x0 */
    float *embeds;  /* a prompt from the callback: [text_len, text_dim] */

    /* This tick. */
    const struct timeline *timeline;
    const struct line_io *io;
    int64_t tick;
    struct place place[LINE_STAGES];
    bool exchanging; /* between line_exchange_begin and line_exchange_end */
};

/* One tick's forward pass over the own stages, from `in` to `out`. */
status line_pass(struct line *l) MUST_USE;

/* [all] Keys and values of one layer, to every rank that attends to them: on their way
 * after begin, there after end. In between own ones are only read, and others not even
 * that. A rank that fails in between must still call end. */
status line_exchange_begin(struct line *l, int layer) MUST_USE;
status line_exchange_end(struct line *l, int layer) MUST_USE;

/* [all] Every block moves one stage on. */
status line_hand_over(struct line *l) MUST_USE;

/* Where a stage's keys and values of a layer lie on this rank. */
status line_kv(struct line *l, int stage, int layer, struct tensor *k, struct tensor *v) MUST_USE;

/*
 * The rest of a layer, for all own stages. A noise stage's keys are cut into two parts,
 * by the timeline alone, so that the sums are the same for any ranks:
 *   near  every rank that holds the stage has them without this layer's exchange: the
 *         block itself, and clean blocks but for the one in the clean stage now
 *   far   the rest: the clean stage's block, the other blocks of the window
 * line_attend_near takes the near part, and stages without a far one to the end of the
 * layer; line_attend_far, after the exchange, the others.
 */
status line_attend_near(struct line *l, int layer) MUST_USE;
status line_attend_far(struct line *l, int layer) MUST_USE;

/* Does a block stand at this stage? */
bool line_holds(const struct line *l, int stage);

/* Nobody reads what the last layer of a clean pass makes of its keys. */
bool line_ends(const struct line *l, int stage, int layer);

/* A failure of comm, with where the line stands; layer -1: between passes. */
status line_located(const struct line *l, int layer, status st) MUST_USE;

/* For the track: a stage's block, in a layer or -1. */
struct track_at line_at(const struct line *l, int stage, int layer);

#endif /* LINE_STATE_H */
