/*
 * kern_dry_run.c - the backend's own table with every operation replaced by one that takes notes.
 *
 * What a pass needs (scratch, prepared kernels) could be worked out beside the pass, from the
 * model's shapes; then the two would drift apart with the first change of the model. So the dry
 * run is the pass: the same functions run over a context whose table is a copy of the backend's,
 * with operations that compute nothing and note their arguments. What the code asks for is what
 * is counted.
 *
 * What must hold: nothing in a pass may depend on computed values, since there are none, and
 * whatever the backend decides by shapes (packed_bytes, partial_dtype, joins) is still the
 * backend's, since the rest of the copied table is. Operations that the backend composes of
 * others stay composed, so that the parts are noted.
 */
#include "kernels/kern_dry_run.h"
#include "base/clock.h"
#include "base/log.h"
#include "kernels/kern_internal.h"

enum { SAY_EVERY = 3 /* seconds */, SHAPES = 2048 };

struct dry_run {
    struct kern_ctx base;      /* first member: a kern_ctx * is a dry_run * here */
    struct kern_backend table; /* of `of`, but that nothing is computed, moved or waited for */
    const struct kern_backend *of;
    size_t most;            /* bytes of scratch, so far */
    uint64_t shape[SHAPES]; /* met so far: kern_plan_key */
    int shapes;
    struct kern_ctx *into; /* in which they are prepared; NULL: they are not */
    int all;               /* shapes that are to come then */
    double said_at;        /* when it was last said how many are prepared */
};

/* Nothing is said of what takes no longer than SAY_EVERY. */
static void say_progress(struct dry_run *d)
{
    double const now = clock_seconds();

    if (now - d->said_at < SAY_EVERY) return;
    log_info("kernels: %d of %d prepared", d->shapes, d->all);
    d->said_at = now;
}

/* Is it one of those that libraries make something for, met for the first time? Where there is
 * no room to remember, it counts as new. */
static bool is_new(struct dry_run *d, enum kern_op op, const void *args)
{
    uint64_t const key = kern_plan_key(op, args);

    for (int i = 0; i < d->shapes; i++)
        if (d->shape[i] == key) return false;
    if (key && d->shapes < SHAPES) d->shape[d->shapes++] = key;
    return key != 0;
}

static status note_op(struct kern_ctx *ctx, enum kern_op op, const void *args)
{
    struct dry_run *const d = (struct dry_run *)ctx;
    size_t const bytes = d->of->scratch_bytes ? d->of->scratch_bytes(op, args) : 0;

    if (bytes > d->most) d->most = bytes;
    if (!is_new(d, op, args) || !d->into) return ST_OK;
    say_progress(d);
    return d->of->prepare(d->into, op, args);
}

#define OP(op)                                                                                     \
    static status dry_##op(struct kern_ctx *ctx, const struct kern_##op *args)                     \
    {                                                                                              \
        return note_op(ctx, KERN_OP_##op, args);                                                   \
    }
KERN_OPS(OP)
#undef OP

static status dry_alloc(struct kern_ctx *ctx, size_t bytes, void **at)
{
    (void)ctx;
    *at = NULL;
    return fail(ST_ARG, "dry run: %zu bytes asked of a context that has no memory", bytes);
}

static status dry_upload(struct kern_ctx *ctx, const struct tensor *to, const void *host)
{
    (void)ctx, (void)to, (void)host;
    return ST_OK;
}

static status dry_download(struct kern_ctx *ctx, void *host, const struct tensor *from)
{
    (void)ctx, (void)host, (void)from;
    return ST_OK;
}

static status dry_sync(struct kern_ctx *ctx)
{
    (void)ctx;
    return ST_OK;
}

/* What the backend composes of others is given as these. */
static struct dry_run make_dry_run(const struct kern_backend *of)
{
    struct dry_run d = { .table = *of, .of = of };

#define OP(op) d.table.ops.op = dry_##op;
    KERN_OPS(OP)
#undef OP
    if (of->ops.qkv == kern_compose_qkv) d.table.ops.qkv = kern_compose_qkv;
    if (of->ops.linear_norm == kern_compose_linear_norm)
        d.table.ops.linear_norm = kern_compose_linear_norm;
    d.table.alloc = dry_alloc;
    d.table.upload = dry_upload;
    d.table.download = dry_download;
    d.table.sync = dry_sync;
    return d;
}

static status run_pass(struct dry_run *d, kern_dry_run_pass pass, void *arg)
{
    d->base = (struct kern_ctx){ .backend = &d->table, .threads = 1 };
    return pass(&d->base, arg);
}

status kern_dry_run_size(size_t *out, const struct kern_backend *backend, kern_dry_run_pass pass,
                         void *arg)
{
    *out = 0;
    if (!backend->scratch_bytes) return ST_OK;
    struct dry_run d = make_dry_run(backend);
    TRY(run_pass(&d, pass, arg));
    *out = d.most;
    return ST_OK;
}

status kern_dry_run_prepare(struct kern_ctx *ctx, kern_dry_run_pass pass, void *arg)
{
    if (!ctx->backend->prepare) return ST_OK;
    struct dry_run d = make_dry_run(ctx->backend);
    TRY(run_pass(&d, pass, arg));
    d.into = ctx;
    d.all = d.shapes;
    d.shapes = 0;
    d.said_at = clock_seconds();
    TRY(run_pass(&d, pass, arg));
    return ctx->backend->sync(ctx);
}
