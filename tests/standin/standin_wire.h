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

struct standin_group {
    struct standin_group *next;
    struct CUstream_st *stream;
    struct CUevent_st *ready; /* what was on the stream before has run */
    int count;
    struct standin_part part[];
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
};

void *standin_wire(void *comm); /* the thread */

/* With the lock. The first failure stays. */
void standin_state(struct ncclComm *c, ncclResult_t state, const char *why);

#endif /* STANDIN_WIRE_H */
