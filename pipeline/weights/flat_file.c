/* flat_file.c - a mapped file's tensors in their order, and their end. */
#include "pipeline/weights/weights_internal.h"

#include <stdlib.h>

static int compare_entries(const void *a, const void *b)
{
    const struct flat_entry *const x = a, *const y = b;

    if (x->data != y->data) return (uintptr_t)x->data < (uintptr_t)y->data ? -1 : 1;
    return x->info.bytes < y->info.bytes ? -1 : x->info.bytes > y->info.bytes;
}

status flat_file_order(struct flat_file *f, const char *path)
{
    const unsigned char *at = f->map.data;

    if (f->count) qsort(f->entry, (size_t)f->count, sizeof *f->entry, compare_entries);
    for (int i = 0; i < f->count; i++) {
        const struct flat_entry *const e = &f->entry[i];
        if (e->data < at)
            return fail(ST_FORMAT, "%s: %s overlaps the tensor before it by %zu bytes", path,
                        e->name, (size_t)(at - e->data));
        at = e->data + e->info.bytes;
    }
    return ST_OK;
}

void flat_file_close(struct flat_file *f)
{
    for (int i = 0; i < f->count; i++) free(f->entry[i].name);
    free(f->entry);
    file_unmap(&f->map);
    *f = (struct flat_file){ 0 };
}
