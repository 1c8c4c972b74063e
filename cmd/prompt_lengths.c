/*
 * prompt_lengths.c - each different prompt cleaned and tokenized as the encoder will do it.
 *
 * A sweep repeats its prompts, so they are sorted and each is looked at once. Most are too short to
 * be too long: a token is at least a character, so that they are not even tokenized.
 */
#include "cmd/prompt_lengths.h"
#include "base/log.h"
#include "pipeline/dit/dit.h"
#include "pipeline/text/clean/text_clean.h"
#include "pipeline/text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED = 8, WORDS = 240 }; /* prompts warned of, bytes shown of what is lost */

struct prompt_use {
    const struct clip_spec *clip;
    int prompt;
};

static const char *text_of(const struct prompt_use *u) { return u->clip->prompt[u->prompt].text; }

/* The same texts side by side, in the order of the clips. */
static int compare_uses(const void *a, const void *b)
{
    const struct prompt_use *const x = a, *const y = b;
    int const order = strcmp(text_of(x), text_of(y));

    if (order) return order;
    return x->clip->index < y->clip->index ? -1 : x->clip->index > y->clip->index;
}

static int compare_in_order(const void *a, const void *b)
{
    const struct prompt_use *const x = a, *const y = b;

    if (x->clip->index != y->clip->index) return x->clip->index < y->clip->index ? -1 : 1;
    return x->prompt - y->prompt;
}

/* Cleaning and normalising make plain ASCII without references no longer; the tokenizer puts a
 * blank in front, and the closing token comes last. */
static bool surely_fits(const char *text, int text_len)
{
    size_t n = 0;

    for (; text[n]; n++)
        if ((signed char)text[n] < 0 || text[n] == '&') return false;
    return n + 2 <= (size_t)text_len;
}

/* Prompts that may be too long, each text once, in the order of the clips. */
static struct prompt_use *list_long_prompts(const struct clip_list *clips, int text_len,
                                            int64_t *count)
{
    int64_t all = 0, kept = 0;

    for (int i = 0; i < clips->count; i++) all += clips->clip[i].prompts;
    struct prompt_use *const use = calloc((size_t)all + 1, sizeof *use);
    if (!use) return NULL;
    all = 0;
    for (int i = 0; i < clips->count; i++)
        for (int p = 0; p < clips->clip[i].prompts; p++) {
            use[all] = (struct prompt_use){ &clips->clip[i], p };
            all += !surely_fits(text_of(&use[all]), text_len);
        }
    qsort(use, (size_t)all, sizeof *use, compare_uses);
    for (int64_t i = 0; i < all; i++)
        if (!kept || strcmp(text_of(&use[kept - 1]), text_of(&use[i])) != 0) use[kept++] = use[i];
    qsort(use, (size_t)kept, sizeof *use, compare_in_order);
    *count = kept;
    return use;
}

static status open_tokenizer_of(struct prompt_lengths *l, const struct card *card)
{
    if (l->path && !strcmp(l->path, card->tokenizer)) return ST_OK;
    prompt_lengths_close(l);
    TRY(tokenizer_open(&l->tokenizer, card->tokenizer));
    l->path = strdup(card->tokenizer);
    return l->path ? ST_OK : fail(ST_NOMEM, "%s: no memory for its path", card->tokenizer);
}

/* *rest NULL: it fits. */
static status measure_prompt(const struct prompt_lengths *l, const char *text, int text_len,
                             int *tokens, char **rest)
{
    char *clean = NULL;

    *rest = NULL;
    TRY(text_clean(text, strlen(text), &clean));
    status const st = tokenizer_measure(l->tokenizer, clean, text_len, tokens, rest);
    free(clean);
    return st;
}

static void cut_words(char *words)
{
    size_t n = WORDS;

    if (strlen(words) <= WORDS + 3) return;
    while (n && ((unsigned char)words[n] & 0xc0) == 0x80) n--; /* a character stays whole */
    strcpy(words + n, "...");
}

static status report_long_prompt(const struct job *job, const struct prompt_use *u, int tokens,
                                 int text_len, char *rest)
{
    const struct tree_node *const entry = job->prompt[u->prompt].node;
    const struct tree_node *const text = tree_find(entry, "text");
    const struct tree_node *const node = text ? text : entry;

    cut_words(rest);
    if (job->long_prompts == JOB_LONG_ERROR)
        return tree_fail(node,
                         "clip %s: found %d tokens; allowed with long_prompts: error: %d; "
                         "too many are \"%s\"",
                         u->clip->name, tokens, text_len, rest);
    tree_warn(node, "clip %s: %d tokens, and the text encoder takes %d; without effect are \"%s\"",
              u->clip->name, tokens, text_len, rest);
    return ST_OK;
}

static status check_uses(const struct prompt_lengths *l, const struct job *job,
                         const struct prompt_use *use, int64_t count, int text_len)
{
    int64_t found = 0;

    for (int64_t i = 0; i < count; i++) {
        int tokens;
        char *rest;
        status st = measure_prompt(l, text_of(&use[i]), text_len, &tokens, &rest);
        if (st == ST_OK && rest && ++found <= NAMED)
            st = report_long_prompt(job, &use[i], tokens, text_len, rest);
        free(rest);
        if (st != ST_OK) return st;
    }
    if (found > NAMED)
        tree_warn(job->node, "%lld more prompts have more tokens than the text encoder takes",
                  (long long)(found - NAMED));
    return ST_OK;
}

status prompt_lengths_check(struct prompt_lengths *l, const struct job *job,
                            const struct card *card, const struct clip_list *clips)
{
    struct dit_shape shape;
    struct prompt_use *use = NULL;
    int64_t count = 0;
    status st = ST_OK;

    bool read = dit_shape_read(&shape, card->config) == ST_OK;
    if (read) use = list_long_prompts(clips, shape.text_len, &count);
    if (read && !use) return fail(ST_NOMEM, "%s: no memory for its prompts", job->name);
    if (read && count) read = open_tokenizer_of(l, card) == ST_OK;
    if (read) st = check_uses(l, job, use, count, shape.text_len);
    else {
        log_debug("%s: the lengths of prompts are unknown: %s", job->name, error_last()->msg);
        error_clear();
    }
    free(use);
    return st;
}

void prompt_lengths_close(struct prompt_lengths *l)
{
    tokenizer_close(&l->tokenizer);
    free(l->path);
    *l = (struct prompt_lengths){ 0 };
}
