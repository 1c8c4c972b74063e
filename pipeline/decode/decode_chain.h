/*
 * decode_chain.h - one part of the decoder on its rank: blocks in, and units out to the
 * next part, or pictures if it is the last.
 *
 *   line's tail --link--> part 0 --link--> part 1 --link--> ... last part --> pictures
 *
 * The next message is under way while one is in work, on both sides; so a slow part
 * holds back those before it after two.
 */
#ifndef DECODE_CHAIN_H
#define DECODE_CHAIN_H

#include "pipeline/decode/decode_link.h"
#include "pipeline/vae/vae.h"

#include <pthread.h>

/* What the last part has made: host memory, valid during the call. */
struct decode_block {
    int clip;
    int64_t block;            /* of the clip */
    const float *x0;          /* [frames, 16, h, w], and what was chosen for it */
    struct pictures pictures; /* 8w x 8h, with the clip's formats */
};

struct decode_chain_config {
    struct vae *vae;            /* the part; borrowed */
    struct vae_range part;      /* of it; zeroed: all */
    pthread_mutex_t *turn;      /* held while the vae computes or waits for the next part: for
                                   streams of one rank over the same weights */
    struct comm *in, *out;      /* links: this rank is rank 1 of in and rank 0 of out. out NULL:
                                   the last part */
    int frames;                 /* of a block */
    int64_t latent_h, latent_w; /* of a frame */
    int64_t chosen;             /* numbers behind a latent */

    struct track *track;

    /* Of the last part. */
    int64_t picture_bytes; /* of a picture, the most of all clips: as the vae was opened */
    /* What a clip's pictures are wanted in, a set of enum pix; asked at each block. */
    status (*formats)(void *arg, int clip, unsigned *formats);
    status (*block)(void *arg, const struct decode_block *b);
    /* A DECODE_WINDOW, in its turn among the blocks; x is valid during the call. */
    status (*window)(void *arg, int clip, int64_t block, const float *x);
    /* A DECODE_CUT: `blocks` of the clip have come to `block` or still will, and no more. */
    status (*cut)(void *arg, int clip, int64_t blocks, status why);
    void *arg;
};

/* [all] Until the line says it is over: ST_OK at its end, ST_CANCELED after a stop. */
status decode_chain_run(const struct decode_chain_config *c) MUST_USE;

#endif /* DECODE_CHAIN_H */
