/* bench_job.c - the speeds of one job: passes on all ranks at once, the rest on rank 0. */
#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "cmd/bench/bench_internal.h"
#include "comm/world.h"
#include "pipeline/engine/workload.h"

#include <stdlib.h>

/* One thing timed in several copies. */
struct copies {
    const struct bench_subject *subject;
    bench_timing time;
    double s[2][2]; /* by copy */
};

static status run_copy(void *arg, int64_t task, int worker)
{
    struct copies *const c = arg;

    (void)worker;
    return c->time(c->subject, c->s[task]);
}

static status time_copies(const struct bench_subject *b, bench_timing time, int copies,
                          double out[2])
{
    struct copies c = { .subject = b, .time = time };
    struct pool *pool = NULL;
    status st = ST_OK;

    TRY(pool_open(&pool, copies));
    TRY_OUT(pool_run(pool, copies, run_copy, &c));
    for (int i = 0; i < 2; i++) out[i] = copies == 2 ? (c.s[0][i] + c.s[1][i]) / 2 : c.s[0][i];
out:
    pool_close(&pool);
    return st;
}

static int count_copies(const struct bench_subject *b)
{
    return !b->alone && b->threads * 2 <= pool_cpus() ? 2 : 1;
}

/* [all] A pass, on all ranks at once; known to rank 0. */
static status time_pass(const struct bench_subject *b, struct comm *world, const char *name,
                        bench_timing time, double out[2])
{
    TRY(comm_agree(world, ST_OK));
    TRY(time_copies(b, time, world->size > 1 ? 1 : count_copies(b), out));
    TRY(comm_reduce_sum(world, out, 2));
    out[0] /= world->size, out[1] /= world->size;
    if (world->rank == 0) log_info("bench: %s %.4g s", name, out[0]);
    return ST_OK;
}

static status time_passes(struct cost_parts *out, const struct bench_subject *b, struct comm *world)
{
    double noise[2], clean[2];

    TRY(time_pass(b, world, "noise", bench_noise, noise));
    TRY(time_pass(b, world, "clean", bench_clean, clean));
    out->noise = noise[0], out->noise_alone = noise[1];
    out->clean = clean[0], out->clean_alone = clean[1];
    return ST_OK;
}

/* What one rank of a line does beside it. */
static status time_pictures(struct cost_parts *out, const struct bench_subject *b)
{
    double decode[2];

    TRY(time_copies(b, bench_decode, count_copies(b), decode));
    out->decode = decode[0];
    log_info("bench: decode %.4g s", out->decode);
    TRY(bench_encode(b, &out->encode));
    log_info("bench: encode %.4g s", out->encode);
    return ST_OK;
}

/* The model takes it from there, whichever way the exchange goes. */
static struct line_mode exchange_by_blocks(struct line_mode m)
{
    m.exchange = LINE_BLOCKS;
    return m;
}

status bench_job(struct cost_parts *out, const struct workload *m, const struct backend *backend,
                 int threads, struct comm *world)
{
    struct dit_config const dit = workload_dit(m);
    struct bench_subject b = { .model = m,
                               .backend = backend->kern,
                               .mode = exchange_by_blocks(backend->mode),
                               .threads = threads,
                               .device = world_device(world, backend->devices),
                               .clock = backend->devices ? clock_seconds : clock_thread_seconds,
                               .alone = backend->devices > 0 };
    struct kern_ctx *ctx = NULL;
    struct dit *model = NULL;
    status st = ST_OK;

    *out = (struct cost_parts){ .threads = threads };
    if (world->rank == 0) {
        TRY_OUT(bench_text(&b, &out->text));
        log_info("bench: text %.4g s", out->text);
    }
    TRY_OUT(b.backend->open(&ctx, &(struct kern_config){ .threads = threads, .device = b.device }));
    TRY_OUT(dit_open(&model, &dit, ctx));
    b.dit = model;
    TRY_OUT(time_passes(out, &b, world));
    if (world->rank == 0) TRY_OUT(time_pictures(out, &b));
out:
    dit_close(&model);
    if (ctx) b.backend->close(&ctx);
    return st;
}
