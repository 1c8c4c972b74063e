/*
 * cuda_dev.h - CUDA's devices, memory, streams and events, without its headers.
 *
 * A stream and an event are handles of the CUDA runtime, as `void *`. Work that is
 * given a stream is queued on it and runs later, in the order of the stream; all
 * else has happened on return. Every function that does not name a device works on
 * the calling thread's, see cuda_dev_select.
 *
 * What CUDA refuses is ST_DEVICE, with the call and CUDA's own words; no memory is
 * ST_NOMEM. A failure of queued work shows at a later call, at the latest in
 * cuda_stream_sync.
 */
#ifndef CUDA_DEV_H
#define CUDA_DEV_H

#include "base/base.h"

/* Why no card can be used here ("no CUDA device: no driver"); NULL: one can. */
const char *cuda_dev_absent(void);

/* 0 where cuda_dev_absent says why. */
int cuda_dev_count(void);

struct cuda_dev_facts {
    char name[256];       /* "NVIDIA H100 80GB HBM3" */
    int major, minor;     /* compute capability */
    int processors;       /* streaming multiprocessors */
    size_t memory;        /* bytes */
    int clock_khz;        /* highest; 0 where CUDA does not say */
    int memory_clock_khz; /* likewise */
    int memory_bits;      /* width of the memory bus */
    int driver, runtime;  /* 13000 is 13.0 */
};
status cuda_dev_facts(int device, struct cuda_dev_facts *out) MUST_USE;

/* The device of this thread from now on. Cheap where it is that already, so whoever
 * takes up a context calls it first; threads begin with device 0. ST_ARG if there is
 * no such device. */
status cuda_dev_select(int device) MUST_USE;

/* Which card it is, whatever its number is here: its place on the machine's bus. */
enum { CUDA_DEV_PLACE = 32 };
status cuda_dev_place(int device, char place[CUDA_DEV_PLACE]) MUST_USE;

/* Bytes not handed out yet on this thread's device. */
status cuda_dev_memory_free(size_t *bytes) MUST_USE;

/* Device memory, aligned to ARENA_ALIGN, not initialised. Whoever allocates, frees; both
 * wait for the device. NULL is fine. */
status cuda_dev_alloc(size_t bytes, void **at) MUST_USE;
void cuda_dev_free(void *at);

/* Host memory the device reaches by itself, for copies that run beside kernels. */
status cuda_host_alloc(size_t bytes, void **at) MUST_USE;
void cuda_host_free(void *at);

/* From and to host memory. Queued, and waited for: on return the host memory may be used again. */
status cuda_dev_upload(void *to, const void *host, size_t bytes, void *stream) MUST_USE;
status cuda_dev_download(void *host, const void *from, size_t bytes, void *stream) MUST_USE;

/* Queued. Either side may be device memory, also another device's, or memory of
 * cuda_host_alloc; it stays as it is until the stream has come past. */
status cuda_dev_copy(void *to, const void *from, size_t bytes, void *stream) MUST_USE;
status cuda_dev_copy_now(void *to, const void *from, size_t bytes) MUST_USE; /* on a stream of
                                       this thread's, which waits for no other; and waited for */
status cuda_dev_zero(void *to, size_t bytes, void *stream) MUST_USE;

/* A stream of this thread's device that waits for no other. `first`: its work goes before
 * that of the others. Closing lets queued work run to its end. NULL is fine. */
status cuda_stream_open(void **out, bool first) MUST_USE;
void cuda_stream_close(void **stream);
status cuda_stream_sync(void *stream) MUST_USE; /* all its work has run */

/* A point in a stream's work. An event never recorded has passed. */
status cuda_event_open(void **out) MUST_USE;
void cuda_event_close(void **event);
status cuda_event_record(void *event, void *stream) MUST_USE;
status cuda_event_wait(void *event,
                       void *stream) MUST_USE; /* the stream waits, the host does not */
status cuda_event_sync(void *event) MUST_USE;  /* the host waits */
status cuda_event_passed(void *event, bool *passed) MUST_USE;

/* The libraries this program was built with: "cuBLASLt 13.1.0, cuDNN 9.19.0". */
extern const char cuda_versions[];

#endif /* CUDA_DEV_H */
