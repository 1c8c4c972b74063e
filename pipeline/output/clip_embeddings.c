/* clip_embeddings.c - the embeddings of a clip's prompts as a safetensors file, for whoever trains
 * on the clip: tensor prompt.N belongs to entry N of the schedule in clip.json. */
#include "kernels/pixels.h"
#include "pipeline/output/output_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 24 };

static status record_bytes(void *arg, const void *bytes, size_t len)
{
    return file_record_add(arg, bytes, len);
}

/* Name and shape of each; `name` is room for the names. */
static status list_items(const struct clip_embeddings *e, char (*name)[NAME],
                         struct tensor_file_item *item)
{
    for (int i = 0; i < e->texts; i++) {
        snprintf(name[i], NAME, "prompt.%d", i);
        item[i].name = name[i];
        TRY(tensor_make(&item[i].t, e->dtype, DIMS(e->text[i].tokens, e->dim)));
    }
    return ST_OK;
}

/* In the file's dtype. */
static status append_text(struct tensor_file *f, const struct clip_embeddings *e, int i)
{
    const struct clip_writer_text *const x = &e->text[i];
    int64_t const values = x->tokens * e->dim;
    size_t const bytes = (size_t)values * dtype_size(e->dtype);

    if (pixels_first_bad(x->rows, values) >= 0)
        return fail(ST_MISMATCH, "the embedding of prompt %d is not finite", i);
    void *const converted = malloc(bytes + 1);
    if (!converted) return fail(ST_NOMEM, "an embedding of %zu bytes", bytes);
    status st = tensor_convert(converted, e->dtype, x->rows, DT_F32, values);
    if (st == ST_OK) st = tensor_file_append(f, converted, bytes);
    free(converted);
    return st;
}

status embeddings_write(const struct clip_embeddings *e, const char *path,
                        struct sidecar_file *file)
{
    char(*const name)[NAME] = calloc((size_t)e->texts + 1, sizeof *name);
    struct tensor_file_item *const item = calloc((size_t)e->texts + 1, sizeof *item);
    struct file_record record = { 0 };
    struct tensor_file_witness const witness = { &record, record_bytes };
    struct tensor_file *f = NULL;
    status st = ST_OK;

    if (!name || !item) FAIL_OUT(ST_NOMEM, "%s: %d prompts", path, e->texts);
    TRY_OUT(list_items(e, name, item));
    TRY_OUT(file_record_open(&record, path));
    TRY_OUT(tensor_file_open(&f, path, item, e->texts, &witness));
    for (int i = 0; i < e->texts; i++) TRY_OUT(append_text(f, e, i));
    TRY_OUT(tensor_file_commit(f));
    file->bytes = record.size;
    st = file_record_check(&record, file->sha256);
out:
    tensor_file_close(&f);
    file_record_close(&record);
    free(item);
    free(name);
    return st;
}
