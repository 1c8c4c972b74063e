/* kern_registry.c - the backends that compute on the processor, in a build that has both. */
#include "kernels/cpu/kern_cpu.h"
#include "kernels/kern_internal.h"
#include "kernels/ref/kern_ref.h"

const struct kern_backend *kern_host_at(int i)
{
    static const struct kern_backend *const backends[] = { &kern_ref_backend, &kern_cpu_backend };

    return i < COUNT_OF(backends) ? backends[i] : NULL;
}
