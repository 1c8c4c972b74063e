/* tokenizer_file.c - opens a model by its path; apart from tokenizer.cc, which does not read
 * base/file.h: its structs and functions of one name do not mix in C++. */
#include "base/file.h"
#include "base/file_kind.h"
#include "base/file_watch.h"
#include "pipeline/text/tokenizer.h"

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
    return st;
}
