/* verify_tokenizer.c - recorded prompts to their cleaned text and ids, exactly. */
#include "cmd/verify/verify_internal.h"
#include "pipeline/text/clean/text_clean.h"
#include "pipeline/text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The recorded text, or what cleaning it once more gives: the recording keeps punctuation of full
 * width, which ftfy folds, as the tokenizer does in either case. */
static status compare_texts(const char *text, const char *clean, const char **said)
{
    char *again = NULL;

    *said = "text equal";
    if (!strcmp(text, clean)) return ST_OK;
    TRY(text_clean(clean, strlen(clean), &again));
    *said = strcmp(text, again) ? "text DIFFERS" : "text equal but for width";
    free(again);
    return ST_OK;
}

/* One recorded prompt: its cleaned text and its ids, exactly. */
static status check_prompt(struct verify_case *c, const struct tokenizer *t,
                           const struct json_node *want, int index, int text_len)
{
    const struct json_node *const prompt = json_tree_member(want, "prompt");
    const char *const clean = json_tree_text(json_tree_member(want, "clean"));
    const struct json_node *const ids = json_tree_member(want, "ids");
    int32_t *const got = malloc((size_t)text_len * sizeof *got);
    const char *said;
    char *text = NULL;
    int count;
    status st = ST_OK;

    if (!got || !json_tree_is(prompt, NODE_TEXT) || !clean || !json_tree_is(ids, NODE_LIST))
        FAIL_OUT(got ? ST_FORMAT : ST_NOMEM,
                 "%s/case.json: cases[%d]: prompt, clean and ids are expected", c->dir, index);
    TRY_OUT(text_clean(prompt->text, prompt->text_len, &text));
    TRY_OUT(tokenizer_encode(t, text, got, text_len, &count));
    bool same = (size_t)count == ids->count;
    for (int i = 0; same && i < count; i++) same = json_tree_item(ids, (size_t)i)->whole == got[i];
    TRY_OUT(compare_texts(text, clean, &said));
    printf("tokenizer case %d: %s, %s\n", index, said, same ? "ids equal" : "ids DIFFER");
    c->mismatches += !same + !strcmp(said, "text DIFFERS");
out:
    free(got);
    free(text);
    return st;
}

status verify_tokenizer(struct verify_case *c)
{
    char *const path = verify_model(c, "google/umt5-xxl/spiece.model");
    const struct json_node *const cases = json_tree_member(c->json, "cases");
    struct tokenizer *t = NULL;
    int text_len;
    status st = ST_OK;

    if (!path) return fail(ST_NOMEM, "%s: no memory for its name", c->dir);
    TRY_OUT(verify_int(c, "text_len", 1, 1 << 16, &text_len));
    if (!json_tree_is(cases, NODE_LIST) || !cases->count)
        FAIL_OUT(ST_FORMAT, "%s/case.json: cases: a list is expected", c->dir);
    TRY_OUT(tokenizer_open(&t, path));
    for (size_t i = 0; i < cases->count; i++)
        TRY_OUT(check_prompt(c, t, json_tree_item(cases, i), (int)i, text_len));
out:
    tokenizer_close(&t);
    free(path);
    return st;
}
