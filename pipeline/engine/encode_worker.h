/*
 * encode_worker.h - where a line's pictures go: encoded, committed, told.
 *
 * One clip at a time, block after block, in the order the line finishes them. A
 * thread of its own encodes; a few blocks may wait for it, then whoever brings the
 * next one waits too. A clip's folder appears when its last block is through,
 * complete or not at all.
 */
#ifndef ENCODE_WORKER_H
#define ENCODE_WORKER_H

#include "base/track.h"
#include "pipeline/decode/decode_chain.h"
#include "pipeline/engine/clip_provenance.h"

enum { ENCODE_WORKER_SLOTS = 2 };

struct encode_worker;

struct encode_worker_config {
    const struct render_clip *const *clip; /* of the batch; blocks name them by number */
    struct comm *world;                    /* for notes to rank 0 */
    int line;
    int frames_per_block;
    int64_t latent_h, latent_w;
    int64_t picture_bytes;         /* of a picture at most */
    struct provenance_facts facts; /* for clip.json */
    struct trace *trace;           /* or NULL */
    struct watchdog *watch;
    double deadline_s;    /* longest encoding of a block, with the commit */
    struct track *decode; /* of the thread that brings blocks */
};

/* Whoever opens, closes; a clip that is not finished by then leaves nothing. */
status encode_worker_open(struct encode_worker **out,
                          const struct encode_worker_config *c) MUST_USE;
void encode_worker_close(struct encode_worker **f); /* NULL is fine; sets NULL */

/* The next block, with the formats of its clip's files; all of it is copied. If encoding
 * has failed, that failure. */
status encode_worker_block(struct encode_worker *f, const struct decode_block *b) MUST_USE;

/* Nothing more comes: encode what waits. The first failure of the film. */
status encode_worker_end(struct encode_worker *f) MUST_USE;

const struct track *encode_worker_track(const struct encode_worker *f);

/* Through the encoder, once the film has ended. */
int64_t encode_worker_blocks(const struct encode_worker *f);
int64_t encode_worker_pictures(const struct encode_worker *f);

#endif /* ENCODE_WORKER_H */
