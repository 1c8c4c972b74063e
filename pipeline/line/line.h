/*
 * line.h - the line: the one place that knows who follows whom, and on which rank.
 *
 *   tick t:  stage 0    stage 1    ...   stage W-1      clean
 *            block b -> block b-1  ...   block b-W+1 -> block b-W
 *            noise      level 1          level W-1      t = 0
 *               \_________\______...______/_____________/
 *          per layer: keys and values of all these blocks are exchanged
 *
 * Every rank owns a contiguous range of stages and runs the same code over the
 * blocks that stand there: one rank that owns them all exchanges nothing. Per
 * tick every block goes through the transformer once and moves one stage on.
 * How far its bits depend on the ranks, and what the ranks exchange: struct line_mode.
 */
#ifndef LINE_H
#define LINE_H

#include "base/track.h"
#include "cluster/split.h"
#include "comm/comm.h"
#include "pipeline/cache/kv_state.h"
#include "pipeline/dit/dit.h"
#include "pipeline/line/timeline.h"

/* What joins the line, decided on rank 0 of the comm at a tick's boundary and carried to the
 * others by that tick's agree. */
struct line_decision {
    int64_t admitted; /* entries in all since line_begin; never falls */
    int cut;          /* a clip (timeline_entry.clip) that gets no further blocks; -1: none */
    bool over;        /* no more will be admitted: the line drains and ends */
};

/* A pass's keys in a layer. */
struct line_attends {
    int clip, level, layer; /* level: of the block's pass; W, the clean one; W+1, a recache */
    int64_t block, position;
    const struct kv_window *keys;
    const struct kv_state *state; /* see kv_policy_ops.kept_source */
};

/* What the line asks for and hands out. Called on the rank that needs it, on its
 * thread; ranks that are threads call at the same time. */
struct line_io {
    void *arg;

    /* Rank 0 of the comm: what holds from the coming tick on. *out is what was said last, nothing
     * at first. idle: nothing stands in the line, nor waits to enter; then it may wait for
     * something to do, as long as line_config.idle_s, and the track says TRACK_IDLE meanwhile;
     * it need not say more than before. A clip is cut in one decision, and not in the next. */
    status (*decide)(void *arg, int64_t tick, bool idle, struct line_decision *out);

    /* Every rank: entry i, from 0 in the order of admission. Waits until it is known here; the
     * ranks may use the comm among themselves. clip -1, on all of them: it does not join. */
    status (*entry)(void *arg, int64_t i, struct timeline_entry *out);

    /* Optional, every rank: the clip was cut at this boundary. */
    status (*dropped)(void *arg, int clip);

    /* Noise that takes a block to `level`: out [frames, channels, h, w] F32. */
    status (*noise)(void *arg, int clip, int64_t block, int level, float *out);

    /* The prompt in force for a block, as a number: equal ids mean equal
     * embeddings. And its embeddings, asked for when they are not at hand:
     * [text_len, text_dim], zero rows after the prompt. */
    int64_t (*context_id)(void *arg, int clip, int64_t block);
    status (*context)(void *arg, int clip, int64_t block, float *embeds);

    /* The latent of a block that exists already, [frames, channels, h, w] F32, on the rank that
     * owns the clean stage, in the tick in which the block passes it. NULL: no entry has such. */
    status (*given)(void *arg, int clip, int64_t block, float *x0);

    /* Of an entry that says so: what `finished` had behind the latent of a given block, on every
     * rank, in the tick in which the block passes the clean stage, if a choice was made for it.
     * NULL: it cannot be had, and nothing that comes of the clip is wanted. Borrowed until the next
     * call. */
    const void *(*chosen)(void *arg, int clip, int64_t block);

    /* Of an entry that goes on (timeline.h): the latent that `keep` was given, on the rank that
     * owns the stage where the block stands. NULL: no entry does. */
    status (*window)(void *arg, int clip, int64_t block, float *x);

    /* Optional. Every rank, and all say the same: is a checkpoint due once `blocks` of a clip are
     * finished, the last one in this tick? Then `keep` gets the blocks behind it that have
     * entered, oldest first, as they stand in front of their next level; after `finished` and on
     * the same rank, before the next tick. Host memory like x0. */
    bool (*checkpoint)(void *arg, int clip, int64_t blocks);
    status (*keep)(void *arg, int clip, int64_t block, const float *x);

    /* A finished block's latent, in order, on the rank that owns stage W-1. Host memory [frames,
     * channels, h, w], and behind it what was chosen in its first pass (kv_policy_choice), valid
     * during the call. Not of given blocks. */
    status (*finished)(void *arg, int clip, int64_t block, const float *x0);

    /* Optional: every denoising step of a block, host memory like x0. */
    status (*tap)(void *arg, int clip, int64_t block, int level, const float *noisy,
                  const float *flow, const float *x0);

    /* Optional: does a block begin a scene with a cut, which a policy may have a rule for? */
    bool (*cut)(void *arg, int clip, int64_t block);

    /* Optional, every rank, and all say the same: does a block bring a new prompt under which the
     * clean passes that it looks back on are to be made once more (kv_recache)? */
    bool (*recache)(void *arg, int clip, int64_t block);

    /* Optional: what a block's pass attends to in a layer, before it does, on the rank
     * that attends. position: of the block's own first frame. All borrowed. */
    void (*attends)(void *arg, const struct line_attends *a);

    /* Optional: true stops every rank at the next tick with ST_CANCELED. */
    bool (*stop)(void *arg);
};

enum line_determinism {
    LINE_STRICT, /* each block runs through the same operations at the same shapes whoever
                    holds it: a clip is the same to the bit for any number of ranks */
    LINE_BATCH,  /* a rank's blocks of one clip go through each operation together, and
                    attention is cut only where keys come from other ranks: fewer, larger
                    calls; the clip is the same but for rounding */
};
const char *line_determinism_name(enum line_determinism d); /* "strict", "batch" */

enum line_wire {
    LINE_ACT, /* keys and values go from rank to rank as they are computed with */
    LINE_FP8, /* they go in 8 bits with a scale for each token (kern_quantize_e4m3), half as many
                 bytes as in bf16. So that it does not show where ranks are, all keys and values are
                 rounded so, with one rank too: another clip than with act */
};
const char *line_wire_name(enum line_wire w); /* "act", "fp8" */

enum line_exchange {
    LINE_BLOCKS, /* each rank attends for its own blocks: all keys and values of the others' come
                    to it, beside attention over what it has */
    LINE_HEADS,  /* each rank attends for all blocks, with its share of the heads: their queries,
                    keys and values come to it, and results go back; with many ranks a third of
                    the bytes, but nothing is computed meanwhile. The heads must divide by the
                    ranks. Strict, it is the same clip to the bit where a backend's attention
                    treats heads one by one; batch, but for rounding */
};
const char *line_exchange_name(enum line_exchange e); /* "blocks", "heads" */

struct line_mode {
    enum line_determinism determinism;
    enum line_wire wire;
    enum line_exchange exchange;
};

enum { LINE_MODE_TEXT = 96 };
const char *line_mode_text(struct line_mode m, char buf[LINE_MODE_TEXT]); /* "strict, ..." */

struct line_config {
    const struct dit *model;         /* borrowed */
    const struct schedule *schedule; /* borrowed */
    struct kv_policy policy;
    struct line_mode mode; /* the same on all ranks */
    struct split split;
    int64_t latent_h, latent_w; /* even */
    int contexts;               /* different embeddings of all clips; what is beyond one per own
                                   stage is never needed. 0: not known */
    bool given;                 /* entries may have blocks that exist already: then ranks of early
                                   stages keep a longer past. The same on all ranks */
    bool recache;               /* clips may have a recache. The same on all ranks */
    double idle_s;              /* how long decide may wait on an idle line, instead of
                                   comm->deadline_s; 0: that */
    struct comm *comm;          /* this rank's; borrowed */
    struct kern_ctx *ctx;       /* this rank's; borrowed */
    struct track *track;        /* of the thread that ticks, told of work and waits; borrowed,
                                   or NULL. Never in a pair while an io function runs */
};

/* Bytes of this rank's arenas: exact, from the layout itself, before anything
 * is allocated. */
struct line_bytes {
    size_t cache;   /* clean keys and values, and the latents to recache them of */
    size_t context; /* the prompt's keys and values */
    size_t scratch; /* one tick's work */
    size_t wire;    /* what is handed to and received from other stages; as much on all ranks */
    size_t kernels; /* scratch of the operations: no arena, reserved in ctx */
    size_t host;    /* latents, angles and a prompt on their way: host memory, no arena */
};
status line_measure(struct line_bytes *out, const struct line_config *c) MUST_USE;

struct line;

/* [all] On failure *out is NULL. The ranks are in step after it, unless the comm failed: ST_PEER
 * where another rank could not open its part. Whoever opens, closes. */
status line_open(struct line **out, const struct line_config *c) MUST_USE;
void line_close(struct line **l); /* NULL is fine; sets NULL */

/* [all] Begin: nothing of an earlier run is left; io is borrowed until the last tick. */
void line_begin(struct line *l, const struct line_io *io);

/* [all] The same with these entries and no others: every rank knows them, and io's decide and
 * entry are not asked. Borrowed likewise. */
void line_begin_list(struct line *l, const struct timeline_entry *entry, int entries,
                     const struct line_io *io);

/* [all] The boundary (agree, admissions), then the next tick. *more false: over and drained, and
 * no tick was run. ST_CANCELED if a stop was asked for. An idle line waits here until there is
 * something to do; after any other failure the ranks are out of step. */
status line_tick(struct line *l, bool *more) MUST_USE;

/* Nothing stands in the line, nor waits to enter. */
bool line_is_idle(const struct line *l);

/* For statistics: who stood where in the last tick. */
struct place line_place_of(const struct line *l, int stage);

/* A line whose ranks have nothing else to do: for verify and tests. */
struct line_render {
    struct line_config line; /* split, comm and ctx are made here */
    const struct kern_backend *backend;
    int threads, device; /* of this rank; see kern_config */
};

/* [all] comm's ranks, 1 .. W+1 of them, share out the stages: open a line, render the entries, or
 * what io decides if entry is NULL; close. */
status line_render(const struct line_render *r, struct comm *comm,
                   const struct timeline_entry *entry, int entries,
                   const struct line_io *io) MUST_USE;

#endif /* LINE_H */
