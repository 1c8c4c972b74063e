#include "kernels/kern.h"
#include "kernels/kern_cpu.h"
#include "kernels/kern_ref.h"

#include <string.h>

static const struct kern_backend *const backends[] = { &kern_ref_backend, &kern_cpu_backend };

const struct kern_backend *kern_backend_at(int i)
{
    return i < COUNT_OF(backends) ? backends[i] : NULL;
}

const struct kern_backend *kern_backend_find(const char *name)
{
    for (int i = 0; i < COUNT_OF(backends); i++)
        if (!strcmp(backends[i]->name, name)) return backends[i];
    return NULL;
}

const char *kern_backend_names(void) { return "ref|cpu"; }

status kern_weight_place(struct kern_weight *out, const struct kern_backend *backend,
                         struct arena *a, enum kern_use use, enum dtype dtype, int ndim,
                         const int64_t *dim)
{
    out->use = use;
    TRY(tensor_make(&out->t, dtype, ndim, dim));
    return arena_take(a, backend->packed_bytes(out), &out->t.data);
}
