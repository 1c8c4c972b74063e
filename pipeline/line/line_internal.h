/* line_internal.h - one rank's part of the line. Private to line*.c. */
#ifndef LINE_INTERNAL_H
#define LINE_INTERNAL_H

#include "pipeline/cache/kv_cache.h"
#include "pipeline/line/line.h"

enum { LINE_STAGES = SCHEDULE_LEVELS + 1 };

/* What each holds: struct line_bytes. */
enum { LINE_CACHE, LINE_CONTEXT, LINE_SCRATCH, LINE_WIRE, LINE_ARENAS };

/* One own stage. Everything but the latents is this tick's. */
struct line_stage {
    struct tensor in, out; /* [frames, channels, h, w] F32: slices of line.in, line.out */
    struct kv_window keys; /* of its pass, and the angles of their frames, in their order: */
    struct tensor time;    /* [A, pairs, 2]; both only of a pass's first own stage */
    int context;           /* index into line.context */
};

/* Stages first .. end-1. */
struct line_span {
    int first, end;
};

/* Of some stages those that hold blocks, as they go together: blocks of one clip; strict: one. */
struct line_runs {
    struct line_span run[LINE_STAGES];
    int count;
};

/* What one exchange takes along. */
enum { LINE_PARTS = 3 * LINE_STAGES * SPLIT_RANKS };
struct line_parts {
    struct comm_xfer part[LINE_PARTS];
    int count;
};

/* Queries, keys, values. */
struct line_qkv {
    struct tensor q, k, v;
};

/* Of the exchange by heads. A share: an own stage's rows of one rank's heads, [n, width];
 * shares: of all ranks, one behind another. */
struct line_heads {
    struct line_qkv made;      /* [as the scratch, d] act each: what own blocks are projected to */
    struct tensor bytes;       /* [2 * n, d] U8: one block's keys, values in 8 bits */
    struct line_qkv share;     /* act; q also of results that came back */
    struct tensor share_bytes; /* U8, of keys, then values; instead of share's k and v */
    struct tensor out;         /* [stages * n, width] act: attention's results */
};

struct line {
    struct line_config c;
    int levels, first, end; /* own stages first .. end-1; stage `levels` is the clean one */
    int64_t frames, tokens; /* of a block */
    bool by_heads;          /* LINE_HEADS, and there are other ranks */
    struct line_span sight; /* stages whose blocks attention here is for: own ones; by heads all */
    struct dit_shape seen;  /* the model, of the heads it is with: all; by heads a rank's share */

    void *memory[LINE_ARENAS];
    bool wire_of_comm; /* memory[LINE_WIRE] is the comm's; else the context's, as the others */
    struct kv_cache cache;
    struct cross_kv context[LINE_STAGES]; /* `contexts` of them are in use */
    int contexts;
    int64_t context_id[LINE_STAGES]; /* -1: empty */

    /* Of the own stages, one behind another. near, noise, flow, x0: of the noise stages. */
    struct tensor in, out;         /* latents [frames, channels, h, w] each, F32 */
    struct tensor x;               /* residual stream [n, d] F32 */
    struct tensor noise, flow, x0; /* as `in` */
    struct tensor at;              /* angles of the blocks' own [frames] each */

    /* Of the stages in sight, likewise; w: width, columns of the heads that are seen. */
    struct tensor q;          /* queries [n, w] act */
    struct attn_partial near; /* of noise stages: attention over the keys that no exchange brings */
    struct tensor angles;     /* `time` of all stages, then `at` */
    struct line_stage stage[LINE_STAGES]; /* own ones and those in sight are in use */

    struct dit_scratch scratch;       /* strict: of one block; else of all own stages */
    struct attn_partial part;         /* beside near: as many rows as the scratch has */
    struct tensor keys;               /* roped keys of one pass: [A * n/frames, w] act */
    int turned_for;                   /* whose they are: a pass's first own stage; -1: nobody's */
    bool turned[KV_SPANS];            /* which of them are there */
    struct tensor row, col;           /* angles of rows and columns */
    struct tensor window_k, window_v; /* [stages * n, w] act, one layer's of all noise stages; and
                                         of the clean one where line_may_gather */
    struct line_wire_room {
        struct tensor bytes; /* [2 * n, w] U8 of each stage: keys, then values. LINE_FP8 alone */
        struct tensor scale; /* [2 * n] F32 of each */
    } wire;
    struct line_heads heads;

    float *host[3];     /* latents for the callbacks: noisy, flow, x0 */
    float *host_noise;  /* of noise */
    float *host_angles; /* of angles */
    float *embeds;      /* a prompt from the callback: [text_len, text_dim] */

    /* Who is in the line, from line_begin on. */
    struct timeline timeline;
    const struct line_io *io;
    const struct timeline_entry *list; /* [listed] line_begin_list: all there will be */
    int listed;                        /* -1: decide says */
    struct line_decision decided;      /* what holds */
    int64_t tick;                      /* the coming one; during a tick that */

    /* This tick. */
    struct place place[LINE_STAGES];
    struct line_runs own, attends; /* of own stages, of those in sight */
    struct line_parts parts;       /* of the open exchange */
    bool exchanging;               /* between line_exchange_begin and line_exchange_end */
};

/* What the rank knows of the tick before anything is computed: places, runs. */
void line_place(struct line *l);

/* Does the block at this stage stand at the next one in the next tick, as far as is known? */
bool line_moves_on(const struct line *l, int stage);

/* Parts of tensors that hold the own stages one behind another, `per` entries each; and
 * where the scratch of a run that begins with a stage begins. */
struct tensor line_part(const struct line *l, const struct tensor *t, struct line_span s,
                        int64_t per);
int64_t line_scratch_row(const struct line *l, int stage);

/* The same of tensors that hold the stages in sight, a block's tokens each. */
struct tensor line_attended(const struct line *l, const struct tensor *t, struct line_span s);

/* Scratch that the operations take in any tick of any clips: by the pass itself, over tensors
 * without memory; it uses the line's host memory. */
status line_dry_run(size_t *out, struct line *l) MUST_USE;

/* What the operations of any tick of any clips have made for them when they first meet a
 * shape is made, so that no tick waits for it. With real arenas, before they hold anything. */
status line_prepare(struct line *l) MUST_USE;

/* The steps of a pass that are this rank's alone: keys of each pass; embedding of a run;
 * its keys, values and queries of a layer; the layer from what attention came to in the
 * scratch's h; flow, x0, and the noise on it of noise stages. */
void line_bind_keys(struct line *l);
status line_embed(struct line *l, struct line_span run) MUST_USE;
status line_project(struct line *l, struct line_span run, int layer) MUST_USE;
status line_finish(struct line *l, struct line_span run, int layer) MUST_USE;
status line_denoise(struct line *l, struct line_span noise) MUST_USE;

/* Noise stages of a run; first == end: none. */
struct line_span line_noise_of(const struct line *l, struct line_span run);

/* Blocks of one window share their keys: the first noise stage in sight of the clip. */
int line_first_of_window(const struct line *l, int stage);

/* [all] One tick's forward pass over the own stages, from `in` to `out`: enter, every layer,
 * leave. */
status line_forward(struct line *l) MUST_USE;
status line_enter(struct line *l) MUST_USE;
status line_layer(struct line *l, int layer) MUST_USE;
status line_leave(struct line *l) MUST_USE;

struct comm_xfer line_comm_part(const struct tensor *t, int peer, bool send);

/* [all] All of l->parts, there and back. */
status line_exchange(struct line *l, int layer) MUST_USE;

/* [all] Keys and values of one layer, to every rank that attends to them: on their way
 * after begin, there after end. In between own ones are only read, and others not even
 * that. A rank that fails in between must still call end. */
status line_exchange_begin(struct line *l, int layer) MUST_USE;
status line_exchange_end(struct line *l, int layer) MUST_USE;

/* Do keys and values of a stage come to this rank in this tick? */
bool line_arrives(const struct line *l, int stage);

/* line_exchange_quant.c. make: own stages' keys and values of a layer, rounded as the wire has
 * them. take: those that came, to where line_kv says. parts: what of a stage goes and comes. With
 * LINE_ACT the first two have nothing to do, and there are neither scales, [2 * n] F32, nor
 * narrow: a stage's keys and values to bytes, [2 * n, w] U8, and to its scales. */
status line_quant_place(struct line *l, struct arena *a) MUST_USE;
status line_quantize_kv(struct line *l, struct line_span s, int layer) MUST_USE;
status line_dequantize_kv(struct line *l, int layer) MUST_USE;
status line_kv_parts(struct line *l, int stage, int layer, struct tensor out[2]) MUST_USE;
struct tensor line_quant_scales(const struct line *l, int stage);
status line_quantize_stage(struct line *l, int stage, const struct tensor kv[2],
                           const struct tensor *bytes) MUST_USE;

/* line_exchange_heads.c. room: where own stages are projected to. divide: what was projected, to
 * shares. [all] spread: queries, keys and values to where attention looks for them, and
 * collect: its results back. unite: what came back of own stages, to the scratch's h. */
status line_heads_place(struct line *l, int64_t rows, struct arena *scratch,
                        struct arena *wire) MUST_USE;
struct line_qkv line_heads_buffer(const struct line *l, struct line_span s);
status line_heads_divide(struct line *l, struct line_span s, int layer) MUST_USE;
status line_heads_spread(struct line *l, int layer) MUST_USE;
status line_heads_collect(struct line *l, int layer) MUST_USE;
status line_heads_unite(struct line *l, struct line_span run) MUST_USE;

/* line_exchange_gather.c. may_gather: the mode is by blocks in act, and each rank owns as many
 * stages as the others. gathers: and in this tick, on all ranks alike, the exchange does, since
 * the comm is good at it and blocks of one clip stand at all stages. begin and end as those of the
 * exchange, which call them. */
bool line_may_gather(const struct line *l);
bool line_gathers(const struct line *l);
status line_gather_begin(struct line *l, int layer) MUST_USE;
status line_gather_end(struct line *l, int layer) MUST_USE;

/* Before the host reads what was made of exchanges: all queued work has run, and all came. */
status line_synchronize(struct line *l) MUST_USE;

/* [all] Every block moves one stage on. */
status line_hand_over(struct line *l) MUST_USE;

/* Where a stage's keys and values of a layer lie on this rank, of the heads it sees. */
status line_kv(struct line *l, int stage, int layer, struct tensor *k, struct tensor *v) MUST_USE;

/*
 * The rest of a layer, for all own stages; by heads its attention alone, for all stages. A
 * noise stage's keys are cut into two parts:
 *   near  this rank has them without this layer's exchange. Strict, so that the sums are the
 *         same for any ranks: every rank that holds the stage has them, which is the block
 *         itself, and clean blocks but for the one in the clean stage now
 *   far   the rest: the clean stage's block, the other blocks of the window
 * line_attend_local takes the near part, and runs without a far one to the end of the
 * layer; line_attend_remote, after the exchange, the others. By heads all is there before.
 */
status line_attend_local(struct line *l, int layer) MUST_USE;
status line_attend_remote(struct line *l, int layer) MUST_USE;

/* A run's stages whose layer goes on behind its keys and values; first == end: none. */
struct line_span line_rest(const struct line *l, struct line_span run, int layer);

/* Does a block stand at this stage? */
bool line_holds(const struct line *l, int stage);

/* Nobody reads what the last layer of a clean pass makes of its keys. */
bool line_ends(const struct line *l, int stage, int layer);

/* A failure of comm, with where the line stands; layer -1: between passes. */
status line_located(const struct line *l, int layer, status st) MUST_USE;

/* For the track: a stage's block, in a layer or -1. */
struct track_at line_at(const struct line *l, int stage, int layer);

#endif /* LINE_INTERNAL_H */
