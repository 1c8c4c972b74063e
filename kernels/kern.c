/* kern.c - the list of backends, and what is asked of one before it is opened. */
#include "kernels/kern.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/kern_internal.h"

#include <stdio.h>
#include <string.h>

const struct kern_backend *kern_backend_at(int i)
{
    int on_host = 0;

    while (kern_host_at(on_host)) on_host++;
    return i < on_host ? kern_host_at(i) : cuda_backend_at(i - on_host);
}

const struct kern_backend *kern_backend_find(const char *name)
{
    const struct kern_backend *b;

    for (int i = 0; (b = kern_backend_at(i)); i++)
        if (!strcmp(b->name, name)) return b;
    return NULL;
}

const struct kern_backend *kern_backend_of_cards(int level)
{
    const struct kern_backend *b;

    for (int i = 0; (b = kern_backend_at(i)); i++)
        if (b->on_cards && b->level == level) return b;
    return NULL;
}

const char *kern_backend_names(char text[KERN_NAMES])
{
    const struct kern_backend *b;
    int len = 0;

    for (int i = 0; (b = kern_backend_at(i)) && len < KERN_NAMES; i++)
        len += snprintf(text + len, (size_t)(KERN_NAMES - len), "%s%s", i ? "|" : "", b->name);
    return text;
}

status kern_backend_supports(const struct kern_backend *backend, enum dtype act)
{
    if (!backend->low_precision || act == DT_BF16) return ST_OK;
    return fail(ST_ARG,
                "--kernels %d computes in FP8 beside bf16, but f32 was asked for; allowed: "
                "--kernels 1 or 2, or --precision bf16",
                backend->level);
}

status kern_weight_place(struct kern_weight *out, const struct kern_backend *backend,
                         struct arena *a, enum kern_use use, enum dtype dtype, int ndim,
                         const int64_t *dim)
{
    out->use = use;
    TRY(tensor_make(&out->t, dtype, ndim, dim));
    return arena_take(a, backend->packed_bytes(out), &out->t.data);
}
