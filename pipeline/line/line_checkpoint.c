/*
 * line_checkpoint.c - the window of a clip, handed out between two ticks and taken in again.
 *
 * Behind the tick in which a block is finished, each of those that have entered behind it stands
 * in front of its next level; these latents are all that a clip's line has that does not follow
 * from its finished blocks: keys and values are what clean passes over these leave, and noise
 * is drawn by block and level. They go one by one to the rank that hands out finished blocks, so
 * whoever listens there gets them in order behind the block itself.
 *
 * A clip that goes on has its finished blocks pass the clean stage alone, in the context that they
 * had (line_schedule.c), and in the tick of the last one its window stands where it stood.
 */
#include "pipeline/line/line_internal.h"

status line_enter_window(struct line *l)
{
    const struct kern_backend *const b = l->c.ctx->backend;
    int64_t const count = tensor_count(&l->stage[l->first].in);
    int clip;

    if (!timeline_resumes(&l->timeline, l->tick, &clip)) return ST_OK;
    for (int i = l->first; i < l->end && i < l->levels; i++) {
        struct place const p = l->place[i];
        float *const host = l->host_noise + (i - l->first) * count;
        if (p.clip != clip || l->stage[i].level == 0) continue;
        TRY(l->io->window(l->io->arg, p.clip, p.block, host));
        TRY(b->upload(l->c.ctx, &l->stage[i].in, host));
    }
    return ST_OK;
}

/* [all] What is to leave this stage next, on the rank that hands out blocks. *at: there. */
static status bring_to_tail(struct line *l, int stage, struct tensor *at)
{
    int const tail = split_owner(&l->c.split, l->levels - 1),
              owner = split_owner(&l->c.split, stage);
    struct tensor *const here = &l->stage[stage].in;
    int const rank = l->c.comm->rank;

    *at = *here;
    if (owner == tail || (rank != tail && rank != owner)) return ST_OK;
    if (rank == tail) *at = l->stage[l->levels - 1].out; /* it has been handed on */
    l->xfers.count = 0;
    line_add_xfer(&l->xfers, rank == tail ? at : here, rank == tail ? owner : tail, rank == owner);
    TRY(line_post_xfers(l, -1));
    return line_wait_xfers(l, -1);
}

static status hand_out_window(struct line *l, const struct tensor *at, struct place p)
{
    TRY(l->c.ctx->backend->download(l->c.ctx, l->host[2], at));
    TRY(line_synchronize(l));
    return l->io->keep(l->io->arg, p.clip, p.block, l->host[2]);
}

status line_keep_window(struct line *l)
{
    struct place const done = l->place[l->levels - 1];
    bool const tail = l->c.comm->rank == split_owner(&l->c.split, l->levels - 1);
    struct tensor at;

    if (done.clip < 0 || !l->io->checkpoint) return ST_OK;
    if (!l->io->checkpoint(l->io->arg, done.clip, done.block + 1)) return ST_OK;
    for (int stage = l->levels - 1; stage > 0; stage--) {
        struct place const p = l->place[stage - 1];
        if (p.clip != done.clip) continue;
        TRY(bring_to_tail(l, stage, &at));
        if (tail) TRY(hand_out_window(l, &at, p));
    }
    return ST_OK;
}
