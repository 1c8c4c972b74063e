/* tokenizer_file.c - opens a model by its path; apart from tokenizer.cc, which does not read
 * base/file.h: its structs and functions of one name do not mix in C++. */
#include "base/file.h"
#include "base/file_kind.h"
#include "base/file_watch.h"
#include "pipeline/text/tokenizer.h"
#include "pipeline/weights/weights.h"

#include <string.h>

/* ComfyUI's text encoders carry the tokenizer among their tensors. */
static status open_in_weights(struct tokenizer **out, const char *path)
{
    static const char name[] = "spiece_model";
    struct weights *w;
    const void *data;
    status st = ST_OK;

    TRY(weights_open(&w, path, NULL));
    int const at = weights_find(w, name);
    if (at < 0 || strcmp(weights_at(w, at)->dtype, "U8") != 0)
        FAIL_OUT(
            ST_FORMAT,
            "%s: a safetensors file without a tokenizer (bytes `%s`); a SentencePiece model is "
            "expected",
            path, name);
    TRY_OUT(weights_fetch(w, at, &data));
    st = tokenizer_open_bytes(out, data, weights_at(w, at)->bytes, path);
out:
    weights_close(&w);
    return st;
}

status tokenizer_open(struct tokenizer **out, const char *path)
{
    struct file_map map = { 0 };

    *out = NULL;
    TRY(file_map(&map, path));
    file_watch_map(path, map.data, map.size);
    const char *const kind = file_kind(map.data, map.size);
    status const st = kind
                          ? fail(ST_FORMAT, "%s: %s; a SentencePiece model is expected", path, kind)
                          : tokenizer_open_bytes(out, map.data, map.size, path);
    file_unmap(&map);
    if (kind && !strcmp(kind, FILE_KIND_SAFETENSORS)) return open_in_weights(out, path);
    return st;
}
