/*
 * text_encoder.c - prompts to embeddings: cleaned, tokenized, looked up in the cache, encoded.
 *
 * The encoder has 11 GB of weights and is needed for seconds, so it is not kept open: prompts that
 * are not cached are encoded together, each layer's weights read once for all of them.
 */
#include "pipeline/text/text_encoder.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/version.h"
#include "pipeline/text/clean/text_clean.h"
#include "pipeline/text/text_internal.h"
#include "pipeline/text/tokenizer.h"
#include "pipeline/text/umt5.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH_TOKENS = 16384 }; /* computed at once: 256 MiB at width 4096 */

struct text_encoder {
    struct text_config config; /* paths are copies */
    struct text_cache cache;
    struct tokenizer *tokenizer;
    struct umt5_shape shape;
    char hash[DIGEST_HEX];
};

/* One prompt on its way. */
struct item {
    char key[DIGEST_HEX];
    int32_t *ids; /* [text_len] */
    int count;
    int same_as; /* an earlier item with the same tokens, or -1 */
    bool done;
    bool bad; /* its embedding is not finite */
};

static float *embeds_at(const struct text_encoder *t, float *embeds, int i)
{
    return embeds + (size_t)i * (size_t)t->config.text_len * (size_t)text_dim(t);
}

/* ---- one prompt -------------------------------------------------------------- */

static status make_key(const struct text_encoder *t, const char *clean, char key[DIGEST_HEX])
{
    struct strbuf s = { 0 };

    char cpu[VERSION_CPU];

    /* Another program or processor may round otherwise. */
    strbuf_addf(&s, "%s %s %s %d %s %s\n%s", t->hash, t->config.backend->name,
                dtype_name(t->config.precision), t->config.text_len, version_commit,
                version_cpu(cpu), clean);
    status const st =
        s.failed ? fail(ST_NOMEM, "text: no memory for a key") : digest_bytes(s.s, s.len, key);
    strbuf_free(&s);
    return st;
}

static status prepare_prompt(const struct text_encoder *t, const char *prompt, struct item *it)
{
    char *clean = NULL;
    status st = ST_OK;

    it->ids = calloc((size_t)t->config.text_len, sizeof *it->ids);
    if (!it->ids) return fail(ST_NOMEM, "text: no memory for %d tokens", t->config.text_len);
    TRY_OUT(text_clean(prompt, strlen(prompt), &clean));
    TRY_OUT(make_key(t, clean, it->key));
    TRY_OUT(tokenizer_encode(t->tokenizer, clean, it->ids, t->config.text_len, &it->count));
out:
    free(clean);
    return st;
}

status text_check(const struct text_encoder *t, const char *prompt)
{
    struct item it = { .count = 0 };
    status const st = prepare_prompt(t, prompt, &it);

    free(it.ids);
    return st;
}

static void find_same(struct item *items, int i)
{
    items[i].same_as = -1;
    for (int k = 0; k < i && items[i].same_as < 0; k++)
        if (!strcmp(items[k].key, items[i].key)) items[i].same_as = k;
}

static struct text_entry entry_of(const struct text_encoder *t, const struct item *it,
                                  float *embeds)
{
    return (struct text_entry){
        .key = it->key,
        .dim = text_dim(t),
        .text_len = t->config.text_len,
        .tokens = it->count,
        .embeds = embeds,
    };
}

static void take_from_cache(const struct text_encoder *t, struct item *it, float *embeds)
{
    struct text_entry e = entry_of(t, it, embeds);

    if (!t->config.cache_dir || it->same_as >= 0) return;
    it->done = text_cache_read(&t->cache, &e) && e.tokens == it->count;
}

/* A full disk costs time at the next start, not the clip. */
static void put_in_cache(struct text_encoder *t, const struct item *it, float *embeds)
{
    struct text_entry const e = entry_of(t, it, embeds);

    if (!t->config.cache_dir) return;
    if (text_cache_write(&t->cache, &e) == ST_OK) return;
    log_warn("the embedding is not cached: %s", error_last()->msg);
    error_clear();
}

/* ---- many -------------------------------------------------------------------- */

static status open_encoder(const struct text_encoder *t, struct weights **w, struct umt5 **u)
{
    struct umt5_config c = { .backend = t->config.backend,
                             .threads = t->config.threads,
                             .device = t->config.device,
                             .precision = t->config.precision,
                             .stop = t->config.stop,
                             .stop_arg = t->config.stop_arg };

    TRY(weights_open_as(
        w, &(struct weights_request){ .path = t->config.encoder_path, .family = WEIGHTS_TEXT }));
    c.weights = *w;
    return umt5_open(u, &c);
}

/* The file is open only while it is needed: a reader of a torch file holds a
 * buffer as large as the largest tensor, the whole table of tokens. */
static status encode_with_file(const struct text_encoder *t, const struct umt5_prompt *prompts,
                               int n)
{
    struct weights *w = NULL;
    struct umt5 *u = NULL;
    char hash[DIGEST_HEX];
    status st;

    TRY_OUT(open_encoder(t, &w, &u));
    TRY_OUT(text_hash(w, t->config.tokenizer_path, hash));
    if (strcmp(hash, t->hash) != 0)
        st = fail(ST_FORMAT, "%s or %s has changed since it was opened", t->config.encoder_path,
                  t->config.tokenizer_path);
    else TRY_OUT(umt5_encode(u, prompts, n));
out:
    umt5_close(&u);
    weights_close(&w);
    return st;
}

/* Of a batch that was encoded. */
static bool is_finite(const struct text_encoder *t, const struct item *it, const float *embeds)
{
    for (int64_t i = 0; i < it->count * text_dim(t); i++)
        if (!isfinite(embeds[i])) return false;
    return true;
}

/* Encode items from *next on, until the batch is full. */
static status encode_batch(struct text_encoder *t, struct item *items, int n, int *next,
                           float *embeds)
{
    struct umt5_prompt *const prompts = calloc((size_t)n, sizeof *prompts);
    int const first = *next;
    int count = 0, tokens = 0;
    status st = ST_OK;

    if (!prompts) return fail(ST_NOMEM, "text: no memory for %d prompts", n);
    for (; *next < n; (*next)++) {
        const struct item *const it = &items[*next];
        if (it->done || it->same_as >= 0) continue;
        if (count && tokens + it->count > BATCH_TOKENS) break;
        prompts[count++] = (struct umt5_prompt){ .ids = it->ids,
                                                 .count = it->count,
                                                 .embeds = embeds_at(t, embeds, *next) };
        tokens += it->count;
    }
    if (count) log_debug("text encoder: %d prompts, %d tokens", count, tokens);
    if (count) st = encode_with_file(t, prompts, count);
    if (st == ST_MISMATCH) { /* some are bad, and it is theirs alone */
        error_clear();
        st = ST_OK;
    }
    for (int i = first; i < *next && st == ST_OK; i++) {
        if (items[i].done || items[i].same_as >= 0) continue;
        items[i].bad = !is_finite(t, &items[i], embeds_at(t, embeds, i));
        if (!items[i].bad) put_in_cache(t, &items[i], embeds_at(t, embeds, i));
        items[i].done = true;
    }
    free(prompts);
    return st;
}

static void finish_prompt(const struct text_encoder *t, const struct item *items, int i,
                          float *embeds, int *tokens)
{
    size_t const dim = (size_t)text_dim(t), real = (size_t)items[i].count * dim;
    float *const to = embeds_at(t, embeds, i);

    int const made = items[i].same_as >= 0 ? items[i].same_as : i;
    tokens[i] = items[made].bad ? 0 : items[i].count;
    if (made != i) memcpy(to, embeds_at(t, embeds, made), real * sizeof *to);
    memset(to + real, 0, ((size_t)t->config.text_len * dim - real) * sizeof *to);
}

status text_encode_many(struct text_encoder *t, const char *const *prompts, int n, float *embeds,
                        int *tokens)
{
    struct item *const items = calloc((size_t)n + 1, sizeof *items);
    status st = ST_OK;

    if (!items) return fail(ST_NOMEM, "text: no memory for %d prompts", n);
    for (int i = 0; i < n; i++) {
        TRY_OUT(prepare_prompt(t, prompts[i], &items[i]));
        find_same(items, i);
        take_from_cache(t, &items[i], embeds_at(t, embeds, i));
    }
    for (int next = 0; next < n;) TRY_OUT(encode_batch(t, items, n, &next, embeds));
    for (int i = 0; i < n; i++) finish_prompt(t, items, i, embeds, tokens);
out:
    for (int i = 0; i < n; i++) free(items[i].ids);
    free(items);
    return st;
}

status text_encode(struct text_encoder *t, const char *prompt, float *embeds, int *tokens)
{
    TRY(text_encode_many(t, &prompt, 1, embeds, tokens));
    return *tokens ? ST_OK : fail(ST_MISMATCH, "a prompt's embedding is not finite");
}

/* ---- open and close ---------------------------------------------------------- */

static status check_vocabulary(const struct text_encoder *t)
{
    int const ids = tokenizer_vocab(t->tokenizer);

    if (ids <= t->shape.vocab) return ST_OK;
    return fail(ST_FORMAT, "%s: %d tokens, but %s knows %lld", t->config.tokenizer_path, ids,
                t->config.encoder_path, (long long)t->shape.vocab);
}

static status open_tokenizer(struct text_encoder *t)
{
    struct weights *w = NULL;
    struct umt5 *u = NULL;
    status st;

    TRY_OUT(tokenizer_open(&t->tokenizer, t->config.tokenizer_path));
    TRY_OUT(open_encoder(t, &w, &u));
    t->shape = *umt5_shape(u);
    TRY_OUT(check_vocabulary(t));
    TRY_OUT(text_hash(w, t->config.tokenizer_path, t->hash));
out:
    umt5_close(&u);
    weights_close(&w);
    return st;
}

status text_open(struct text_encoder **out, const struct text_config *config)
{
    *out = NULL;
    if (config->text_len < 1)
        return fail(ST_ARG, "text: length %d; at least 1 is needed", config->text_len);
    struct text_encoder *t = calloc(1, sizeof *t);
    if (!t) return fail(ST_NOMEM, "text: no memory for an encoder");

    t->config = *config;
    t->config.encoder_path = str_format("%s", config->encoder_path);
    t->config.tokenizer_path = str_format("%s", config->tokenizer_path);
    if (config->cache_dir) t->config.cache_dir = str_format("%s", config->cache_dir);
    t->cache = (struct text_cache){ .dir = t->config.cache_dir, .limit = config->cache_bytes };
    bool const copied = t->config.encoder_path && t->config.tokenizer_path &&
                        !config->cache_dir == !t->config.cache_dir;
    status const st = copied ? open_tokenizer(t) : fail(ST_NOMEM, "text: no memory for an encoder");
    if (st == ST_OK) *out = t;
    else text_close(&t);
    return st;
}

void text_close(struct text_encoder **t)
{
    if (!*t) return;
    tokenizer_close(&(*t)->tokenizer);
    free((char *)(uintptr_t)(*t)->config.encoder_path);
    free((char *)(uintptr_t)(*t)->config.tokenizer_path);
    free((char *)(uintptr_t)(*t)->config.cache_dir);
    free(*t);
    *t = NULL;
}

int64_t text_dim(const struct text_encoder *t) { return t->shape.dim; }
const char *text_encoder_hash(const struct text_encoder *t) { return t->hash; }
