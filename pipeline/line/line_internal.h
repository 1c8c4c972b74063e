/*
 * line_internal.h - one rank's part of the line. Private to pipeline/line.
 *
 * Files call downwards only:
 *
 *   line.c                 open, close, tick after tick
 *   line_dry_run.c         what the operations will take
 *   line_recache.c         recache: clean passes once more, under a new prompt
 *   line_forward.c         one tick's pass, written once
 *   line_schedule.c        who joins, who stands where in this tick
 *   line_attend.c          attention before and after keys of other ranks come
 *   line_some_heads.c      keys for some heads of a layer alone
 *   line_policy.c          what a policy that remembers is asked, and what ranks tell each other
 *   line_layout.c          memory
 *   line_exchange_*.c      rows of struct line_exchange_ops, and the wire's 8 bits
 *   line_stages.c          the other steps of a layer
 *   line_exchange.c        posting and waiting; the hand-over
 *   line_checkpoint.c      a clip's window, handed out and taken in again
 *   line_view.c            parts of tensors, places, for all of them
 */
#ifndef LINE_INTERNAL_H
#define LINE_INTERNAL_H

#include "pipeline/cache/kv_cache.h"
#include "pipeline/cache/kv_state.h"
#include "pipeline/line/line.h"

enum { LINE_STAGES = SCHEDULE_LEVELS + 1 };

/* What each holds: struct line_bytes. */
enum { LINE_CACHE, LINE_CONTEXT, LINE_SCRATCH, LINE_WIRE, LINE_ARENAS };

/* One own stage. Everything but the latents is this tick's; the keys may be a layer's. */
struct line_stage {
    struct tensor in, out; /* [frames, channels, h, w] F32: slices of line.in, line.out */
    struct kv_window keys; /* of its pass, and the angles of their frames, in their order: */
    struct tensor time;    /* as kern_rope has it; both only of a pass's first stage here */
    int context;           /* index into line.context */
    int level;             /* of its block; W: at the clean stage */
    int entry;             /* of the schedule, for that */
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
enum { LINE_XFERS = 3 * LINE_STAGES * SPLIT_RANKS };
struct line_xfers {
    struct comm_xfer xfer[LINE_XFERS];
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

struct line_exchange_ops;

struct line {
    struct line_config c;
    int levels, first, end; /* own stages first .. end-1; stage `levels` is the clean one */
    int64_t frames, tokens; /* of a block */

    const struct line_exchange_ops *exchange; /* of this tick */
    struct line_span attn_stages;             /* stages whose blocks attention here is for */
    struct dit_shape attn_shape; /* the model, of the heads that attention here is with */

    void *memory[LINE_ARENAS];
    bool wire_of_comm; /* memory[LINE_WIRE] is the comm's; else the context's, as the others */
    struct kv_cache cache;
    struct kv_state state;                /* what the policy remembers */
    struct kv_room room;                  /* what its calls compute in */
    struct tensor room_angles;            /* of these: [A, pairs, 2] */
    struct cross_kv context[LINE_STAGES]; /* `contexts` of them are in use */
    int contexts;
    int64_t context_id[LINE_STAGES]; /* -1: empty */

    /* Of the own stages, one behind another. noise, flow, x0: of the noise stages. */
    struct tensor in, out;         /* latents [frames, channels, h, w] each, F32 */
    struct tensor x;               /* residual stream [n, d] F32 */
    struct tensor noise, flow, x0; /* as `in` */
    struct tensor at;              /* angles of the blocks' own [frames] each */

    /* Of attn_stages, likewise; w: width, columns of attn_shape's heads. */
    struct tensor q;                      /* queries [n, w] act */
    struct attn_partial local;            /* of noise stages: attention over the local keys */
    struct tensor angles;                 /* `time` of all stages, then `at` */
    struct line_stage stage[LINE_STAGES]; /* own ones and attn_stages are in use */

    struct dit_scratch scratch;       /* strict: of one block; else of all own stages */
    struct attn_partial remote;       /* as many rows as the scratch has */
    struct tensor keys;               /* roped keys of one pass: [A * n/frames, w] act */
    int roped_for;                    /* whose they are: a pass's first stage here; -1: nobody's */
    bool roped[KV_SPANS];             /* which of them are there */
    struct tensor row, col;           /* angles of rows and columns */
    struct tensor row_back, col_back; /* the same, to take RoPE off */
    struct tensor window_k, window_v; /* [stages * n, w] act, one layer's of all noise stages; and
                                         of the clean one where line_may_gather */
    struct line_wire_buffer {
        struct tensor bytes; /* [2 * n, w] U8 of each stage: keys, then values. LINE_FP8 alone */
        struct tensor scale; /* [2 * n] F32 of each */
    } wire;
    struct line_heads heads;

    struct line_some_heads {
        struct tensor table, zeros; /* [layers, heads], [tokens] F32 */
        struct tensor bias;         /* [tokens, heads] F32: of the layer at hand */
    } some_heads;                   /* where the policy has a profile of heads */

    struct line_recache_kept {
        struct tensor latent; /* of the last clean blocks, as `in` each: block b at b modulo them */
        struct tensor x;      /* [blocks * n, d] F32: their residual streams */
    } recache;                /* with line_config.recache, where the clean stage is */

    float *host[3];          /* latents for the callbacks: noisy, flow, x0 with its choice behind */
    float *host_noise;       /* of noise */
    float *host_angles;      /* of angles */
    float *host_room_angles; /* of room_angles */
    float *host_room;        /* of room */
    float *embeds;           /* a prompt from the callback: [text_len, text_dim] */

    /* Who is in the line, from line_begin on. */
    struct timeline timeline;
    const struct line_io *io;
    const struct timeline_entry *list; /* [listed] line_begin_list: all there will be */
    int listed;                        /* -1: decide says */
    struct line_decision decided;      /* what holds */
    int64_t tick;                      /* the coming one; during a tick that */

    /* This tick. */
    struct place place[LINE_STAGES];
    struct line_runs own_runs, attn_runs; /* of own stages, of attn_stages */
    struct line_xfers xfers;              /* of the open exchange */
    bool exchanging;                      /* they are on their way */
};

/* ---- line_view.c: parts of tensors and of the tick --------------------------------------- */

/* Rows of tensors that hold the own stages one behind another, `per` entries each; of those that
 * hold attn_stages, a block's tokens each; and where the scratch of a run that begins with a
 * stage begins. */
struct tensor line_own_rows(const struct line *l, const struct tensor *t, struct line_span s,
                            int64_t per);
struct tensor line_attn_rows(const struct line *l, const struct tensor *t, struct line_span s);
int64_t line_scratch_row(const struct line *l, int stage);

/* Does a block stand at this stage? */
bool line_holds(const struct line *l, int stage);

/* Blocks of one window share their keys: the first noise stage here of the clip. */
int line_first_of_window(const struct line *l, int stage);

/* Noise stages of a run; first == end: none. */
struct line_span line_noise_of(const struct line *l, struct line_span run);

/* Where a stage's keys and values of a layer lie on this rank, of attn_shape's heads. */
status line_kv(struct line *l, int stage, int layer, struct tensor *k, struct tensor *v) MUST_USE;

/* Nobody reads what the last layer of a clean pass makes of its keys. */
bool line_ends(const struct line *l, int stage, int layer);

/* A run's stages whose layer goes on behind its keys and values; first == end: none. */
struct line_span line_rest(const struct line *l, struct line_span run, int layer);

/* Does the block at this stage stand at the next one in the next tick, as far as is known? */
bool line_moves_on(const struct line *l, int stage);

/* The mode is by blocks in act, and each rank owns as many stages as the others: where blocks of
 * one clip stand at all stages, a gather can take the place of the exchange. */
bool line_may_gather(const struct line *l);

/* For the track: a stage's block, in a layer or -1. */
struct track_at line_at(const struct line *l, int stage, int layer);

/* A failure of comm, with where the line stands; layer -1: between passes. */
status line_located(const struct line *l, int layer, status st) MUST_USE;

/* ---- line_exchange.c: between ranks ------------------------------------------------------ */

void line_add_xfer(struct line_xfers *to, const struct tensor *t, int peer, bool send);

/* [all] All of l->xfers: on their way, and there. Nothing to do without any. */
status line_post_xfers(struct line *l, int layer) MUST_USE;
status line_wait_xfers(struct line *l, int layer) MUST_USE;

/* What the exchange is to read has been made. A streamed comm sees to that by itself. */
status line_flush(struct line *l) MUST_USE;

/* Before the host reads what was made of exchanges: all queued work has run, and all came. */
status line_synchronize(struct line *l) MUST_USE;

/* [all] Every block moves one stage on. */
status line_hand_over(struct line *l) MUST_USE;

/* ---- how ranks share a layer ------------------------------------------------------------- */

/*
 * One row for each way. A layer on every rank: all own runs are projected to where
 * `project_target` says and handed to `projected`; `begin`; attention over local keys into
 * `attn_target`; `end`; over remote keys; each run so attended goes to `attended`; `finish`. In
 * between begin and end what is sent is only read, and what comes not even that; a rank that
 * fails there must still call end.
 */
struct line_exchange_ops {
    bool
        all_stages; /* attention here is for the blocks of all stages, with this rank's share of the
                        heads; else for own blocks, with all */

    /* Memory beside that which all have: queries, and what goes over the wire. rows: as many as
     * the scratch has. */
    status (*place)(struct line *l, int64_t rows, struct arena *scratch, struct arena *wire);

    status (*project_target)(struct line *l, struct line_span s, int layer, struct line_qkv *out);
    status (*projected)(struct line *l, struct line_span s, int layer);
    status (*begin)(struct line *l, int layer); /* [all] */
    status (*end)(struct line *l, int layer);   /* [all] */
    struct tensor (*attn_target)(const struct line *l, struct line_span s);
    status (*attended)(struct line *l, struct line_span run, int layer);
    status (*finish)(struct line *l, int layer); /* [all] */

    /* Do keys and values of a stage come to this rank in this tick? */
    bool (*arrives)(const struct line *l, int stage);
};
extern const struct line_exchange_ops line_exchange_blocks, line_exchange_gather,
    line_exchange_heads;

/* Of the rows blocks and gather, which differ in begin and end alone. */
status line_blocks_place(struct line *l, int64_t rows, struct arena *scratch,
                         struct arena *wire) MUST_USE;
status line_blocks_target(struct line *l, struct line_span s, int layer,
                          struct line_qkv *out) MUST_USE;
struct tensor line_blocks_attn_target(const struct line *l, struct line_span s);
status line_blocks_finish(struct line *l, int layer) MUST_USE;
bool line_blocks_arrives(const struct line *l, int stage);

/* Does the gather take this tick? On all ranks alike. */
bool line_gathers(const struct line *l);

/* line_exchange_quant.c: keys and values in 8 bits. quantize: own stages' of a layer, rounded as
 * the wire has them. dequantize: those that came, to where line_kv says. parts: what of a stage
 * goes and comes. With LINE_ACT the first two have nothing to do, and there are neither scales,
 * [2 * n] F32, nor line_quantize_stage: a stage's keys and values to bytes, [2 * n, w] U8, and its
 * scales. */
status line_quant_place(struct line *l, struct arena *a) MUST_USE;
status line_quantize_kv(struct line *l, struct line_span s, int layer) MUST_USE;
status line_dequantize_kv(struct line *l, int layer) MUST_USE;
status line_kv_parts(struct line *l, int stage, int layer, struct tensor out[2]) MUST_USE;
struct tensor line_quant_scales(const struct line *l, int stage);
status line_quantize_stage(struct line *l, int stage, const struct tensor kv[2],
                           const struct tensor *bytes) MUST_USE;

/* ---- line_checkpoint.c: between ticks ---------------------------------------------------- */

/* In the tick of a clip's last given block that goes on: what stands behind it. */
status line_enter_window(struct line *l) MUST_USE;

/* [all] Behind the hand-over, where a checkpoint is due: what stands behind the block that was
 * finished goes to io. */
status line_keep_window(struct line *l) MUST_USE;

/* ---- line_layout.c: memory --------------------------------------------------------------- */

/* A line without memory: who this rank is, and where all would lie. bytes: of each arena. */
status line_measure_arenas(struct line *l, const struct line_config *c,
                           size_t bytes[LINE_ARENAS]) MUST_USE;

/* The arenas' memory, and all tensors in it. */
status line_allocate(struct line *l, const size_t bytes[LINE_ARENAS]) MUST_USE;

/* Host memory beside the callbacks; how much it is. */
status line_allocate_host(struct line *l) MUST_USE;
size_t line_host_bytes(struct line *l);

void line_free_memory(struct line *l);

/* ---- line_stages.c: steps of a pass that are this rank's alone --------------------------- */

/* Keys of each pass in a layer; true: other ones than in the layer before. Embedding of a run; its
 * keys, values and queries of a layer; the layer from what attention came to in the scratch's h;
 * flow, x0, and the noise on it of noise stages. */
bool line_bind_keys(struct line *l, int layer);
status line_embed(struct line *l, struct line_span run) MUST_USE;
status line_project(struct line *l, struct line_span run, int layer) MUST_USE;
status line_finish(struct line *l, struct line_span run, int layer) MUST_USE;
status line_denoise(struct line *l, struct line_span noise) MUST_USE;

/* ---- line_attend.c ----------------------------------------------------------------------- */

/* The rest of a layer for all attn_runs, over local keys, and then over remote ones; runs
 * without these are through after the first. */
status line_attend_local(struct line *l, int layer) MUST_USE;
status line_attend_remote(struct line *l, int layer) MUST_USE;

/* ---- line_some_heads.c ------------------------------------------------------------------- */

/* Where they and the partials lie; the table, once there is memory. Nothing to do for policies
 * without a profile. */
status line_place_some_heads(struct line *l, struct arena *a) MUST_USE;
status line_upload_some_heads(struct line *l) MUST_USE;

/* A block's q over `all`, and over `theirs` for the heads that are not static; to `out`. */
status line_attend_some_heads(struct line *l, int layer, const struct tensor *q,
                              const struct dit_keys *all, const struct dit_keys *theirs,
                              struct tensor *out) MUST_USE;

/* ---- line_policy.c ----------------------------------------------------------------------- */

/* Before a tick's first layer; in a layer whose queries are there; [all] at the tick's end. Nothing
 * to do for policies that are rules alone. */
status line_enter_policy(struct line *l) MUST_USE;
status line_run_policy(struct line *l, int layer) MUST_USE;
status line_share_policy(struct line *l) MUST_USE;

/* ---- line_schedule.c --------------------------------------------------------------------- */

/* [all] The boundary before a tick: agree, and who joins from it on. */
status line_cross_boundary(struct line *l) MUST_USE;
bool line_is_drained(const struct line *l); /* and nothing will */

/* What the rank knows of the tick before anything is computed: places, runs, the exchange. */
void line_schedule_tick(struct line *l);

/* Parts of it: who stands where, and how far along; runs and exchange, from the places. */
void line_place_blocks(struct line *l);
void line_find_runs(struct line *l);

/* ---- line_forward.c ---------------------------------------------------------------------- */

/* [all] One tick's forward pass over the own stages, from `in` to `out`: enter, every layer,
 * leave. */
status line_forward(struct line *l) MUST_USE;
status line_enter(struct line *l) MUST_USE;
status line_layer(struct line *l, int layer) MUST_USE;
status line_leave(struct line *l) MUST_USE;

/* Parts of these: a stage goes by the prompt of this block; angles of keys and blocks as the
 * stages' keys now say; embedding; and of a layer no more than keys and values. */
status line_bind_context(struct line *l, int stage, struct place prompt) MUST_USE;
status line_upload_angles(struct line *l) MUST_USE;
status line_embed_runs(struct line *l) MUST_USE;
status line_layer_keys(struct line *l, int layer) MUST_USE; /* [all] */

/* ---- line_recache.c ---------------------------------------------------------------------- */

/* [all] Before a tick is scheduled: the recache of a block that enters, if its prompt has one. */
status line_recache(struct line *l) MUST_USE;

/* The latent at the clean stage is kept for it; and where all of them lie. */
status line_keep_clean(struct line *l) MUST_USE;
status line_place_recache(struct line *l, struct arena *cache, struct arena *scratch) MUST_USE;

/* ---- line_dry_run.c ---------------------------------------------------------------------- */

/* Scratch that the operations take in any tick of any clips: by the pass itself, over tensors
 * without memory; it uses the line's host memory. */
status line_dry_run(size_t *out, struct line *l) MUST_USE;

/* What the operations of any tick of any clips have made for them when they first meet a
 * shape is made, so that no tick waits for it. With real arenas, before they hold anything. */
status line_prepare(struct line *l) MUST_USE;

#endif /* LINE_INTERNAL_H */
