#include "kernels/kern_dry_run.h"
#include "base/clock.h"
#include "base/log.h"
#include "kernels/kern_internal.h"

enum { TELL_EVERY = 3 /* seconds */, SHAPES = 2048 };

struct dry {
    struct kern_ctx base;      /* first member: a kern_ctx * is a dry * here */
    struct kern_backend table; /* of `of`, but that nothing is computed, moved or waited for */
    const struct kern_backend *of;
    size_t most;            /* bytes of scratch, so far */
    uint64_t shape[SHAPES]; /* met so far: kern_plan_key */
    int shapes;
    struct kern_ctx *into; /* in which they are prepared; NULL: they are not */
    int all;               /* shapes that are to come then */
    double told;           /* when it was last said how many are prepared */
};

/* Nothing is said where it takes no longer than that. */
static void tell(struct dry *d)
{
    double const now = clock_seconds();

    if (now - d->told < TELL_EVERY) return;
    log_info("kernels: %d of %d prepared", d->shapes, d->all);
    d->told = now;
}

/* Is it one of those that libraries make something for, met for the first time? Where there is
 * no room to remember, it counts as new. */
static bool is_new(struct dry *d, enum kern_op op, const void *args)
{
    uint64_t const key = kern_plan_key(op, args);

    for (int i = 0; i < d->shapes; i++)
        if (d->shape[i] == key) return false;
    if (key && d->shapes < SHAPES) d->shape[d->shapes++] = key;
    return key != 0;
}

static status note(struct kern_ctx *ctx, enum kern_op op, const void *args)
{
    struct dry *const d = (struct dry *)ctx;
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

/* What the backend composes of others is given as these. */
static struct dry dry_of(const struct kern_backend *of)
{
    struct dry d = { .table = *of, .of = of };

#define OP(op) d.table.ops.op = dry_##op;
    KERN_OPS(OP)
#undef OP
    if (of->ops.qkv == kern_compose_qkv) d.table.ops.qkv = kern_compose_qkv;
    if (of->ops.linear_norm == kern_compose_linear_norm)
        d.table.ops.linear_norm = kern_compose_linear_norm;
    d.table.alloc = alloc_none;
    d.table.upload = upload_none;
    d.table.download = download_none;
    d.table.sync = sync_none;
    return d;
}

static status go(struct dry *d, kern_dry_run_pass pass, void *arg)
{
    d->base = (struct kern_ctx){ .backend = &d->table, .threads = 1 };
    return pass(&d->base, arg);
}

status kern_dry_run_size(size_t *out, const struct kern_backend *backend, kern_dry_run_pass pass,
                         void *arg)
{
    *out = 0;
    if (!backend->scratch_bytes) return ST_OK;
    struct dry d = dry_of(backend);
    TRY(go(&d, pass, arg));
    *out = d.most;
    return ST_OK;
}

status kern_dry_run_prepare(struct kern_ctx *ctx, kern_dry_run_pass pass, void *arg)
{
    if (!ctx->backend->prepare) return ST_OK;
    struct dry d = dry_of(ctx->backend);
    TRY(go(&d, pass, arg));
    d.into = ctx;
    d.all = d.shapes;
    d.shapes = 0;
    d.told = clock_seconds();
    TRY(go(&d, pass, arg));
    return ctx->backend->sync(ctx);
}
