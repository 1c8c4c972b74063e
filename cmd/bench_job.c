#include "cmd/bench_job.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "cmd/bench_parts.h"

#include <stdlib.h>

static int by_size(const void *a, const void *b)
{
    double const x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *s, int n)
{
    qsort(s, (size_t)n, sizeof *s, by_size);
    return s[n / 2];
}

/* One thing timed in several copies. */
struct copies {
    const struct bench_subject *subject;
    bench_part part;
    double s[2][2]; /* by copy */
};

static status run_copy(void *arg, int64_t task, int worker)
{
    struct copies *const c = arg;

    (void)worker;
    return c->part(c->subject, c->s[task]);
}

static status time_part(const struct bench_subject *b, const char *name, bench_part part,
                        double out[2])
{
    struct copies c = { .subject = b, .part = part };
    int const copies = b->threads * 2 <= pool_cpus() ? 2 : 1;
    struct pool *pool = NULL;
    status st = ST_OK;

    TRY(pool_open(&pool, copies));
    TRY_OUT(pool_run(pool, copies, run_copy, &c));
    for (int i = 0; i < 2; i++) out[i] = copies == 2 ? (c.s[0][i] + c.s[1][i]) / 2 : c.s[0][i];
    log_info("bench: %s %.4g s", name, out[0]);
out:
    pool_close(&pool);
    return st;
}

status bench_job(struct cost_parts *out, const struct job_model *m,
                 const struct kern_backend *backend, int threads)
{
    struct dit_config const dit = job_model_dit(m);
    struct bench_subject b = { .model = m, .backend = backend, .threads = threads };
    struct kern_ctx *ctx = NULL;
    struct dit *model = NULL;
    double noise[2], clean[2], decode[2];
    status st = ST_OK;

    *out = (struct cost_parts){ .threads = threads };
    TRY_OUT(bench_text(&b, &out->text));
    log_info("bench: text %.4g s", out->text);
    TRY_OUT(backend->open(&ctx, threads));
    TRY_OUT(dit_open(&model, &dit, ctx));
    b.dit = model;
    TRY_OUT(time_part(&b, "noise", bench_noise, noise));
    TRY_OUT(time_part(&b, "clean", bench_clean, clean));
    TRY_OUT(time_part(&b, "decode", bench_decode, decode));
    out->noise = noise[0], out->noise_alone = noise[1];
    out->clean = clean[0], out->clean_alone = clean[1];
    out->decode = decode[0];
    TRY_OUT(bench_encode(&b, &out->encode));
    log_info("bench: encode %.4g s", out->encode);
out:
    dit_close(&model);
    if (ctx) backend->close(&ctx);
    return st;
}
