/* cuda_dev.c - the CUDA runtime for the C files: devices, memory, streams, events. */
#include "kernels/cuda/cuda_dev.h"

#include <cublas_api.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <stdio.h>

#define SPELLED(n)                   #n
#define SPELL(n)                     SPELLED(n)
#define VERSION(major, minor, patch) SPELL(major) "." SPELL(minor) "." SPELL(patch)

const char cuda_versions[] =
    "cuBLASLt " VERSION(CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR, CUBLAS_VER_PATCH) ", cuDNN " VERSION(
        CUDNN_MAJOR, CUDNN_MINOR, CUDNN_PATCHLEVEL);

/* The error is taken from CUDA's record too, so that it does not show again elsewhere. */
static status cuda_refused(const char *call, cudaError_t e)
{
    (void)cudaGetLastError();
    return fail(e == cudaErrorMemoryAllocation ? ST_NOMEM : ST_DEVICE, "%s: %s (%s)", call,
                cudaGetErrorString(e), cudaGetErrorName(e));
}

#define CUDA(call)                                                                                 \
    do {                                                                                           \
        cudaError_t const cuda_e_ = (call);                                                        \
        if (cuda_e_ != cudaSuccess) return cuda_refused(#call, cuda_e_);                           \
    } while (0)

const char *cuda_dev_absent(void)
{
    int count = 0, driver = 0;
    cudaError_t const e = cudaGetDeviceCount(&count);

    if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
    (void)cudaGetLastError();
    if (e == cudaSuccess && count > 0) return NULL;
    if (e == cudaSuccess || e == cudaErrorNoDevice) return "no CUDA device";
    return driver ? cudaGetErrorString(e) : "no CUDA device: no driver";
}

int cuda_dev_count(void)
{
    int count = 0;
    cudaError_t const e = cudaGetDeviceCount(&count);

    (void)cudaGetLastError();
    return e == cudaSuccess ? count : 0;
}

static int device_attribute(int device, enum cudaDeviceAttr which)
{
    int value = 0;

    if (cudaDeviceGetAttribute(&value, which, device) == cudaSuccess) return value;
    (void)cudaGetLastError();
    return 0;
}

status cuda_dev_facts(int device, struct cuda_dev_facts *out)
{
    struct cudaDeviceProp p;

    *out = (struct cuda_dev_facts){ 0 };
    CUDA(cudaGetDeviceProperties(&p, device));
    CUDA(cudaDriverGetVersion(&out->driver));
    CUDA(cudaRuntimeGetVersion(&out->runtime));
    snprintf(out->name, sizeof out->name, "%s", p.name);
    out->major = p.major;
    out->minor = p.minor;
    out->processors = p.multiProcessorCount;
    out->memory = p.totalGlobalMem;
    out->clock_khz = device_attribute(device, cudaDevAttrClockRate);
    out->memory_clock_khz = device_attribute(device, cudaDevAttrMemoryClockRate);
    out->memory_bits = p.memoryBusWidth;
    return ST_OK;
}

status cuda_dev_select(int device)
{
    cudaError_t const e = cudaSetDevice(device);

    if (e == cudaSuccess) return ST_OK;
    if (e != cudaErrorInvalidDevice) return cuda_refused("cudaSetDevice", e);
    (void)cudaGetLastError();
    return fail(ST_ARG, "no CUDA device %d; there are %d", device, cuda_dev_count());
}

status cuda_dev_place(int device, char place[CUDA_DEV_PLACE])
{
    CUDA(cudaDeviceGetPCIBusId(place, CUDA_DEV_PLACE, device));
    return ST_OK;
}

status cuda_dev_memory_free(size_t *bytes)
{
    size_t all;

    CUDA(cudaMemGetInfo(bytes, &all));
    return ST_OK;
}

status cuda_dev_alloc(size_t bytes, void **at)
{
    *at = NULL;
    cudaError_t const e = cudaMalloc(at, bytes ? bytes : 1);
    if (e == cudaErrorMemoryAllocation) {
        (void)cudaGetLastError();
        return fail(ST_NOMEM, "no device memory for %zu bytes", bytes);
    }
    if (e != cudaSuccess) return cuda_refused("cudaMalloc", e);
    return ST_OK;
}

void cuda_dev_free(void *at) { (void)cudaFree(at); }

status cuda_host_alloc(size_t bytes, void **at)
{
    *at = NULL;
    CUDA(cudaHostAlloc(at, bytes ? bytes : 1, cudaHostAllocPortable));
    return ST_OK;
}

void cuda_host_free(void *at) { (void)cudaFreeHost(at); }

status cuda_dev_upload(void *to, const void *host, size_t bytes, void *stream)
{
    if (!bytes) return ST_OK;
    CUDA(cudaMemcpyAsync(to, host, bytes, cudaMemcpyHostToDevice, stream));
    return cuda_stream_sync(stream);
}

status cuda_dev_download(void *host, const void *from, size_t bytes, void *stream)
{
    if (!bytes) return ST_OK;
    CUDA(cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, stream));
    return cuda_stream_sync(stream);
}

status cuda_dev_copy(void *to, const void *from, size_t bytes, void *stream)
{
    if (!bytes) return ST_OK;
    CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream));
    return ST_OK;
}

status cuda_dev_copy_now(void *to, const void *from, size_t bytes)
{
    TRY(cuda_dev_copy(to, from, bytes, cudaStreamPerThread));
    return cuda_stream_sync(cudaStreamPerThread);
}

status cuda_dev_zero(void *to, size_t bytes, void *stream)
{
    if (!bytes) return ST_OK;
    CUDA(cudaMemsetAsync(to, 0, bytes, stream));
    return ST_OK;
}

status cuda_stream_open(void **out, bool first)
{
    int least = 0, most = 0;
    cudaStream_t stream;

    *out = NULL;
    CUDA(cudaDeviceGetStreamPriorityRange(&least, &most));
    CUDA(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, first ? most : least));
    *out = stream;
    return ST_OK;
}

void cuda_stream_close(void **stream)
{
    if (*stream) (void)cudaStreamDestroy(*stream);
    *stream = NULL;
}

status cuda_stream_sync(void *stream)
{
    CUDA(cudaStreamSynchronize(stream));
    return ST_OK;
}

status cuda_event_open(void **out)
{
    cudaEvent_t event;

    *out = NULL;
    CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    *out = event;
    return ST_OK;
}

void cuda_event_close(void **event)
{
    if (*event) (void)cudaEventDestroy(*event);
    *event = NULL;
}

status cuda_event_record(void *event, void *stream)
{
    CUDA(cudaEventRecord(event, stream));
    return ST_OK;
}

status cuda_event_wait(void *event, void *stream)
{
    CUDA(cudaStreamWaitEvent(stream, event, 0));
    return ST_OK;
}

status cuda_event_sync(void *event)
{
    CUDA(cudaEventSynchronize(event));
    return ST_OK;
}

status cuda_event_passed(void *event, bool *passed)
{
    cudaError_t const e = cudaEventQuery(event);

    *passed = e == cudaSuccess;
    if (e == cudaSuccess) return ST_OK;
    if (e != cudaErrorNotReady) return cuda_refused("cudaEventQuery", e);
    (void)cudaGetLastError();
    return ST_OK;
}
