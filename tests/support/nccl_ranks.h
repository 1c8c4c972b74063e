/* nccl_ranks.h - ranks that are threads, over comm_nccl on stand-ins: each with a card. */
#ifndef NCCL_RANKS_H
#define NCCL_RANKS_H

#include "comm/comm.h"

/* main on every rank of a thread group, without a card yet. */
status nccl_threads(int size, comm_main main, void *arg) MUST_USE;

enum { NCCL_RANK_BYTES = 1 << 20 };
struct nccl_rank {
    struct comm *c; /* the card is attached */
    struct memory memory;
    void *card; /* NCCL_RANK_BYTES there */
};

/* main on every such rank. node: [size] the machine of each; NULL: all on one. */
typedef status (*nccl_rank_main)(struct nccl_rank *s);
status nccl_run_ranks(int size, const int *node, nccl_rank_main main) MUST_USE;

#endif /* NCCL_RANKS_H */
