/* nccl_ranks.c - each rank gets a stand-in's card, a stream and memory there before main runs, and
 * gives them back after a failure too: so what a sanitizer finds lost is comm_nccl's. */
#include "tests/support/nccl_ranks.h"

#include "kernels/cuda/cuda_dev.h"
#include "tests/support/nccl_harness.h"

status nccl_threads(int size, comm_main main, void *arg)
{
    struct comm *group[HARNESS_CARDS] = { NULL };

    TRY(comm_thread_open(group, size, 30));
    error_clear();
    status const st = comm_thread_run(group, size, main, arg);
    for (int r = 0; r < size; r++) comm_close(&group[r]);
    return st;
}

static status open_rank(struct nccl_rank *s, struct comm *c)
{
    *s = (struct nccl_rank){ .memory.device = c->rank };
    TRY(comm_nccl_open(&s->c, c));
    TRY(cuda_dev_select(s->memory.device));
    TRY(cuda_stream_open(&s->memory.stream, false));
    TRY(cuda_dev_alloc(NCCL_RANK_BYTES, &s->card));
    return comm_attach(s->c, &s->memory);
}

static status close_rank(struct nccl_rank *s, status st)
{
    struct error const why = *error_last();

    if (st != ST_OK) comm_abort(s->c);
    comm_nccl_unwrap(&s->c);
    cuda_dev_free(s->card);
    cuda_stream_close(&s->memory.stream);
    if (st != ST_OK) error_adopt(&why);
    return st;
}

struct rank_run {
    const int *node;
    nccl_rank_main main;
};

static status run_rank(struct comm *c, void *arg)
{
    const struct rank_run *const run = arg;
    struct nccl_rank s;

    if (run->node) c->node = run->node;
    status st = open_rank(&s, c);
    if (st == ST_OK) st = run->main(&s);
    return close_rank(&s, st);
}

status nccl_run_ranks(int size, const int *node, nccl_rank_main main)
{
    struct rank_run run = { node, main };
    return nccl_threads(size, run_rank, &run);
}
