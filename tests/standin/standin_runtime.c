/*
 * standin_runtime.c - the calls of the CUDA runtime that the program makes, on the host.
 *
 * Device memory is handed out under another address, its true one with DEVICE_TAG and the
 * number of the device in the upper bits, which no pointer of the host has.
 */
#include "tests/standin/standin.h"

#include <cuda_runtime_api.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TAG_SHIFT = 48, DEVICE_TAG = 0x5d00, MOST_DEVICES = 64, ALIGN = 256 };

static _Thread_local int device;         /* of this thread */
static _Thread_local cudaError_t last;   /* what this thread was last told */
static atomic_size_t used[MOST_DEVICES]; /* bytes handed out */

void standin_stop(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "stand-in: ");
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\n");
    abort();
}

static atomic_long counts[STANDIN_EVENTS];

long standin_count(enum standin_event what) { return atomic_load(&counts[what]); }
void standin_counted(enum standin_event what) { atomic_fetch_add(&counts[what], 1); }

static cudaError_t note_error(cudaError_t e)
{
    if (e != cudaSuccess) last = e;
    return e;
}

/* ---- addresses ------------------------------------------------------------ */

static bool is_tagged(uint64_t word) { return word >> (TAG_SHIFT + 8) == DEVICE_TAG >> 8; }

static int device_of(uint64_t word) { return (int)(word >> TAG_SHIFT & 0xff); }

bool standin_is_device(const void *p) { return is_tagged((uintptr_t)p); }

int standin_device(void) { return device; }

void *standin_at(const void *p)
{
    uint64_t const word = (uintptr_t)p, untagged = ((uint64_t)1 << TAG_SHIFT) - 1;
    return (void *)(uintptr_t)(is_tagged(word) ? word & untagged : word);
}

void standin_arguments(void *args, size_t bytes)
{
    unsigned char *const at = args;

    for (size_t i = 0; i + sizeof(uint64_t) <= bytes; i += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, at + i, sizeof word);
        if (!is_tagged(word)) continue;
        if (device_of(word) != device)
            standin_stop("a kernel on device %d is given memory of device %d", device,
                         device_of(word));
        void *const true_place = standin_at((void *)(uintptr_t)word);
        memcpy(at + i, &true_place, sizeof true_place);
    }
}

/* ---- devices -------------------------------------------------------------- */

cudaError_t cudaGetDeviceCount(int *count)
{
    const char *const text = getenv("STANDIN_DEVICES");
    long const n = text ? strtol(text, NULL, 10) : 1;

    *count = (int)(n < 0 ? 0 : n > MOST_DEVICES ? MOST_DEVICES : n);
    return note_error(*count ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int number)
{
    int count;

    if (cudaGetDeviceCount(&count) != cudaSuccess) return last;
    if (number < 0 || number >= count) return note_error(cudaErrorInvalidDevice);
    device = number;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *number)
{
    *number = device;
    return cudaSuccess;
}

static size_t all_memory(void)
{
    return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGE_SIZE);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int number)
{
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "stand-in %d on the host (no CUDA device)", number);
    p->major = 9;
    p->multiProcessorCount = 1;
    p->totalGlobalMem = all_memory();
    p->sharedMemPerBlockOptin = 227 << 10;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr which, int number)
{
    (void)number;
    *value = which == cudaDevAttrMultiProcessorCount            ? 1
             : which == cudaDevAttrComputeCapabilityMajor       ? 9
             : which == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 227 << 10
                                                                : 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
    *least = 0;
    *greatest = -1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *place, int len, int number)
{
    snprintf(place, (size_t)len, "0000:%02x:00.0", number);
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = 0;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void) { return cudaSuccess; }

cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    *all = all_memory();
    *left = *all - used[device];
    return cudaSuccess;
}

/* ---- errors --------------------------------------------------------------- */

cudaError_t cudaGetLastError(void)
{
    cudaError_t const e = last;
    last = cudaSuccess;
    return e;
}

cudaError_t cudaPeekAtLastError(void) { return last; }

const char *cudaGetErrorString(cudaError_t e)
{
    switch (e) {
    case cudaSuccess: return "no error";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected (stand-in)";
    case cudaErrorMemoryAllocation: return "out of memory (stand-in)";
    case cudaErrorInvalidDevice: return "invalid device ordinal (stand-in)";
    default: return "refused by the stand-in";
    }
}

const char *cudaGetErrorName(cudaError_t e)
{
    switch (e) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorNoDevice: return "cudaErrorNoDevice";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    default: return "another of the stand-in's";
    }
}

/* ---- memory --------------------------------------------------------------- */

cudaError_t cudaMalloc(void **at, size_t bytes)
{
    if (bytes > all_memory() - used[device]) return note_error(cudaErrorMemoryAllocation);
    void *const host = aligned_alloc(ALIGN, (bytes + ALIGN - 1) / ALIGN * ALIGN);

    if (!host) return note_error(cudaErrorMemoryAllocation);
    standin_counted(STANDIN_ALLOCATED);
    memset(host, 0xff, malloc_usable_size(host));
    used[device] += malloc_usable_size(host);
    *at = (void *)((uintptr_t)host | (uintptr_t)(DEVICE_TAG | device) << TAG_SHIFT);
    return cudaSuccess;
}

cudaError_t cudaFree(void *at)
{
    if (!at) return cudaSuccess;
    if (!standin_is_device(at)) standin_stop("cudaFree of what is no device memory");
    used[device_of((uintptr_t)at)] -= malloc_usable_size(standin_at(at));
    free(standin_at(at));
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **at, size_t bytes, unsigned flags)
{
    (void)flags;
    *at = aligned_alloc(ALIGN, (bytes + ALIGN - 1) / ALIGN * ALIGN);
    return note_error(*at ? cudaSuccess : cudaErrorMemoryAllocation);
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
    if (!kind_fits(to, from, kind)) return note_error(cudaErrorInvalidValue);
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
    if (width > to_pitch || width > from_pitch) return note_error(cudaErrorInvalidPitchValue);
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
    if (!standin_is_device(to)) return note_error(cudaErrorInvalidValue);
    memset(standin_at(to), value, bytes);
    return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute which, int value)
{
    (void)kernel;
    (void)which;
    (void)value;
    return cudaSuccess;
}
