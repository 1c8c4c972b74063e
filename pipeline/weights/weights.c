/* weights.c - one interface over safetensors and torch files. */
#include "pipeline/weights/weights.h"
#include "base/file_kind.h"
#include "base/strbuf.h"
#include "pipeline/weights/weights_internal.h"

#include <stdlib.h>
#include <string.h>

struct weights {
    char *path;
    struct weight_info *info; /* names are borrowed from the file's entries */
    const struct weight_info **by_name;
    int count;
    struct safetensors flat; /* this file is either this */
    void **aligned;          /* of flat's tensors that lie askew, a copy */
    struct torchfile torch;  /* or this */
};

static int compare_names(const void *a, const void *b)
{
    const struct weight_info *const x = *(const struct weight_info *const *)a;
    const struct weight_info *const y = *(const struct weight_info *const *)b;
    return strcmp(x->name, y->name);
}

static status index_names(struct weights *w)
{
    size_t const n = (size_t)w->count;

    w->info = calloc(n + 1, sizeof *w->info);
    w->by_name = calloc(n + 1, sizeof *w->by_name);
    w->aligned = calloc(n + 1, sizeof *w->aligned);
    if (!w->info || !w->by_name || !w->aligned)
        return fail(ST_NOMEM, "%s: no memory for %d tensors", w->path, w->count);
    for (int i = 0; i < w->count; i++) {
        w->info[i] = w->torch.zip ? w->torch.entry[i].info : w->flat.entry[i].info;
        w->by_name[i] = &w->info[i];
    }
    qsort(w->by_name, n, sizeof *w->by_name, compare_names);
    for (int i = 1; i < w->count; i++)
        if (!strcmp(w->by_name[i - 1]->name, w->by_name[i]->name))
            return fail(ST_FORMAT, "%s: two tensors are named %s", w->path, w->by_name[i]->name);
    return ST_OK;
}

static status open_form(struct weights *w, const char *outer_key)
{
    struct file_map map;

    TRY(file_map(&map, w->path));
    const char *const kind = file_kind(map.data, map.size);
    bool const zip = torchzip_looks(map.data, map.size);
    bool const flat = safetensors_looks(map.data, map.size);
    file_unmap(&map);

    if (zip) {
        TRY(torchfile_open(&w->torch, w->path, outer_key));
        w->count = w->torch.count;
        return ST_OK;
    }
    if (!flat)
        return fail(ST_FORMAT, "%s: %s", w->path,
                    kind ? kind : "neither a safetensors file nor a torch zip file");
    if (outer_key)
        return fail(ST_FORMAT, "%s: outer key `%s` asked for, but a safetensors file has none",
                    w->path, outer_key);
    TRY(safetensors_open(&w->flat, w->path));
    w->count = w->flat.count;
    return ST_OK;
}

status weights_open(struct weights **out, const char *path, const char *outer_key)
{
    struct weights *w = calloc(1, sizeof *w);
    status st = ST_OK;

    *out = NULL;
    if (!w || !(w->path = str_format("%s", path)))
        FAIL_OUT(ST_NOMEM, "%s: no memory for a weights file", path);
    TRY_OUT(open_form(w, outer_key));
    TRY_OUT(index_names(w));
    *out = w;
    w = NULL; /* handed over */
out:
    weights_close(&w);
    return st;
}

void weights_close(struct weights **pw)
{
    struct weights *const w = *pw;

    if (!w) return;
    for (int i = 0; w->aligned && i < w->count; i++) free(w->aligned[i]);
    free(w->aligned);
    free(w->info);
    free(w->by_name);
    safetensors_close(&w->flat);
    torchfile_close(&w->torch);
    free(w->path);
    free(w);
    *pw = NULL;
}

const char *weights_path(const struct weights *w) { return w->path; }
int weights_count(const struct weights *w) { return w->count; }
const struct weight_info *weights_at(const struct weights *w, int i) { return &w->info[i]; }

const char *weights_outer_key(const struct weights *w)
{
    return w->torch.outer_key ? w->torch.outer_key : "";
}

int weights_find(const struct weights *w, const char *name)
{
    struct weight_info const key = { .name = name };
    const struct weight_info *const at = &key;
    const struct weight_info **const hit =
        bsearch(&at, w->by_name, (size_t)w->count, sizeof *w->by_name, compare_names);

    return hit ? (int)(*hit - w->info) : -1;
}

/* A map is only as aligned as the file's header lets it be. */
static status fetch_flat(struct weights *w, int i, const void **data)
{
    const struct weight_info *const info = &w->info[i];
    const unsigned char *const at = w->flat.entry[i].data;
    size_t const bytes = info->bytes;

    *data = at;
    if (!info->element || (uintptr_t)at % info->element == 0) return ST_OK;
    if (!w->aligned[i]) {
        w->aligned[i] = malloc(bytes + 1);
        if (!w->aligned[i])
            return fail(ST_NOMEM, "%s: no memory for %zu bytes", w->info[i].name, bytes);
        memcpy(w->aligned[i], at, bytes);
    }
    *data = w->aligned[i];
    return ST_OK;
}

status weights_fetch(struct weights *w, int i, const void **data)
{
    if (w->torch.zip) return torchfile_fetch(&w->torch, i, data);
    return fetch_flat(w, i, data);
}
