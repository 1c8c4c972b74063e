/*
 * cost.h - how fast a world will be: a model of one tick. Pure.
 *
 * Where blocks go down the line one by one, "a tick" below means the ticks that one block takes,
 * one for each of its levels and one for its clean pass.
 *
 * A rank's tick is the passes of its stages, the part of the exchange that no
 * computing hides, and the hand-over; a line's tick is its slowest rank's. Where ranks
 * share out heads, each has its part of all stages' attention, and nothing hides the
 * exchange. Blocks leave a line at the pace of the slowest of: its tick, its decoder, and on
 * CPUs all that threads of a machine do, which share its cores evenly. On CPUs who moves
 * bytes does not compute meanwhile, so where moving is measured, nothing hides it.
 *
 *   cost.c           the steady state        cost_run.c    all ticks of given clips
 *   cost_estimate.c  speeds nobody measured  cost_tasks.c  threads on cores
 */
#ifndef COST_H
#define COST_H

#include "cluster/roles.h"
#include "cluster/split.h"
#include "cluster/topo.h"

/* Seconds on one rank: measured by `rollmill bench`, or estimated. */
struct cost_parts {
    double noise, clean;             /* a stage's pass over a block, in the steady state */
    double noise_alone, clean_alone; /* the same with no keys but the block's own */
    double decode, encode;           /* a block to pictures, pictures to files */
    double text;                     /* a prompt */
    double hidden;        /* of a pass, 0..1: attention that needs no other stage's keys */
    double link;          /* bytes/s between two ranks of a machine; 0: not measured. The
                              model takes the topology's */
    double message, byte; /* of processors at both ends: what a tensor takes that goes from
                              rank to rank, and each of its bytes; 0: not measured */
    double latency;       /* until a small tensor is there; 0: not measured, as link */
    int threads;          /* that a rank computed with */
    bool estimated;
};

/* What the model and the size of a clip fix. */
struct cost_shape {
    int stages, layers;          /* stages: W + 1 */
    bool one_by_one;             /* a block takes all its levels before the next enters */
    int usual, opening;          /* then the levels of a block, and of a clip's first: the last so
                                    many noise stages; the larger is W */
    double attended;             /* blocks whose keys a pass attends to in the steady state */
    double kv_bytes;             /* keys and values of a block in one layer, on their way */
    int heads;                   /* that the ranks of a line share out; 0: each has its blocks */
    double q_bytes;              /* queries, or attention's results, of a block in one layer */
    double latent_bytes;         /* of a block */
    double pictures;             /* of a block */
    int clips;                   /* lines beyond them stand idle; 0: there are always enough */
    const int64_t *blocks;       /* [clips], borrowed; NULL: not known */
    double slowest[ROLES_CHAIN]; /* [c - 1]: share of decode's work of the slowest of c ranks */
};

struct cost_model {
    struct topo topo;
    struct cost_shape shape;
    struct cost_parts parts;
};

enum cost_bound { COST_LINE, COST_DECODE, COST_CORES };

struct cost {
    double tick;           /* s: of the slowest line, as it would be without decoding */
    double block;          /* s from one block to the next of that line, all counted */
    double frames;         /* pictures per second of the world, in the steady state */
    double first;          /* s from the prompt to the first block's pictures */
    double all;            /* s until all clips are in files, from when every rank is ready;
                              0 until cost_run, as work */
    double work;           /* s of cores until then, of all machines */
    double receive, send;  /* bytes of a tick: of the rank with most */
    double exposed;        /* s of a tick that a rank waits for the exchange */
    double crossing;       /* bytes of a tick between machines, all lines */
    bool rough;            /* messages take more than a tenth of a tick to be noticed: how soon
                              threads are woken decides then, which this model does not know */
    enum cost_bound bound; /* what sets the pace of the slowest line */
};

/* What a world of these roles does. node: [ranks], see topo_nodes. */
void cost_of(struct cost *out, const struct cost_model *m, const struct roles *r, const int *node);

/* Sets out->all and out->work: every tick of the shape's clips, while the line fills, runs and
 * empties. ST_ARG if their blocks are not known. */
status cost_run(struct cost *out, const struct cost_model *m, const struct roles *r,
                const int *node) MUST_USE;

/* What goes from one rank of a line to another in a tick. */
struct cost_link {
    double exchanged; /* bytes of keys and values; where heads are shared out also of queries
                         and results */
    double tensors;   /* that these are */
    double latents;   /* bytes handed over */
};

/* Keys and values go from all stages of `from`, or where blocks go one by one, from the clean
 * stage alone; none to a rank without a noise stage, which attends to nobody's. By heads
 * queries, keys and values of all stages of `from` go, for the heads of `to`, and results for
 * the stages of `to`. */
struct cost_link cost_link(const struct cost_shape *s, const struct split *split, int from, int to);

/* Floating point operations and bytes, for cost_estimate. */
struct cost_work {
    double linear, attention, cross; /* FLOP of one pass: products, self- and cross-attention */
    double moved;                    /* bytes read and written between them */
    double decode;                   /* FLOP of a block */
    double text;                     /* FLOP of a prompt */
    double pixels;                   /* of a block's pictures */
    double local;                    /* 0..1: of a pass's keys, the sink's and the block's own */
    double own;                      /* 0..1: the block's own */
    bool f32;                        /* else bf16 */
};

/* Parts from published speeds. threads: of a rank with CPUs. */
void cost_estimate(struct cost_parts *out, const struct cost_work *w, enum topo_kind kind,
                   int threads);

/* The speeds that cost_estimate takes and where they are from, a line each. */
void cost_sources(struct strbuf *out, enum topo_kind kind, bool f32);

#endif /* COST_H */
