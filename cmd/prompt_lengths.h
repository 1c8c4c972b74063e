/* prompt_lengths.h - prompts that are longer than the text encoder takes, found before anything is
 * rendered: what stands behind its last token changes nothing in the clip. */
#ifndef PROMPT_LENGTHS_H
#define PROMPT_LENGTHS_H

#include "jobs/spec/clip.h"

struct tokenizer;

/* The tokenizer opened last. Zeroed before the first job. */
struct prompt_lengths {
    struct tokenizer *tokenizer;
    char *path;
};

/* Warns of each different prompt of the clips that is too long, with the words that are lost; of
 * the first ones, and of the others how many. Under long_prompts: error the first one is
 * ST_FORMAT. A model whose config or tokenizer cannot be read is for others to refuse. */
status prompt_lengths_check(struct prompt_lengths *l, const struct job *job,
                            const struct card *card, const struct clip_list *clips) MUST_USE;
void prompt_lengths_close(struct prompt_lengths *l);

#endif /* PROMPT_LENGTHS_H */
