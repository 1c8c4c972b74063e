/* prompt_mix.c - which prompts a block of a clip goes by, and how they are mixed. */
#include "pipeline/engine/engine_internal.h"

#include <string.h>

/* The prompt in force, and how far into its blend the block stands: of `steps`
 * parts, `step` are the new prompt's. before -1: no blend. */
struct mix {
    int before, now; /* of the clip's prompts */
    int64_t step, steps;
};

static struct mix mix_of(const struct clip_spec *c, int64_t block)
{
    int i = 0;

    while (i + 1 < c->prompts && c->prompt[i + 1].block <= block) i++;

    int64_t const in = block - c->prompt[i].block;
    if (i == 0 || in >= c->prompt[i].blend) return (struct mix){ .before = -1, .now = i };
    return (
        struct mix){ .before = i - 1, .now = i, .step = in + 1, .steps = c->prompt[i].blend + 1 };
}

static const struct embedding *embedding_of(const struct live_clip *c, int prompt)
{
    return &c->text[c->text_of[prompt]];
}

/* Ids of mixes lie beyond those of texts; a mix is its block's own. */
enum { BLOCK_BITS = 32 };
#define MIX_IDS ((int64_t)1 << 62)

int64_t live_clip_context_id(const struct live_clip *c, int64_t block)
{
    struct mix const m = mix_of(&c->spec, block);

    if (m.before < 0) return embedding_of(c, m.now)->id;
    return MIX_IDS | (int64_t)c->number << BLOCK_BITS | block;
}

bool live_clip_changes(const struct live_clip *c, int64_t block, enum clip_change how)
{
    struct mix const m = mix_of(&c->spec, block);
    const struct clip_prompt *const p = &c->spec.prompt[m.now];

    return p->change == how && p->block == block;
}

static void add_rows(const struct embedding *e, int text_dim, float weight, float *embeds)
{
    int64_t const n = (int64_t)e->tokens * text_dim;

    for (int64_t i = 0; i < n; i++) embeds[i] += weight * e->rows[i];
}

void live_clip_context(const struct live_clip *c, int64_t block, int text_len, int text_dim,
                       float *embeds)
{
    struct mix const m = mix_of(&c->spec, block);
    float const share = m.before >= 0 ? (float)m.step / (float)m.steps : 1.0f;

    memset(embeds, 0, (size_t)text_len * (size_t)text_dim * sizeof *embeds);
    add_rows(embedding_of(c, m.now), text_dim, share, embeds);
    if (m.before >= 0) add_rows(embedding_of(c, m.before), text_dim, 1.0f - share, embeds);
}
