/* comm_device_stub.c - in place of comm_device where there is no CUDA: nothing is attached. */
#include "comm/comm_internal.h"

status device_copy(const struct memory *m, void *to, const void *from, size_t bytes)
{
    (void)to;
    (void)from;
    return fail(ST_DEVICE, "%zu bytes on card %d, and this is built without CUDA", bytes,
                m->device);
}
