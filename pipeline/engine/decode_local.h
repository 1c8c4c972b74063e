/*
 * decode_local.h - decoding beside the line: a thread of its tail, reached as another
 * rank would be, over a group of two thread ranks.
 */
#ifndef DECODE_LOCAL_H
#define DECODE_LOCAL_H

#include "pipeline/engine/engine_batch.h"

struct render_beside;

/* Whoever opens, closes. */
status render_beside_open(struct render_beside **out, struct batch *t) MUST_USE;
void render_beside_close(struct render_beside **b); /* NULL is fine; sets NULL */

/* The tail's end of the hop. */
struct comm *render_beside_hop(const struct render_beside *b);

const char *render_beside_vae_hash(const struct render_beside *b);

status render_beside_start(struct render_beside *b) MUST_USE;

/* The thread is over after this. st: the line's own outcome; what comes back is that, or
 * the decoder's failure if the line's only follows from it. */
status render_beside_join(struct render_beside *b, status st) MUST_USE;

void render_beside_account(const struct render_beside *b, struct render_account *a); /* adds */

#endif /* DECODE_LOCAL_H */
