/*
 * prompt_bank.h - the prompts of many clips, embedded once each.
 *
 * Every distinct text is encoded once, by one rank, before it loads anything else; only
 * the rows of real tokens are kept and sent to the ranks that need them. A block that stands
 * inside a blend gets a mix of two.
 */
#ifndef PROMPT_BANK_H
#define PROMPT_BANK_H

#include "comm/comm.h"
#include "jobs/spec/clip.h"
#include "pipeline/text/text_encoder.h"

struct prompt_bank;

/* Collect what the clips ask for; nothing is embedded yet. text_len, text_dim: of the
 * transformer. The clips are borrowed, the list of them is not. Whoever opens, closes. */
status prompt_bank_open(struct prompt_bank **out, const struct clip_spec *const *clips, int count,
                        int text_len, int text_dim) MUST_USE;
void prompt_bank_close(struct prompt_bank **p); /* NULL is fine; sets NULL */

/* [one] Embed every distinct text. ST_FORMAT if the encoder's width is not text_dim. */
status prompt_bank_encode(struct prompt_bank *p, const struct text_config *text) MUST_USE;

/* [all] Rank `from` has encoded: every rank gets the texts of the clips that
 * `mine(arg, rank, clip)` says are its own, and loses the rest. */
struct prompt_bank_broadcast {
    struct comm *world;
    int from;
    bool (*mine)(const void *arg, int rank, int clip);
    const void *arg;
};
status prompt_bank_broadcast(struct prompt_bank *p, const struct prompt_bank_broadcast *s) MUST_USE;

int prompt_bank_texts(const struct prompt_bank *p); /* distinct ones */

/* Different ids there may be: distinct texts, and every block that is a mix. */
int prompt_bank_count(const struct prompt_bank *p);

/* For line_io: any number of threads at once. `clip` indexes the list given at open. */
int64_t prompt_bank_id(const struct prompt_bank *p, int clip, int64_t block);
void prompt_bank_fill(const struct prompt_bank *p, int clip, int64_t block, float *embeds);

const char *prompt_bank_encoder_hash(const struct prompt_bank *p);

#endif /* PROMPT_BANK_H */
