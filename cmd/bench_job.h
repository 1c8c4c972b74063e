/*
 * bench_job.h - the speeds that cost.h asks for, measured for one job's card and size.
 *
 * A pass and a decode are timed in two copies at once where the cores allow it: in a
 * world they never run alone. Medians; the first runs are not counted. What counts is
 * the time that the thread had a processor, so that other work on the machine does not;
 * of the first prompt and of what goes from rank to rank, all the time it took.
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include "cmd/job_model.h"
#include "comm/comm.h"
#include "kernels/kern.h"

/* All but the link. threads: of a rank. */
status bench_job(struct cost_parts *out, const struct job_model *m,
                 const struct kern_backend *backend, int threads) MUST_USE;

/* [all] What goes from rank to rank: out->link, bytes per second into a rank from another
 * while it sends as many, in pieces of a layer's keys and values; latency, message, byte.
 * Between ranks 0 and 1, or if the world is one rank, between two threads. Known to
 * rank 0. */
status bench_link(struct cost_parts *out, const struct job_model *m, struct comm *world) MUST_USE;

#endif /* BENCH_JOB_H */
