/*
 * decode_local.h - decoding beside the line: a thread of its tail, reached as another
 * rank would be, over a group of two thread ranks.
 */
#ifndef DECODE_LOCAL_H
#define DECODE_LOCAL_H

#include "pipeline/engine/engine_batch.h"

struct decode_local;

/* Whoever opens, closes. */
status decode_local_open(struct decode_local **out, struct batch *t) MUST_USE;
void decode_local_close(struct decode_local **b); /* NULL is fine; sets NULL */

/* The tail's end of the hop. */
struct comm *decode_local_link(const struct decode_local *b);

const char *decode_local_vae_hash(const struct decode_local *b);

status decode_local_start(struct decode_local *b) MUST_USE;

/* The thread is over after this. st: the line's own outcome; what comes back is that, or
 * the decoder's failure if the line's only follows from it. */
status decode_local_join(struct decode_local *b, status st) MUST_USE;

void decode_local_stats(const struct decode_local *b, struct rank_stats *a); /* adds */

#endif /* DECODE_LOCAL_H */
