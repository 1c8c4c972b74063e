/*
 * prompt_wire.h - prompts from rank 0 to the rank that embeds them, and embeddings back. On one
 * rank it is a call, between two a pair of messages.
 */
#ifndef PROMPT_WIRE_H
#define PROMPT_WIRE_H

#include "pipeline/engine/engine_internal.h"

enum { PROMPT_TOGETHER = 64 }; /* texts of a request at most */

/* What became of a text. */
struct prompt_answer {
    int tokens;
    float *rows; /* [tokens, text_dim]; NULL: it cannot be embedded */
    char *why;   /* then the reason */
};
void prompt_answer_free(struct prompt_answer *a);

/* Rank 0. Ask for 1..PROMPT_TOGETHER texts, and wait. */
status prompt_request(struct group *t, const char *const *text, int texts,
                      struct prompt_answer *answer) MUST_USE;
status prompt_request_end(struct group *t) MUST_USE; /* no more */

#endif /* PROMPT_WIRE_H */
