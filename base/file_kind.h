/* file_kind.h - what a file seems to be, for the message when it is not what was wanted. */
#ifndef FILE_KIND_H
#define FILE_KIND_H

#include "base/base.h"

/* Kinds that may be what is wanted. */
#define FILE_KIND_JSON        "a JSON text"
#define FILE_KIND_ZIP         "a zip file, as torch.save writes it"
#define FILE_KIND_SAFETENSORS "a safetensors file"
#define FILE_KIND_GGUF        "a GGUF file"
#define FILE_KIND_INDEX       "the index of a model in several files (shards)"

enum { FILE_KIND_BYTES = 4096 }; /* of a text, that are looked at */

/* "a web page; the download failed or needs a login", by the first bytes of a file of `size`
 * bytes (0: "an empty file"). NULL: nothing that is known. Static text; reads at most
 * FILE_KIND_BYTES. */
const char *file_kind(const void *data, size_t size);

#endif /* FILE_KIND_H */
