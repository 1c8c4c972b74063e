#include "comm/comm_device.h"
#include "kernels/cuda/cuda_dev.h"

#include <cuda_runtime_api.h>

status device_copy(const struct memory *m, void *to, const void *from, size_t bytes)
{
    TRY(cuda_dev_select(m->device));
    TRY(cuda_dev_copy(to, from, bytes, cudaStreamPerThread));
    return cuda_stream_sync(cudaStreamPerThread);
}

status device_place(int device, char place[DEVICE_PLACE])
{
    cudaError_t const code = cudaDeviceGetPCIBusId(place, DEVICE_PLACE, device);

    if (code == cudaSuccess) return ST_OK;
    return fail(ST_DEVICE, "cudaDeviceGetPCIBusId: %s", cudaGetErrorString(code));
}
