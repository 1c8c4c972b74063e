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
};

/* One tick's forward pass over the own stages, from `in` to `out`. */
status line_pass(struct line *l) MUST_USE;

/* [all] Keys and values of one layer, to every rank that attends to them. */
status line_exchange(struct line *l, int layer) MUST_USE;

/* [all] Every block moves one stage on. */
status line_hand_over(struct line *l) MUST_USE;

/* Where a stage's keys and values of a layer lie on this rank. */
status line_kv(struct line *l, int stage, int layer, struct tensor *k, struct tensor *v) MUST_USE;

#endif /* LINE_STATE_H */
