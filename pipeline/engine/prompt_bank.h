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

struct render_prompts;

/* Collect what the clips ask for; nothing is embedded yet. text_len, text_dim: of the
 * transformer. The clips are borrowed, the list of them is not. Whoever opens, closes. */
status render_prompts_open(struct render_prompts **out, const struct clip_spec *const *clips,
                           int count, int text_len, int text_dim) MUST_USE;
void render_prompts_close(struct render_prompts **p); /* NULL is fine; sets NULL */

/* [one] Embed every distinct text. ST_FORMAT if the encoder's width is not text_dim. */
status render_prompts_encode(struct render_prompts *p, const struct text_config *text) MUST_USE;

/* [all] Rank `from` has encoded: every rank gets the texts of the clips that
 * `mine(arg, rank, clip)` says are its own, and loses the rest. */
struct render_prompts_share {
    struct comm *world;
    int from;
    bool (*mine)(const void *arg, int rank, int clip);
    const void *arg;
};
status render_prompts_share(struct render_prompts *p,
                            const struct render_prompts_share *s) MUST_USE;

int render_prompts_texts(const struct render_prompts *p); /* distinct ones */

/* Different ids there may be: distinct texts, and every block that is a mix. */
int render_prompts_count(const struct render_prompts *p);

/* For line_io: any number of threads at once. `clip` indexes the list given at open. */
int64_t render_prompts_id(const struct render_prompts *p, int clip, int64_t block);
void render_prompts_fill(const struct render_prompts *p, int clip, int64_t block, float *embeds);

const char *render_prompts_encoder_hash(const struct render_prompts *p);

#endif /* PROMPT_BANK_H */
