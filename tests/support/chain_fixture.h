/*
 * chain_fixture.h - blocks of two clips from a tail over a chain of decode ranks, for tests
 * over any transport: pictures are the bytes of those of one decoder, in each clip's own
 * formats; stops and faults come out right on every rank.
 *
 * Ranks that are threads share one fixture. Under mpirun each has its own, and only the last
 * part gets pictures.
 */
#ifndef CHAIN_FIXTURE_H
#define CHAIN_FIXTURE_H

#include "pipeline/vae/vae.h"
#include "tests/support/as_bytes.h"
#include "tests/support/comm_poison.h"
#include "tests/support/vae_clip.h"

#include <pthread.h>
#include <stdatomic.h>

enum { CHAIN_PARTS = 3 /* that are drawn */, CHAIN_CLIPS = 2 };

/* The recorded clip, and run backwards; and the pictures one decoder makes of them. */
struct chain_clips {
    struct clip clip[CHAIN_CLIPS];
    struct pixels_layout layout[CHAIN_CLIPS];
    struct pictures want[CHAIN_CLIPS];
};
status chain_clips_open(struct chain_clips *c) MUST_USE; /* ends the test where there are none */
void chain_clips_close(struct chain_clips *c);

/* -1: never */
struct chain_fixture {
    const struct chain_clips *clips;
    uint64_t seed;
    int parts, frames; /* frames of a block */
    double wait_s;     /* of the parts */
    int delay_us;
    bool silent;    /* the tail says nothing */
    int stop_after; /* as many blocks the tail is told to stop */
    int fail_send;  /* the tail, before this block */
    int fail_block; /* the last part, with this block's pictures */
    int fail_rank;  /* this one */
    long fail_wait; /*     in this wait of its link, from 1 */
    int slow_ms;    /* the last part, per block */

    unsigned char *bytes[CHAIN_CLIPS];
    int pictures[CHAIN_CLIPS];
    atomic_int sent, shown, ahead; /* ahead: most blocks that were sent and not shown */
    atomic_bool met;               /* the fault was */
    status ended[VAE_PARTS_MAX + 1];
};

void chain_fixture_open(struct chain_fixture *s, const struct chain_clips *clips, int parts);
void chain_fixture_close(struct chain_fixture *s);

/* All by the seed. parts: 0, or how many. */
void chain_fixture_draw(struct chain_fixture *s, const struct chain_clips *clips, uint64_t seed,
                        int parts, bool faults);

/* [all] This rank's part: rank 0 is the tail, rank p + 1 part p. What fails by itself
 * aborts. A send or a block fails with ST_IO, a wait with ST_COMM. */
status chain_fixture_run(struct chain_fixture *s, struct comm *c) MUST_USE;

/* Over ranks that are threads. */
status chain_fixture_run_threads(struct chain_fixture *s) MUST_USE;

/* Did it end as it should? here: the rank that looks; -1: all ranks are of this process. */
status chain_fixture_check(const struct chain_fixture *s, int here) MUST_USE;

/* One line's stream through a decode rank; what its links receive is poisoned. */
struct chain_stream {
    struct chain_fixture *fixture; /* and all else: borrowed */
    struct vae *vae;
    struct vae_range part;
    struct comm *in, *out; /* out: NULL behind the last part */
    pthread_mutex_t *turn;
    bool fails; /* its wait that is to */
    struct comm_poison poison[2];
    status st;
    struct error error;
};
status chain_stream_run(struct chain_stream *w) MUST_USE;
status chain_tail_run(struct chain_fixture *s, struct comm *out) MUST_USE;
struct vae_config chain_vae(const struct chain_clips *c); /* whole */

/* In words, for who is to run it again. */
enum { CHAIN_TEXT = 256 };
const char *chain_fixture_words(const struct chain_fixture *s, char buf[CHAIN_TEXT]);

#endif /* CHAIN_FIXTURE_H */
