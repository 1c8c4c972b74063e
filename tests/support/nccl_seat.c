#include "tests/support/nccl_seat.h"

#include "kernels/cuda/cuda_dev.h"
#include "tests/support/nccl_rig.h"

status nccl_threads(int size, comm_main main, void *arg)
{
    struct comm *group[RIG_CARDS] = { NULL };

    TRY(comm_thread_open(group, size, 30));
    error_clear();
    status const st = comm_thread_run(group, size, main, arg);
    for (int r = 0; r < size; r++) comm_close(&group[r]);
    return st;
}

static status sit_down(struct nccl_seat *s, struct comm *c)
{
    *s = (struct nccl_seat){ .memory.device = c->rank };
    TRY(comm_nccl_open(&s->c, c));
    TRY(cuda_dev_select(s->memory.device));
    TRY(cuda_stream_open(&s->memory.stream, false));
    TRY(cuda_dev_alloc(NCCL_SEAT_BYTES, &s->card));
    return comm_attach(s->c, &s->memory);
}

static status get_up(struct nccl_seat *s, status st)
{
    struct error const why = *error_last();

    if (st != ST_OK) comm_abort(s->c);
    comm_nccl_unwrap(&s->c);
    cuda_dev_free(s->card);
    cuda_stream_close(&s->memory.stream);
    if (st != ST_OK) error_adopt(&why);
    return st;
}

struct sitting {
    const int *node;
    nccl_seat_main main;
};

static status take_seat(struct comm *c, void *arg)
{
    const struct sitting *const sitting = arg;
    struct nccl_seat s;

    if (sitting->node) c->node = sitting->node;
    status st = sit_down(&s, c);
    if (st == ST_OK) st = sitting->main(&s);
    return get_up(&s, st);
}

status nccl_sit(int size, const int *node, nccl_seat_main main)
{
    struct sitting sitting = { node, main };
    return nccl_threads(size, take_seat, &sitting);
}
