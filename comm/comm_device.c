/* comm_device.c - a card as transports see it: copies of bytes, and which card it is. */
#include "comm/comm_internal.h"
#include "kernels/cuda/cuda_dev.h"

status device_copy(const struct memory *m, void *to, const void *from, size_t bytes)
{
    TRY(cuda_dev_select(m->device));
    return cuda_dev_copy_now(to, from, bytes);
}

status device_place(int device, char place[DEVICE_PLACE])
{
    _Static_assert((int)DEVICE_PLACE == (int)CUDA_DEV_PLACE, "a card's place");
    return cuda_dev_place(device, place);
}
