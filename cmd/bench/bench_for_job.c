/* bench_for_job.c - `bench --for JOB`: all ranks measure, rank 0 prints. */
#include "cmd/bench/bench_file.h"
#include "cmd/bench/bench_internal.h"
#include "cmd/cmd.h"
#include "cmd/job_numerics.h"
#include "cmd/job_workload.h"
#include "comm/world.h"
#include "pipeline/engine/engine.h"

#include <stdio.h>
#include <string.h>

enum { DEADLINE_S = 86400 /* of ranks that wait */ };

static void print_parts(struct strbuf *out, const struct cost_parts *p)
{
    strbuf_addf(out, "%-16s %9.4g s, %.4g s alone\n", "noise pass", p->noise, p->noise_alone);
    strbuf_addf(out, "%-16s %9.4g s, %.4g s alone\n", "clean pass", p->clean, p->clean_alone);
    strbuf_addf(out, "%-16s %9.4g s\n", "decode a block", p->decode);
    strbuf_addf(out, "%-16s %9.4g s\n", "encode a block", p->encode);
    strbuf_addf(out, "%-16s %9.4g s\n", "first prompt", p->text);
    strbuf_addf(out, "%-16s %9.4g GB/s, %.4g us\n", "rank to rank", p->link * 1e-9,
                p->latency * 1e6);
    strbuf_addf(out, "%-16s %9.4g ns a byte, %.4g us a tensor, of processors\n", "", p->byte * 1e9,
                p->message * 1e6);
}

static status print_speeds(const struct bench_for *r, const struct kern_backend *backend,
                           const struct cost_parts *parts, const struct workload *m)
{
    struct strbuf out = { 0 };
    status st = ST_OK;

    if (r->json) TRY_OUT(bench_file_print(&out, parts, m, backend));
    else print_parts(&out, parts);
    if (out.failed) st = fail(ST_NOMEM, "no memory to print the speeds");
    else fputs(out.s, stdout);
out:
    strbuf_free(&out);
    return st;
}

/* [all] Everyone measures, rank 0 prints. */
static status measure_speeds(struct comm *world, void *arg)
{
    const struct bench_for *const r = arg;
    struct job_workload_options const asked = { .precision = strcmp(r->precision, "job") != 0
                                                                 ? r->precision
                                                                 : NULL,
                                                .given = job_numerics_given(r->request) };
    struct backend backend = *r->backend;
    char *job = r->job;
    struct job_workload m;
    struct cost_parts parts;
    status st = ST_OK;

    if (world->size > ROLES_RANKS)
        return fail(ST_ARG, "bench: %d ranks; 1 to %d are allowed", world->size, ROLES_RANKS);
    TRY_OUT(job_workload_open(&m, &job, 1, &asked));
    TRY_OUT(engine_apply_numerics(&backend.kern, &backend.mode, &m.first.numerics));
    TRY_OUT(kern_backend_supports(backend.kern, m.work.act));
    TRY_OUT(bench_job(&parts, &m.work, &backend, r->threads, world));
    TRY_OUT(bench_link(&parts, &m.work, world));
    if (world->rank == 0) TRY_OUT(print_speeds(r, backend.kern, &parts, &m.work));
out:
    job_workload_close(&m);
    return st;
}

status bench_for_job(const struct bench_for *r)
{
    struct world_options const world = { .ranks = 1,
                                         .deadline_s = DEADLINE_S,
                                         .devices = r->backend->devices,
                                         .report = cmd_report,
                                         .exit_code = cmd_exit_code };

    return world_run(&world, measure_speeds, (void *)(uintptr_t)r);
}
