/*
 * standin_runtime.c - the CUDA runtime's devices and errors, on the host, and what addresses of
 * device memory look like.
 *
 * Device memory is handed out (standin_memory.c) under another address, its true one with
 * DEVICE_TAG and the number of the device in the upper bits, which no pointer of the host has.
 */
#include "tests/standin/standin_runtime.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TAG_SHIFT = 48, DEVICE_TAG = 0x5d00 };

static _Thread_local int device;       /* of this thread */
static _Thread_local cudaError_t last; /* what this thread was last told */

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

cudaError_t standin_note_error(cudaError_t e)
{
    if (e != cudaSuccess) last = e;
    return e;
}

/* ---- addresses ------------------------------------------------------------ */

static bool is_tagged(uint64_t word) { return word >> (TAG_SHIFT + 8) == DEVICE_TAG >> 8; }

static int device_of(uint64_t word) { return (int)(word >> TAG_SHIFT & 0xff); }

int standin_device_of(const void *p) { return device_of((uintptr_t)p); }

void *standin_tagged(void *host)
{
    return (void *)((uintptr_t)host | (uintptr_t)(DEVICE_TAG | device) << TAG_SHIFT);
}

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

    *count = (int)(n < 0 ? 0 : n > STANDIN_DEVICES ? STANDIN_DEVICES : n);
    return standin_note_error(*count ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int number)
{
    int count;

    if (cudaGetDeviceCount(&count) != cudaSuccess) return last;
    if (number < 0 || number >= count) return standin_note_error(cudaErrorInvalidDevice);
    device = number;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *number)
{
    *number = device;
    return cudaSuccess;
}

size_t standin_memory(void)
{
    return (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGE_SIZE);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int number)
{
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "stand-in %d on the host (no CUDA device)", number);
    p->major = 9;
    p->multiProcessorCount = 1;
    p->totalGlobalMem = standin_memory();
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

/* ---- kernels -------------------------------------------------------------- */

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute which, int value)
{
    (void)kernel;
    (void)which;
    (void)value;
    return cudaSuccess;
}
