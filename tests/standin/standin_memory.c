/* standin_memory.c - the CUDA runtime's memory, on the host: handed out, copied, set. What is
 * copied on a stream waits for what runs there by itself (standin_stream.c). */
#include "tests/standin/standin_runtime.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 256 };

static atomic_size_t used[STANDIN_DEVICES]; /* bytes handed out */

cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    *all = standin_memory();
    *left = *all - used[standin_device()];
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **at, size_t bytes)
{
    if (bytes > standin_memory() - used[standin_device()])
        return standin_note_error(cudaErrorMemoryAllocation);
    void *const host = aligned_alloc(ALIGN, (bytes + ALIGN - 1) / ALIGN * ALIGN);

    if (!host) return standin_note_error(cudaErrorMemoryAllocation);
    standin_counted(STANDIN_ALLOCATED);
    memset(host, 0xff, malloc_usable_size(host));
    used[standin_device()] += malloc_usable_size(host);
    *at = standin_tagged(host);
    return cudaSuccess;
}

cudaError_t cudaFree(void *at)
{
    if (!at) return cudaSuccess;
    if (!standin_is_device(at)) standin_stop("cudaFree of what is no device memory");
    used[standin_device_of(at)] -= malloc_usable_size(standin_at(at));
    free(standin_at(at));
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **at, size_t bytes, unsigned flags)
{
    (void)flags;
    *at = aligned_alloc(ALIGN, (bytes + ALIGN - 1) / ALIGN * ALIGN);
    return standin_note_error(*at ? cudaSuccess : cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void *at)
{
    free(at);
    return cudaSuccess;
}

static bool kind_fits(const void *to, const void *from, enum cudaMemcpyKind kind)
{
    switch (kind) {
    case cudaMemcpyHostToDevice: return standin_is_device(to) && !standin_is_device(from);
    case cudaMemcpyDeviceToHost: return !standin_is_device(to) && standin_is_device(from);
    case cudaMemcpyDeviceToDevice: return standin_is_device(to) && standin_is_device(from);
    case cudaMemcpyHostToHost: return !standin_is_device(to) && !standin_is_device(from);
    default: return true;
    }
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    standin_stream_run(stream);
    if (!kind_fits(to, from, kind)) return standin_note_error(cudaErrorInvalidValue);
    memcpy(standin_at(to), standin_at(from), bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    return cudaMemcpyAsync(to, from, bytes, kind, NULL);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch,
                              size_t width, size_t height, enum cudaMemcpyKind kind,
                              cudaStream_t stream)
{
    if (width > to_pitch || width > from_pitch)
        return standin_note_error(cudaErrorInvalidPitchValue);
    for (size_t i = 0; i < height; i++) {
        cudaError_t const e = cudaMemcpyAsync(
            (char *)to + i * to_pitch, (const char *)from + i * from_pitch, width, kind, stream);
        if (e != cudaSuccess) return e;
    }
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    standin_stream_run(stream);
    if (!standin_is_device(to)) return standin_note_error(cudaErrorInvalidValue);
    memset(standin_at(to), value, bytes);
    return cudaSuccess;
}
