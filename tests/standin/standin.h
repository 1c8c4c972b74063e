/*
 * standin.h - the stand-in for a CUDA device: what its files share.
 *
 * It lets the program's own .cu files and its use of the CUDA runtime run on the host,
 * where no card is: for tests alone, never in the product.
 *
 *   memory   host memory, filled with NaN. The addresses handed out are no addresses of
 *            the host: whoever reads them outside a kernel or a copy is stopped by the
 *            processor. standin_at gives the true one
 *   streams  run what they are given at once, but for what standin_nccl.c queues: its parts
 *            take their time, and what comes behind them on the stream waits for them
 *   kernels  compiled by the host compiler; the threads of a block are fibers that give
 *            way at barriers and shuffles. In which order they run changes with every
 *            launch, so that a missing barrier shows as other bits
 *   errors   a block that can go no further, memory of another device, a shape no card
 *            takes: a message, and the end of the process
 *
 * STANDIN_DEVICES is how many devices there seem to be (default 1; 0: none).
 */
#ifndef STANDIN_H
#define STANDIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a pointer of either kind truly points: device memory's place on the host, host
 * memory as it is. */
void *standin_at(const void *p);

/* Replace what is device memory among the pointers in `bytes` of arguments, in place.
 * Ends the process where one is of another device than the calling thread's. */
void standin_arguments(void *args, size_t bytes);

bool standin_is_device(const void *p);
int standin_device(void); /* the calling thread's */

/* One block of a launch: where its threads are, to be read by the kernel. */
struct standin_place {
    unsigned x, y, z;
};
struct standin_grid {
    struct standin_place grid, block;
    size_t shared; /* bytes of cuda_shared */
};

/* Before work that is given to a stream runs on the host: all that is queued there is over.
 * Ends the process where the stream is not of the calling thread's device. */
struct CUstream_st;
void standin_stream_run(struct CUstream_st *stream);

/* Something is queued on the stream that runs by itself; and is over. Any thread. */
void standin_stream_queue(struct CUstream_st *stream);
void standin_stream_over(struct CUstream_st *stream);

/* Run body(arg) as every thread of every block. */
void standin_run(const struct standin_grid *g, void (*body)(void *arg), void *arg);

/* How often in this process so far. */
enum standin_event {
    STANDIN_PLANNED,   /* cuDNN made a plan: it may have compiled a kernel */
    STANDIN_LOADED,    /* cuDNN made a plan from another one's text */
    STANDIN_CHOSEN,    /* cuBLASLt was asked for algorithms */
    STANDIN_ALLOCATED, /* device memory was handed out */
    STANDIN_EVENTS
};
long standin_count(enum standin_event what);
void standin_counted(enum standin_event what); /* it happens */

/* Say what is wrong and end the process. */
void standin_stop(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif /* STANDIN_H */
