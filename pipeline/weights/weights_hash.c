/* weights_hash.c - a hash that is the same for the same weights in either file form. */
#include "base/strbuf.h"
#include "pipeline/weights/weights.h"

#include <stdlib.h>
#include <string.h>

struct row {
    const struct weight_info *info;
    char hash[DIGEST_HEX];
};

static int compare_rows(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->info->name, ((const struct row *)b)->info->name);
}

status weights_hash(struct weights *w, char all[DIGEST_HEX], char (*each)[DIGEST_HEX])
{
    int const n = weights_count(w);
    struct row *const row = calloc((size_t)n + 1, sizeof *row);
    struct strbuf lines = { 0 };
    status st = ST_OK;
    const void *data;
    char shape[WEIGHT_SHAPE];

    if (!row) return fail(ST_NOMEM, "%s: no memory for its hashes", weights_path(w));
    for (int i = 0; i < n; i++) {
        row[i].info = weights_at(w, i);
        TRY_OUT(weights_fetch(w, i, &data));
        TRY_OUT(digest_bytes(data, row[i].info->bytes, row[i].hash));
        if (each) memcpy(each[i], row[i].hash, DIGEST_HEX);
    }
    qsort(row, (size_t)n, sizeof *row, compare_rows);
    for (int i = 0; i < n; i++)
        strbuf_addf(&lines, "%s %s %s %s\n", row[i].info->name, row[i].info->dtype,
                    weight_shape(row[i].info, shape), row[i].hash);
    if (lines.failed) FAIL_OUT(ST_NOMEM, "%s: no memory for its hashes", weights_path(w));
    TRY_OUT(digest_bytes(lines.s, lines.len, all));
out:
    strbuf_free(&lines);
    free(row);
    return st;
}
