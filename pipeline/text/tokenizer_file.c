/* tokenizer_file.c - opens a model by its path; apart from tokenizer.cc, which does not read
 * base/file.h: its structs and functions of one name do not mix in C++. */
#include "base/file.h"
#include "pipeline/text/tokenizer.h"

status tokenizer_open(struct tokenizer **out, const char *path)
{
    struct file_map map = { 0 };

    *out = NULL;
    TRY(file_map(&map, path));
    status const st = tokenizer_open_bytes(out, map.data, map.size, path);
    file_unmap(&map);
    return st;
}
