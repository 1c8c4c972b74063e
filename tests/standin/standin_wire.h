/* standin_wire.h - a communicator of the stand-in for NCCL: what its two files share. */
#ifndef STANDIN_WIRE_H
#define STANDIN_WIRE_H

#include "tests/standin/standin_nccl.h"

#include <nccl.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

struct standin_part {
    bool send;
    int peer;
    unsigned char *at; /* on the host */
    uint64_t bytes, sent;
    size_t done; /* of the length in front and the bytes */
};

/* What all ranks must call alike: a window, or a gathering. */
struct standin_call {
    uint64_t number;        /* of such calls of the communicator */
    uint64_t window, place; /* of what is gathered into: window + 1, or 0; where in it */
    uint64_t bytes;
};

/* Parts; or calls of all ranks, with their parts. */
struct standin_group {
    struct standin_group *next;
    struct CUstream_st *stream; /* NULL: on none */
    struct CUevent_st *ready;   /* what was on the stream before has run */
    struct standin_call *call;  /* [calls][size of the communicator] */
    int calls;
    bool told;            /* NCCL is at something until it is over */
    ncclWindow_t *window; /* of a window's */
    int count;
    struct standin_part part[];
};

enum { STANDIN_WINDOWS = 16 };
struct standin_window {
    unsigned char *at; /* NULL: there is none */
    size_t bytes;
};

struct ncclComm {
    struct standin_plan plan;
    int rank, size;
    char id[64];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    ncclResult_t state;
    double until; /* when what is being launched has been; 0: nothing is */
    char why[128];
    struct standin_group *first, **last;
    bool quit, finalize, lost;
    uint64_t rng; /* the thread's */
    int listener;
    int *peer;   /* [size] sockets, or -1 */
    bool *bye;   /* [size] */
    bool said;   /* good-bye */
    int buffers; /* registered */
    struct standin_window window[STANDIN_WINDOWS];
    uint64_t calls; /* of all ranks alike */
    bool engines;   /* have gathered before */
    bool zero;      /* CTAPolicy */
};

void *standin_wire(void *comm); /* the thread */

/* With the lock. The first failure stays. */
void standin_state(struct ncclComm *c, ncclResult_t state, const char *why);

#endif /* STANDIN_WIRE_H */
