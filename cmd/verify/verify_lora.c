/* verify_lora.c - the adapters of a case: files in model/ that are added to the others. */
#include "cmd/verify/verify_internal.h"

#include <stdlib.h>
#include <string.h>

/* Adapter i: `lora` is one, or a list of them. NULL: there are no more. */
static const struct json_node *lora_at(const struct verify_case *c, int i)
{
    const struct json_node *const n = json_tree_member(c->json, "lora");

    if (json_tree_is(n, NODE_LIST)) return json_tree_item(n, (size_t)i);
    return i ? NULL : n;
}

static const char *lora_file(const struct json_node *n)
{
    const char *const file = json_tree_text(json_tree_member(n, "file"));
    return file && *file && !strchr(file, '/') ? file : NULL;
}

static status check_lora_keys(const struct verify_case *c, const struct json_node *n)
{
    static const char *const known[] = { "file", "key", "rank", "alpha", "scale" };

    for (const struct json_node *k = n->first; k; k = k->next) {
        int i = 0;
        while (i < COUNT_OF(known) && strcmp(known[i], k->name) != 0) i++;
        if (i == COUNT_OF(known))
            return fail(ST_FORMAT, "%s/case.json: lora.%s: unknown key", c->dir, k->name);
    }
    return ST_OK;
}

static status read_lora(const struct verify_case *c, const struct json_node *n,
                        struct weight_adapter *out)
{
    const struct json_node *const rank = json_tree_member(n, "rank");
    const struct json_node *const alpha = json_tree_member(n, "alpha");
    const struct json_node *const scale = json_tree_member(n, "scale");
    const char *const file = lora_file(n);

    if (!file ||
        (rank &&
         !(json_tree_is(rank, NODE_WHOLE) && rank->whole > 0 && rank->whole <= INT32_MAX)) ||
        (alpha && !json_tree_is_number(alpha)) || (scale && !json_tree_is_number(scale)))
        return fail(ST_FORMAT, "%s/case.json: lora: a file in model/ and numbers are expected",
                    c->dir);
    TRY(check_lora_keys(c, n));
    *out = (struct weight_adapter){ .path = verify_model(c, file),
                                    .outer_key = json_tree_text(json_tree_member(n, "key")),
                                    .rank = rank ? (int)rank->whole : 0,
                                    .alpha = alpha ? alpha->number : 0,
                                    .scale = scale ? scale->number : 1 };
    return out->path ? ST_OK : fail(ST_NOMEM, "%s: no memory for a name", c->dir);
}

status verify_loras_read(const struct verify_case *c, struct verify_loras *out)
{
    const struct json_node *n;

    *out = (struct verify_loras){ 0 };
    while ((n = lora_at(c, out->count))) {
        if (out->count == VERIFY_LORAS)
            return fail(ST_FORMAT, "%s/case.json: lora: at most %d are expected", c->dir,
                        VERIFY_LORAS);
        TRY(read_lora(c, n, &out->at[out->count++]));
    }
    return ST_OK;
}

void verify_loras_free(struct verify_loras *l)
{
    for (int i = 0; i < l->count; i++) free((char *)(uintptr_t)l->at[i].path);
    *l = (struct verify_loras){ 0 };
}

bool verify_is_lora(const struct verify_case *c, const char *name)
{
    const struct json_node *n;

    for (int i = 0; (n = lora_at(c, i)); i++)
        if (lora_file(n) && !strcmp(lora_file(n), name)) return true;
    return false;
}
