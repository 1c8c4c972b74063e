/* file_kind.h - what a file seems to be, for the message when it is not what was wanted. */
#ifndef FILE_KIND_H
#define FILE_KIND_H

#include "base/base.h"

/* "a web page; the download failed or needs a login", by the first bytes of a file of `size`
 * bytes (0: "an empty file"). NULL: nothing that is known. Static text; reads at most 4 KiB. */
#define FILE_KIND_JSON "a JSON text"
const char *file_kind(const void *data, size_t size);

#endif /* FILE_KIND_H */
