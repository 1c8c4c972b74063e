#include "kernels/kern_dry.h"
#include "base/clock.h"
#include "base/log.h"
#include "kernels/kern_compose.h"
#include "kernels/kern_key.h"

enum { TELL_EVERY = 3 /* seconds */ };

/* Nothing is said where it takes no longer than that. */
static void tell(struct kern_dry *d)
{
    double const now = clock_seconds();

    if (now - d->told < TELL_EVERY) return;
    log_info("kernels: %d of %d prepared", d->shapes, d->all);
    d->told = now;
}

/* Is it one of those that libraries make something for, met for the first time? Where there is
 * no room to remember, it counts as new. */
static bool is_new(struct kern_dry *d, enum kern_op op, const void *args)
{
    uint64_t const key = kern_key(op, args);

    for (int i = 0; i < d->shapes; i++)
        if (d->shape[i] == key) return false;
    if (key && d->shapes < KERN_DRY_SHAPES) d->shape[d->shapes++] = key;
    return key != 0;
}

static status note(struct kern_ctx *ctx, enum kern_op op, const void *args)
{
    struct kern_dry *const d = (struct kern_dry *)ctx;
    size_t const bytes = d->of->scratch_bytes ? d->of->scratch_bytes(op, args) : 0;

    if (bytes > d->most) d->most = bytes;
    if (!is_new(d, op, args) || !d->into) return ST_OK;
    tell(d);
    return d->of->prepare(d->into, op, args);
}

#define OP(op)                                                                                     \
    static status dry_##op(struct kern_ctx *ctx, const struct kern_##op *args)                     \
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

void kern_dry_init(struct kern_dry *out, const struct kern_backend *of)
{
    *out = (struct kern_dry){ .table = *of, .of = of };
    out->base = (struct kern_ctx){ .backend = &out->table, .threads = 1 };
#define OP(op) out->table.ops.op = dry_##op;
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

void kern_dry_prepare(struct kern_dry *d, struct kern_ctx *ctx)
{
    if (d->of->prepare) d->into = ctx;
    d->all = d->shapes;
    d->shapes = 0;
    d->told = clock_seconds();
}
