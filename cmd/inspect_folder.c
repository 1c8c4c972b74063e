/*
 * inspect_folder.c - a model's folder: what each of its parts is, and which it lacks.
 *
 * A folder of one checkpoint is none of these: its tensors are listed as the file's are.
 */
#include "base/file.h"
#include "base/json_build.h"
#include "base/json_tree.h"
#include "base/strbuf.h"
#include "cmd/cmd_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_BYTES = 1 << 20 };

/* What a card needs beside a config.json, which weights can do without. */
static const struct {
    const char *what, *missing, *key; /* key: of a card; NULL: inspect_model says it */
} needs[] = {
    { "transformer", "a transformer", NULL },
    { "text encoder", "a text encoder (UMT5)", NULL },
    { "tokenizer", "a tokenizer (spiece.model of google/umt5-xxl)", "text: {tokenizer: %s}" },
    { "VAE", "a VAE", NULL },
    { "config.json", NULL, "config: %s" },
};

static bool is_model(const struct model_folder *f)
{
    int models = 0;

    for (int i = 0; i < f->parts; i++)
        models += strcmp(f->part[i].what, "tokenizer") && strcmp(f->part[i].what, "config.json");
    return models > 1;
}

/* The pipeline that diffusers made the folder for; NULL: it has no such file. Owned. */
static char *pipeline_name(const char *dir)
{
    char *const path = path_join(dir, "model_index.json");
    struct json_node *root = NULL;
    char *text = NULL, *name = NULL;
    size_t len;

    if (path && path_exists(path) && file_read(path, INDEX_BYTES, &text, &len) == ST_OK &&
        json_tree_read(&root, text, len, path) == ST_OK) {
        const char *const is = json_tree_text(json_tree_member(root, "_class_name"));
        name = is ? str_format("%.80s", is) : NULL;
    }
    error_clear();
    json_tree_free(&root);
    free(text);
    free(path);
    return name;
}

/* One of the two that are no weights, or what its tensors say. */
static status look_at_part(struct inspect_model *out, const struct model_part *p)
{
    for (int i = 0; i < COUNT_OF(needs); i++) {
        if (!needs[i].key || strcmp(p->what, needs[i].what) != 0) continue;
        const char *const at = strstr(needs[i].key, "%s");
        *out = (struct inspect_model){ .what = needs[i].what };
        snprintf(out->card, sizeof out->card, "%.*s%s%s", (int)(at - needs[i].key), needs[i].key,
                 p->path, at + 2);
        return ST_OK;
    }
    return inspect_model(out, p->path, NULL);
}

static status print_parts(const struct model_folder *f, const char *pipeline)
{
    struct inspect_model m;

    printf("%s: %d parts%s%s\n", f->dir, f->parts, pipeline ? " of diffusers' " : "",
           pipeline ? pipeline : "");
    for (int i = 0; i < f->parts; i++) {
        TRY(look_at_part(&m, &f->part[i]));
        printf("\n%s\n", model_folder_inside(f, f->part[i].path));
        inspect_model_print(&m);
    }
    putchar('\n');
    for (int i = 0; i < COUNT_OF(needs); i++)
        if (needs[i].missing && !model_folder_find(f, needs[i].what, 0))
            printf("missing: %s\n", needs[i].missing);
    printf("card:    `rollmill card %s` writes one\n", f->dir);
    return ST_OK;
}

static status print_parts_json(const struct model_folder *f, const char *pipeline)
{
    json_t *const parts = json_array(), *const missing = json_array();
    struct inspect_model m;
    status st = ST_OK;

    for (int i = 0; i < f->parts && st == ST_OK; i++) {
        st = look_at_part(&m, &f->part[i]);
        if (st == ST_OK)
            json_array_append_new(parts,
                                  json_pack("{s:o, s:o}", "file", inspect_text(f->part[i].path),
                                            "model", inspect_model_json(&m)));
    }
    for (int i = 0; i < COUNT_OF(needs); i++)
        if (needs[i].missing && !model_folder_find(f, needs[i].what, 0))
            json_array_append_new(missing, json_string(needs[i].missing));
    json_t *const o = json_pack("{s:o, s:o, s:o, s:o}", "folder", inspect_text(f->dir), "pipeline",
                                pipeline ? inspect_text(pipeline) : json_null(), "parts", parts,
                                "missing", missing);
    if (!json_print(o, JSON_INDENT(1)) && st == ST_OK)
        st = fail(ST_NOMEM, "the parts of %s as JSON", f->dir);
    return st;
}

status inspect_folder(const char *path, bool json, bool *listed)
{
    struct model_folder f = { .dir = NULL };
    char *pipeline = NULL;
    status st = ST_OK;

    *listed = false;
    if (!path_is_folder(path)) return ST_OK;
    TRY_OUT(model_folder_read(&f, path));
    if (!is_model(&f)) goto out;
    *listed = true;
    pipeline = pipeline_name(f.dir);
    TRY_OUT(json ? print_parts_json(&f, pipeline) : print_parts(&f, pipeline));
out:
    free(pipeline);
    model_folder_free(&f);
    return st;
}
