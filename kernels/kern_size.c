#include "kernels/kern_size.h"
#include "kernels/kern_compose.h"

static status note(struct kern_ctx *ctx, enum kern_op op, const void *args)
{
    struct kern_size *const s = (struct kern_size *)ctx;
    size_t const bytes = s->of->scratch_bytes ? s->of->scratch_bytes(op, args) : 0;

    if (bytes > s->most) s->most = bytes;
    return ST_OK;
}

#define OP(op)                                                                                     \
    static status size_##op(struct kern_ctx *ctx, const struct kern_##op *args)                    \
    {                                                                                              \
        return note(ctx, KERN_OP_##op, args);                                                      \
    }
KERN_OPS(OP)
#undef OP

static status alloc_none(struct kern_ctx *ctx, size_t bytes, void **at)
{
    (void)ctx;
    *at = NULL;
    return fail(ST_ARG, "%zu bytes of a context without memory", bytes);
}

static status upload_none(struct kern_ctx *ctx, const struct tensor *to, const void *host)
{
    (void)ctx, (void)to, (void)host;
    return ST_OK;
}

static status download_none(struct kern_ctx *ctx, void *host, const struct tensor *from)
{
    (void)ctx, (void)host, (void)from;
    return ST_OK;
}

static status sync_none(struct kern_ctx *ctx)
{
    (void)ctx;
    return ST_OK;
}

void kern_size_init(struct kern_size *out, const struct kern_backend *of)
{
    *out = (struct kern_size){ .table = *of, .of = of };
    out->base = (struct kern_ctx){ .backend = &out->table, .threads = 1 };
#define OP(op) out->table.ops.op = size_##op;
    KERN_OPS(OP)
#undef OP
    if (of->ops.qkv == kern_compose_qkv) out->table.ops.qkv = kern_compose_qkv;
    if (of->ops.linear_norm == kern_compose_linear_norm)
        out->table.ops.linear_norm = kern_compose_linear_norm;
    out->table.alloc = alloc_none;
    out->table.upload = upload_none;
    out->table.download = download_none;
    out->table.sync = sync_none;
}
