/* prompt_bank_internal.h - embeddings of many prompts. Private to prompt_bank*.c. */
#ifndef PROMPT_BANK_INTERNAL_H
#define PROMPT_BANK_INTERNAL_H

#include "base/digest.h"
#include "pipeline/engine/prompt_bank.h"

struct embedding {
    const char *text; /* the clips' own */
    float *rows;      /* [tokens, text_dim] */
    int tokens;
};

struct prompt_bank {
    const struct clip_spec **clips; /* [count] */
    int count, text_len, text_dim;
    struct embedding *text; /* distinct, sorted by text */
    int texts;
    int64_t *first_block; /* [count]: blocks of all clips before, to number blends */
    char hash[DIGEST_HEX];
};

/* The text is one of those collected. */
struct embedding *embedding_of(const struct prompt_bank *p, const char *text);

#endif /* PROMPT_BANK_INTERNAL_H */
