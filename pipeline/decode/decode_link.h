/*
 * decode_link.h - how a line hands its finished blocks to what decodes them.
 *
 * A link is a group of two ranks; rank 0 sends to rank 1. A message is a head and a latent x0 with
 * what the cache policy chose for its block behind it, both in host memory. Behind a part of the
 * decoder that is not the last, the block's units follow one by one (decode_chain.h), in the
 * backend's memory.
 */
#ifndef DECODE_LINK_H
#define DECODE_LINK_H

#include "base/track.h"
#include "comm/comm.h"

enum decode_kind {
    DECODE_BLOCK,
    DECODE_WARM,     /* a block whose pictures nobody wants: what follows it depends on it */
    DECODE_WINDOW,   /* no finished block: a latent for who makes a checkpoint, handed through */
    DECODE_CUT,      /* no block at all: DECODE_AT of the clip's have come or will, and no more;
                        DECODE_WHY is a status */
    DECODE_IDLE,     /* no block either: the line has no work until it sends something else */
    DECODE_END,      /* no more blocks: all is well */
    DECODE_CANCELED, /* no more blocks: a stop was asked for */
};

static inline bool decode_is_block(int64_t kind)
{
    return kind == DECODE_BLOCK || kind == DECODE_WARM;
}

/* The head of a message, a tensor [DECODE_HEAD] I64. A latent always follows it; after an end
 * nobody reads it. */
enum { DECODE_KIND, DECODE_CLIP, DECODE_AT /* block of the clip */, DECODE_WHY, DECODE_HEAD };
struct tensor decode_head(int64_t head[DECODE_HEAD]); /* a view */

/* The latent, [frames, 16, h, w] F32, and so many numbers behind it; without memory. */
status decode_record(struct tensor *out, int frames, int64_t latent_h, int64_t latent_w,
                     int64_t chosen) MUST_USE;

/* For the trace: the stage of an arrow from the line to its decoder. */
enum { DECODE_ARROW = 255 };

/* The line's side. */
struct decode_link;

struct decode_link_config {
    struct comm *link;          /* this rank is its rank 0; borrowed */
    int frames;                 /* of a block */
    int64_t latent_h, latent_w; /* of a frame */
    int64_t chosen;             /* numbers behind a latent */
    struct track *track;        /* or NULL */
};

/* Whoever opens, closes. */
status decode_link_open(struct decode_link **out, const struct decode_link_config *c) MUST_USE;
void decode_link_close(struct decode_link **l); /* NULL is fine; sets NULL */

/* kind: neither DECODE_CUT nor DECODE_END nor DECODE_CANCELED. x0: a decode_record, host;
 * copied; NULL where no latent goes with it. Goes on while the message is under way; waits until
 * the one before it has been taken. */
status decode_link_send(struct decode_link *l, enum decode_kind kind, int clip, int64_t block,
                        const float *x0) MUST_USE;
status decode_link_cut(struct decode_link *l, int clip, int64_t blocks, status why) MUST_USE;

/* Nothing more comes, and why: DECODE_END or DECODE_CANCELED. Waits until it is known. */
status decode_link_end(struct decode_link *l, enum decode_kind kind) MUST_USE;

#endif /* DECODE_LINK_H */
