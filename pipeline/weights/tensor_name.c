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

/* What training tools wrap around a module (FSDP, activation checkpointing, torch.compile), and
 * what holds the model: a trainer's field, DistributedDataParallel, ComfyUI's checkpoints. */
static const char *const wrappers[] = { "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.",
                                        "_orig_mod." };
static const char *const holders[] = { "model.", "module.", "diffusion_model." };

/* Bytes of that one of the prefixes with which a name goes on; 0: none. Something stays behind. */
static size_t prefix_len(const char *at, const char *end, const char *const *prefix, int count)
{
    for (int i = 0; i < count; i++) {
        size_t const n = strlen(prefix[i]);
        if ((size_t)(end - at) > n && !memcmp(at, prefix[i], n)) return n;
    }
    return 0;
}

status name_clean(char **out, const char *raw, size_t len, const char *path)
{
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
        size_t skip = 0;
        if (at == raw || at[-1] == '.') skip = prefix_len(at, end, wrappers, COUNT_OF(wrappers));
        if (!skip && !n) skip = prefix_len(at, end, holders, COUNT_OF(holders));
        if (skip) at += skip;
        else name[n++] = *at++;
    }
    name[n] = '\0';
    *out = name;
    return ST_OK;
}
