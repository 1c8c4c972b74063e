/*
 * track.h - what one thread of a rank does and for how long: the account for the
 * table at the end, rows of the trace, the progress that the watchdog checks.
 *
 * A thread does one thing at a time: begin, end, begin, end. What is not inside a
 * pair is accounted to nobody. begin, end, lap and arrow are the thread's own and do
 * nothing with track NULL; what reads may be called by any thread.
 */
#ifndef TRACK_H
#define TRACK_H

#include "base/trace.h"

enum track_what {
    TRACK_COMPUTE,   /* transformer */
    TRACK_EXCHANGE,  /* waits for keys and values of other stages */
    TRACK_HAND_OVER, /* waits for the neighbour's latents, and for all of the line before a tick */
    TRACK_QUEUE,     /* waits for a free slot of a queue, for what comes out of one */
    TRACK_IDLE,      /* waits for work: nobody has any for it */
    TRACK_DECODE,
    TRACK_ENCODE,
    TRACK_TEXT,  /* prompt embeddings */
    TRACK_LOAD,  /* weights */
    TRACK_CLOSE, /* memory and what else is held */
    TRACK_KINDS
};
bool track_waits(enum track_what what); /* for another rank or thread */

/* What it is about; -1: does not apply. */
struct track_at {
    int clip, stage, layer;
    int64_t block;
};
#define TRACK_NOWHERE ((struct track_at){ -1, -1, -1, -1 })

/* Rows of a rank's trace: one per stage it owns, then one per thread. */
enum {
    TRACK_STAGES = 32,
    TRACK_ROW_LINE = 100,
    TRACK_ROW_TEXT,
    TRACK_ROW_DECODE,
    TRACK_ROW_ENCODE
};

struct track;

/* trace: borrowed, may be NULL. row: of what has no stage. Whoever opens, closes. */
status track_open(struct track **out, struct trace *trace, int row, const char *name) MUST_USE;
void track_close(struct track **t); /* NULL is fine; sets NULL */

void track_begin(struct track *t, enum track_what what, struct track_at at);
void track_end(struct track *t);

/* A block leaves this thread's row for another rank, or arrives there; inside a pair.
 * Both ends name it alike. */
void track_arrow(struct track *t, bool leaves, struct track_at at);

/* A tick of the line, or a block of a decoder, is done. What it waited for queues and for work is
 * no part of how long it took. */
void track_lap(struct track *t);

/* Seconds so far, of all stages (stage -1) or of one. */
double track_seconds(const struct track *t, enum track_what what, int stage);

/* Of these, those in which this very thread had a processor: not while it waited, nor
 * what other threads did for it. */
double track_processor(const struct track *t, enum track_what what, int stage);

/* How long may a lap take, in seconds? `first` until three have been measured; then
 * sixteen times the median of the last twenty, at least `least`. */
double track_patience(const struct track *t, double first, double least);

/* Seconds since anything began, ended or lapped; what is going on, and in words:
 * "exchange, clip 0, block 7, stage 2, layer 11". Of what is of no clip, the last known. */
double track_idle(const struct track *t);
struct track_state {
    bool open; /* else it was this that ended last */
    enum track_what what;
    struct track_at at;
};
struct track_state track_state(const struct track *t);
enum { TRACK_TEXT_BYTES = 128 };
const char *track_words(struct track_state s, char buf[TRACK_TEXT_BYTES]);

#endif /* TRACK_H */
