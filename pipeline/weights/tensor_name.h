/* tensor_name.h - tensor names, as files have them and as models ask for them. */
#ifndef TENSOR_NAME_H
#define TENSOR_NAME_H

#include "base/base.h"

enum { NAME_MAX_BYTES = 255 };

/* A malloc'ed copy of a name from a file without what training tools wrap around
 * it: `model.` in front, `_fsdp_wrapped_module.` anywhere. ST_FORMAT if it is
 * empty, too long or holds a control character; `path` begins the message. */
status name_clean(char **out, const char *raw, size_t len, const char *path) MUST_USE;

/* Text from a file as it may be shown: cut, and `?` for control characters. */
enum { NAME_SHOWN = 81 };
const char *name_show(char buf[NAME_SHOWN], const char *raw, size_t len);

#endif /* TENSOR_NAME_H */
