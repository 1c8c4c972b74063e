/*
 * render_prompts.h - the prompts of many clips, embedded once each.
 *
 * Every distinct text is encoded before the transformer is loaded; only the rows
 * of real tokens are kept. A block that stands inside a blend gets a mix of two.
 */
#ifndef RENDER_PROMPTS_H
#define RENDER_PROMPTS_H

#include "jobs/clip.h"
#include "pipeline/text_encoder.h"

struct render_prompts;

/* Encode what the clips ask for. `text` says how; its text_len is the
 * transformer's. The clips are borrowed, the list of them is not. ST_FORMAT if the encoder's width is not
 * text_dim. Whoever opens, closes. */
status render_prompts_open(struct render_prompts **out, const struct clip_spec *const *clips,
                           int count, const struct text_config *text, int text_dim) MUST_USE;
void render_prompts_close(struct render_prompts **p); /* NULL is fine; sets NULL */

/* Different ids there may be: distinct texts, and every block that is a mix. */
int render_prompts_count(const struct render_prompts *p);

/* For line_io: any number of threads at once. `clip` indexes the list given at open. */
int64_t render_prompts_id(const struct render_prompts *p, int clip, int64_t block);
void render_prompts_fill(const struct render_prompts *p, int clip, int64_t block, float *embeds);

const char *render_prompts_encoder_hash(const struct render_prompts *p);

#endif /* RENDER_PROMPTS_H */
