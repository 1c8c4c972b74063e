/* policy_rows.c - a tensor's rows on the host, one after another: to be read, or to be changed. */
#include "pipeline/cache/cache_internal.h"

/* Rows that the room has place for at once. */
static int64_t count_room(const struct kv_call *c)
{
    return (tensor_count(&c->room.score) + tensor_count(&c->room.sums)) / c->state->dim;
}

/* The part's rows to the room, to `work` one by one. `first`: the index of the part's first. */
static status work_on_part(const struct kv_call *c, const struct tensor *part, int64_t first,
                           row_work *work, void *arg)
{
    const struct kern_backend *const b = c->ctx->backend;

    TRY(b->download(c->ctx, c->room.host, part));
    TRY(b->sync(c->ctx));
    for (int64_t i = 0; i < part->dim[0]; i++)
        work(c->state, arg, c->room.host + i * c->state->dim, first + i);
    return ST_OK;
}

status rows_read(const struct kv_call *c, const struct tensor *rows, row_work *work, void *arg)
{
    int64_t const all = rows->dim[0], most = count_room(c);

    for (int64_t at = 0; at < all; at += most) {
        struct tensor const part = tensor_slice(rows, at, all - at < most ? all - at : most);
        TRY(work_on_part(c, &part, at, work, arg));
    }
    return ST_OK;
}

status rows_change(const struct kv_call *c, const struct tensor *rows, row_work *work, void *arg)
{
    const struct kern_backend *const b = c->ctx->backend;
    int64_t const all = rows->dim[0], most = count_room(c);

    for (int64_t at = 0; at < all; at += most) {
        struct tensor const part = tensor_slice(rows, at, all - at < most ? all - at : most);
        TRY(work_on_part(c, &part, at, work, arg));
        TRY(b->upload(c->ctx, &part, c->room.host));
        TRY(b->sync(c->ctx));
    }
    return ST_OK;
}
