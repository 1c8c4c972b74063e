/* tensor_name.c - names without the prefixes that training wrappers add. */
#include "pipeline/weights/weights_internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_control(char c) { return (unsigned char)c < 0x20 || c == 0x7f; }

const char *name_show(char buf[NAME_SHOWN], const char *raw, size_t len)
{
    size_t const n = len < NAME_SHOWN - 1 ? len : NAME_SHOWN - 1;

    for (size_t i = 0; i < n; i++) buf[i] = is_control(raw[i]) ? '?' : raw[i];
    buf[n] = '\0';
    return buf;
}

static bool has_prefix(const char *at, const char *end, const char *prefix)
{
    size_t const n = strlen(prefix);
    return (size_t)(end - at) > n && !memcmp(at, prefix, n);
}

status name_clean(char **out, const char *raw, size_t len, const char *path)
{
    static const char outer[] = "model.", wrapper[] = "_fsdp_wrapped_module.";
    const char *const end = raw + len;
    char shown[NAME_SHOWN];
    size_t n = 0;

    *out = NULL;
    if (!len || len > NAME_MAX_BYTES)
        return fail(ST_FORMAT, "%s: a tensor's name has %zu bytes; 1 to %d are allowed", path, len,
                    NAME_MAX_BYTES);
    for (const char *c = raw; c < end; c++)
        if (is_control(*c))
            return fail(ST_FORMAT, "%s: the name `%s` holds a control character", path,
                        name_show(shown, raw, len));

    char *const name = malloc(len + 1);
    if (!name) return fail(ST_NOMEM, "%s: no memory for a tensor's name", path);
    for (const char *at = raw; at < end;) {
        bool const start = at == raw || at[-1] == '.';
        if (start && has_prefix(at, end, wrapper)) at += strlen(wrapper);
        else if (!n && has_prefix(at, end, outer)) at += strlen(outer);
        else name[n++] = *at++;
    }
    name[n] = '\0';
    *out = name;
    return ST_OK;
}
