/*
 * bench_job.h - the speeds that cost.h asks for, measured for one job's card and size.
 *
 * In a world the passes run on all ranks at once, each with weights of its own, and all
 * send to all; else a pass and a decode are timed in two copies at once where the cores
 * allow it: a rank never runs alone. So the speeds are those of a world of so many ranks.
 * Medians; the first runs are not counted. What counts is the time that the thread had a
 * processor, so that other work on the machine does not; of the first prompt, of what
 * goes from rank to rank and of all that a card does, the time it took.
 */
#ifndef BENCH_JOB_H
#define BENCH_JOB_H

#include "cmd/backend.h"
#include "comm/comm.h"
#include "pipeline/engine/workload.h"

/* [all] All but what bench_link measures, known to rank 0. threads: of a rank. */
status bench_job(struct cost_parts *out, const struct workload *m, const struct backend *backend,
                 int threads, struct comm *world) MUST_USE;

/* [all] What goes from rank to rank: out->link, bytes per second into a rank from all
 * others while it sends as many, in pieces of a layer's keys and values; latency, message,
 * byte. Between two threads, if the world is one rank. Known to rank 0. */
status bench_link(struct cost_parts *out, const struct workload *m, struct comm *world) MUST_USE;

#endif /* BENCH_JOB_H */
