#include "kernels/kern.h"
#include "kernels/kern_cpu.h"
#include "kernels/kern_cuda.h"
#include "kernels/kern_ref.h"

#include <string.h>

static const struct kern_backend *const on_host[] = { &kern_ref_backend, &kern_cpu_backend };

const struct kern_backend *kern_backend_at(int i)
{
    return i < COUNT_OF(on_host) ? on_host[i] : kern_cuda_at(i - COUNT_OF(on_host));
}

const struct kern_backend *kern_backend_find(const char *name)
{
    const struct kern_backend *b;

    for (int i = 0; (b = kern_backend_at(i)); i++)
        if (!strcmp(b->name, name)) return b;
    return NULL;
}

status kern_weight_place(struct kern_weight *out, const struct kern_backend *backend,
                         struct arena *a, enum kern_use use, enum dtype dtype, int ndim,
                         const int64_t *dim)
{
    out->use = use;
    TRY(tensor_make(&out->t, dtype, ndim, dim));
    return arena_take(a, backend->packed_bytes(out), &out->t.data);
}
