/*
 * footprint.h - what each rank of a world holds, by arena: from the layout functions
 * themselves, run over arenas that only count.
 */
#ifndef FOOTPRINT_H
#define FOOTPRINT_H

#include "cluster/planner.h"
#include "pipeline/engine/workload.h"
#include "pipeline/line/line.h"
#include "pipeline/vae/vae.h"

enum plan_arena {
    PLAN_WEIGHTS, /* of the transformer */
    PLAN_CACHE,   /* clean keys and values */
    PLAN_CONTEXT, /* the prompts' keys and values */
    PLAN_SCRATCH, /* one tick's work */
    PLAN_WIRE,    /* what goes to other stages and comes from them */
    PLAN_KERNELS, /* contexts, and scratch of operations: the line's and the decoder's */
    PLAN_HOST,    /* latents, angles and one embedding on their way */
    PLAN_PROMPTS, /* embeddings of the prompts */
    PLAN_VAE_WEIGHTS,
    PLAN_VAE_CACHE,
    PLAN_VAE_SCRATCH,
    PLAN_VAE_WIRE, /* units that come from and go to other parts of the decoder */
    PLAN_VAE_HOST, /* pictures and latents between host and card */
    PLAN_START,    /* the VAE's encoder, for what clips begin with; on rank 0 */
    PLAN_PICTURES, /* of the blocks that are on their way to the encoder */
    PLAN_ARENAS
};
extern const char *const plan_arena_names[PLAN_ARENAS]; /* "weights", ... */

struct plan_rank_bytes {
    uint64_t arena[PLAN_ARENAS], all;
    uint64_t card; /* what of it lies on a card, where cards compute */
};

struct plan_bytes {
    const struct workload *model; /* borrowed */
    const struct kern_backend *backend;
    struct line_mode mode;
    bool cards;          /* plan_bytes_all is of what a card holds */
    bool shared_weights; /* there rank 0 holds the transformer for all (workload_query) */
    struct dit *hollow;
    size_t weights;
    struct vae_bytes vae[VAE_PARTS_MAX + 1][VAE_PARTS_MAX]; /* by ranks of a chain and place */
    struct vae_bytes start; /* zeroed where no clip begins with given blocks */
    double text_weights;    /* of the text encoder's layers, each used once per token */
    bool text_assumed;      /* its file is not there: they are umt5_xxl's */
    struct line_bytes line[SPLIT_RANKS + 1][SPLIT_RANKS]; /* by ranks per line and place; 0 where
                                                             the mode allows no such line */
};

/* Measures every rank there can be. ST_FORMAT if the file of the VAE or of the text
 * encoder is not what it should be; that of the text encoder may be missing. plan_bytes_close
 * frees, also after a failure. */
status plan_bytes_open(struct plan_bytes *out, const struct workload *m,
                       const struct kern_backend *backend, struct line_mode mode) MUST_USE;
void plan_bytes_close(struct plan_bytes *b); /* safe on a zeroed one; zeroes it */

void plan_bytes_rank(struct plan_rank_bytes *out, const struct plan_bytes *b, const struct roles *r,
                     int rank);

/* For plan_query: arg is the struct plan_bytes. */
uint64_t plan_bytes_all(void *arg, const struct roles *r, int rank);

/* For cost_estimate: with the text encoder's work. */
void plan_work(struct cost_work *out, const struct plan_bytes *b);

/* How a rank's part of a line and its decoder are opened; comm, ctx and threads are
 * left to the caller. */
status plan_line_config(struct line_config *out, const struct plan_bytes *b,
                        int ranks_per_line) MUST_USE;
status plan_vae_config(struct vae_config *out, const struct plan_bytes *b, int chain,
                       int place) MUST_USE; /* chain 0: the whole decoder */
/* The encoder of what clips begin with. */
status plan_encoder_config(struct vae_config *out, const struct plan_bytes *b) MUST_USE;

#endif /* FOOTPRINT_H */
