/* nccl_seat.h - ranks that are threads, over comm_nccl on stand-ins: each with a card. */
#ifndef NCCL_SEAT_H
#define NCCL_SEAT_H

#include "comm/comm.h"

/* main on every rank of a thread group, without a card yet. */
status nccl_threads(int size, comm_main main, void *arg) MUST_USE;

enum { NCCL_SEAT_BYTES = 1 << 20 };
struct nccl_seat {
    struct comm *c; /* the card is attached */
    struct memory memory;
    void *card; /* NCCL_SEAT_BYTES there */
};

/* main on every seat. node: [size] the machine of each; NULL: all on one. */
typedef status (*nccl_seat_main)(struct nccl_seat *s);
status nccl_sit(int size, const int *node, nccl_seat_main main) MUST_USE;

#endif /* NCCL_SEAT_H */
