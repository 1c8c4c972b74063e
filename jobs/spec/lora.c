/*
 * lora.c - the LoRAs of a card or of a job: which files, and with what weight.
 *
 * A job's are added behind its card's. Their rank and alpha often stand in no file, so a card may
 * have to say them; whether they fit the model is seen when the files are opened.
 */
#include "base/strbuf.h"
#include "jobs/spec/spec_internal.h"
#include "jobs/yaml/yaml_value.h"

#include <stdlib.h>
#include <string.h>

struct lora_draft {
    const char *file, *outer_key;
    int rank;
    double alpha, scale;
};

/* `negative`: below zero is fine too. */
static status read_real(const struct tree_node *n, bool negative, double *to)
{
    const char *const text = n->kind == TREE_SCALAR ? n->text : "";
    bool const minus = negative && *text == '-';
    double v;

    if (!value_decimal(text + minus, &v) || !(v > 0 && v <= LORA_MOST))
        return tree_refuse(n, negative ? "a number from -65536 to 65536, not 0"
                                       : "a number above 0, at most 65536");
    *to = minus ? -v : v;
    return ST_OK;
}

static status read_alpha(const struct tree_node *n, void *to) { return read_real(n, false, to); }
static status read_scale(const struct tree_node *n, void *to) { return read_real(n, true, to); }

#define AT(member) offsetof(struct lora_draft, member)
static const struct field lora_fields[] = {
    { .name = "file", .type = FIELD_PATH, .to = AT(file), .max = 4096, .required = true },
    { .name = "outer_key", .type = FIELD_TEXT, .to = AT(outer_key), .max = 4096 },
    { .name = "rank", .type = FIELD_INT, .to = AT(rank), .min = 1, .max = LORA_MOST },
    { .name = "alpha", .type = FIELD_READ, .to = AT(alpha), .read = read_alpha },
    { .name = "scale", .type = FIELD_READ, .to = AT(scale), .read = read_scale },
};
#undef AT
const struct field_table lora_table = { "lora[]", lora_fields, COUNT_OF(lora_fields) };

static status read_one(const struct tree_node *n, struct model_lora *out)
{
    struct lora_draft d = { .scale = 1 };

    TRY(field_read(n, &lora_table, &d));
    char *const dir = path_dir(n->tree->name);
    *out = (struct model_lora){ .file = dir ? path_join(dir, d.file) : NULL,
                                .outer_key = d.outer_key ? strdup(d.outer_key) : NULL,
                                .rank = d.rank,
                                .alpha = d.alpha,
                                .scale = d.scale };
    free(dir);
    return out->file && (!d.outer_key || out->outer_key)
               ? ST_OK
               : fail(ST_NOMEM, "%s: no memory for a LoRA", n->tree->name);
}

status lora_read(const struct tree_node *list, struct model_lora **lora, int *count)
{
    if (!list) return ST_OK;
    if (list->kind != TREE_LIST || list->count > MODEL_LORAS)
        return tree_refuse(list, "a list of at most 16 LoRAs such as {file: style.safetensors}");
    *lora = calloc((size_t)list->count + 1, sizeof **lora);
    if (!*lora) return fail(ST_NOMEM, "%s: no memory for its LoRAs", list->tree->name);
    for (const struct tree_node *n = list->first; n; n = n->next)
        TRY(read_one(n, &(*lora)[(*count)++]));
    return ST_OK;
}

status lora_add(struct model_lora **lora, int *count, const struct model_lora *from, int n)
{
    struct model_lora *const more = realloc(*lora, (size_t)(*count + n + 1) * sizeof *more);

    if (!more) return fail(ST_NOMEM, "no memory for %d LoRAs", *count + n);
    *lora = more;
    for (int i = 0; i < n; i++) {
        struct model_lora *const to = &more[(*count)++];
        *to = from[i];
        to->file = strdup(from[i].file);
        to->outer_key = from[i].outer_key ? strdup(from[i].outer_key) : NULL;
        if (!to->file || (from[i].outer_key && !to->outer_key))
            return fail(ST_NOMEM, "no memory for the LoRA %s", from[i].file);
    }
    return ST_OK;
}
