#include "base/clock.h"
#include "base/log.h"
#include "pipeline/engine/prompt_bank_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct embedding *)a)->text, ((const struct embedding *)b)->text);
}

/* Collect, sort, and keep one of each. */
static status collect(struct prompt_bank *p)
{
    size_t all = 0, kept = 0;

    for (int c = 0; c < p->count; c++) all += (size_t)p->clips[c]->prompts;
    p->text = calloc(all + 1, sizeof *p->text);
    p->first_block = calloc((size_t)p->count + 1, sizeof *p->first_block);
    if (!p->text || !p->first_block) return fail(ST_NOMEM, "%zu prompts", all);
    all = 0;
    for (int c = 0; c < p->count; c++) {
        p->first_block[c + 1] = p->first_block[c] + p->clips[c]->blocks;
        for (int i = 0; i < p->clips[c]->prompts; i++)
            p->text[all++].text = p->clips[c]->prompt[i].text;
    }
    qsort(p->text, all, sizeof *p->text, by_text);
    for (size_t i = 0; i < all; i++)
        if (!kept || strcmp(p->text[kept - 1].text, p->text[i].text)) p->text[kept++] = p->text[i];
    p->texts = (int)kept;
    return ST_OK;
}

static status keep(struct prompt_bank *p, struct embedding *e, const float *rows, int tokens)
{
    size_t const bytes = (size_t)tokens * (size_t)p->text_dim * sizeof *rows;

    e->rows = malloc(bytes);
    if (!e->rows) return fail(ST_NOMEM, "embedding of %zu bytes", bytes);
    memcpy(e->rows, rows, bytes);
    e->tokens = tokens;
    return ST_OK;
}

/* Prompts per reading of the encoder's weights; seconds between two lines. */
enum { TOGETHER = 64, SAY_EVERY = 30 };

static status encode(struct prompt_bank *p, struct text_encoder *encoder)
{
    size_t const one = (size_t)p->text_len * (size_t)p->text_dim;
    float *const rows = malloc(TOGETHER * one * sizeof *rows);
    double said = clock_seconds();
    status st = ST_OK;

    if (!rows) return fail(ST_NOMEM, "embeddings of %d prompts", TOGETHER);
    for (int at = 0; at < p->texts; at += TOGETHER) {
        int const n = p->texts - at < TOGETHER ? p->texts - at : TOGETHER;
        const char *texts[TOGETHER];
        int tokens[TOGETHER];
        for (int i = 0; i < n; i++) texts[i] = p->text[at + i].text;
        TRY_OUT(text_encode_many(encoder, texts, n, rows, tokens));
        for (int i = 0; i < n; i++)
            TRY_OUT(keep(p, &p->text[at + i], rows + (size_t)i * one, tokens[i]));
        if (clock_seconds() - said >= SAY_EVERY) {
            log_info("prompts: %d of %d embedded", at + n, p->texts);
            said = clock_seconds();
        }
    }
out:
    free(rows);
    return st;
}

status prompt_bank_open(struct prompt_bank **out, const struct clip_spec *const *clips, int count,
                        int text_len, int text_dim)
{
    struct prompt_bank *p = calloc(1, sizeof *p);
    status st = ST_OK;

    *out = NULL;
    if (!p) return fail(ST_NOMEM, "prompts: no memory");
    p->clips = calloc((size_t)count + 1, sizeof *p->clips);
    if (!p->clips) {
        st = fail(ST_NOMEM, "%d clips", count);
        goto out;
    }
    for (int i = 0; i < count; i++) p->clips[i] = clips[i];
    p->count = count;
    p->text_len = text_len;
    p->text_dim = text_dim;
    TRY_OUT(collect(p));
    *out = p;
    p = NULL; /* handed over */
out:
    prompt_bank_close(&p);
    return st;
}

status prompt_bank_encode(struct prompt_bank *p, const struct text_config *text)
{
    struct text_encoder *encoder = NULL;
    status st = ST_OK;

    TRY_OUT(text_open(&encoder, text));
    if (text_dim(encoder) != p->text_dim) {
        st = fail(ST_FORMAT, "%s: embeddings of %lld numbers; the transformer takes %d",
                  text->encoder_path, (long long)text_dim(encoder), p->text_dim);
        goto out;
    }
    snprintf(p->hash, sizeof p->hash, "%s", text_encoder_hash(encoder));
    log_info("prompts: %d to embed", p->texts);
    TRY_OUT(encode(p, encoder));
out:
    text_close(&encoder);
    return st;
}

struct embedding *embedding_of(const struct prompt_bank *p, const char *text)
{
    struct embedding const key = { .text = text };
    return bsearch(&key, p->text, (size_t)p->texts, sizeof key, by_text);
}

void prompt_bank_close(struct prompt_bank **prompts)
{
    struct prompt_bank *const p = *prompts;

    if (!p) return;
    for (int i = 0; p->text && i < p->texts; i++) free(p->text[i].rows);
    free(p->text);
    free(p->first_block);
    free(p->clips);
    free(p);
    *prompts = NULL;
}

/* The prompt in force, and how far into its blend the block stands: of `steps`
 * parts, `step` are the new prompt's. step == steps: no blend. */
struct mix {
    const struct clip_prompt *before, *now;
    int64_t step, steps;
};

static struct mix mix_of(const struct prompt_bank *p, int clip, int64_t block)
{
    const struct clip_spec *const c = p->clips[clip];
    int i = 0;

    while (i + 1 < c->prompts && c->prompt[i + 1].block <= block) i++;

    const struct clip_prompt *const now = &c->prompt[i];
    int64_t const in = block - now->block;
    if (i == 0 || in >= now->blend) return (struct mix){ .now = now };
    return (struct mix){ .before = now - 1, .now = now, .step = in + 1, .steps = now->blend + 1 };
}

int64_t prompt_bank_id(const struct prompt_bank *p, int clip, int64_t block)
{
    struct mix const m = mix_of(p, clip, block);

    if (!m.before) return embedding_of(p, m.now->text) - p->text;
    return p->texts + p->first_block[clip] + block; /* a mix is its block's own */
}

int prompt_bank_count(const struct prompt_bank *p)
{
    int64_t mixes = 0;

    for (int c = 0; c < p->count; c++)
        for (int i = 1; i < p->clips[c]->prompts; i++) mixes += p->clips[c]->prompt[i].blend;
    return mixes > INT32_MAX - p->texts ? INT32_MAX : p->texts + (int)mixes;
}

static void add(const struct prompt_bank *p, const char *text, float weight, float *embeds)
{
    const struct embedding *const e = embedding_of(p, text);
    int64_t const n = (int64_t)e->tokens * p->text_dim;

    for (int64_t i = 0; i < n; i++) embeds[i] += weight * e->rows[i];
}

void prompt_bank_fill(const struct prompt_bank *p, int clip, int64_t block, float *embeds)
{
    struct mix const m = mix_of(p, clip, block);
    float const share = m.before ? (float)m.step / (float)m.steps : 1.0f;

    memset(embeds, 0, (size_t)p->text_len * (size_t)p->text_dim * sizeof *embeds);
    add(p, m.now->text, share, embeds);
    if (m.before) add(p, m.before->text, 1.0f - share, embeds);
}

int prompt_bank_texts(const struct prompt_bank *p) { return p->texts; }

const char *prompt_bank_encoder_hash(const struct prompt_bank *p) { return p->hash; }
