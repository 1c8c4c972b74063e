/*
 * dispatch.h - rank 0's side of a group, as the engine sees it: the clips that wait, what they need
 * first, and which line they go to; and the text encoder, on whichever rank embeds.
 */
#ifndef DISPATCH_H
#define DISPATCH_H

#include "pipeline/engine/engine_internal.h"

/* ---- dispatcher.c */

status dispatcher_open(struct dispatcher **out, struct group *t) MUST_USE;
status dispatcher_start(struct dispatcher *d) MUST_USE;
/* Instead of start and join: all clips of the group that the source gives fail for the verdict. */
status dispatcher_refuse(struct dispatcher *d, struct group_run *r) MUST_USE;
/* st: what this rank has come to itself. */
status dispatcher_join(struct dispatcher *d, status st, struct group_run *r) MUST_USE;
void dispatcher_close(struct dispatcher **d);

/* ---- dispatch_list.c */

/* Any thread: a clip has ended, or (number -1) the line's encoder. */
void dispatch_list_take_report(struct dispatch_list *l, int line, const struct clip_report *r);

/* ---- prompt_bank.c, prompt_encoder.c */

/* Embeddings that the bank keeps though nobody asks for them now. */
enum { PROMPTS_KEPT = 128 };

enum { PROMPT_TOGETHER = 64 }; /* texts of a request to the encoder at most */

/* On the rank that embeds: its encoder, and where that is not rank 0 the thread that serves it. */
struct prompt_encoder;
status prompt_encoder_open(struct prompt_encoder **out, struct group *t) MUST_USE;
status prompt_encoder_start(struct prompt_encoder *e) MUST_USE; /* NULL is fine */
status prompt_encoder_join(struct prompt_encoder *e,
                           status st) MUST_USE; /* once rank 0 has ended it */
void prompt_encoder_close(struct prompt_encoder **e);
const char *prompt_encoder_hash(const struct prompt_encoder *e);

#endif /* DISPATCH_H */
