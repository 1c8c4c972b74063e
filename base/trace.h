/*
 * trace.h - a timeline file that chrome://tracing and Perfetto open.
 *
 * A JSON array of events, one a line: processes are ranks, rows are stages or
 * threads. All ranks of one machine append to one file, whole lines per write, so
 * the file can be opened while they run and after they were killed: the format
 * lets the closing bracket be missing. It is there after a clean end.
 *
 * Any thread may call; every call is fine with trace NULL and does nothing then. A
 * write that fails is said once and ends the tracing, not the run.
 */
#ifndef TRACE_H
#define TRACE_H

#include "base/base.h"

struct trace;

/* Create the file anew and write its opening bracket. Before anyone opens it. */
status trace_create(const char *path) MUST_USE;

/* start: of the world, seconds since the epoch; what all times are counted from.
 * Whoever opens, closes. */
struct trace_config {
    const char *path;
    int rank;
    const char *name; /* of the rank, for people: "rank 2 on node 0" */
    double start;
};
status trace_open(struct trace **out, const struct trace_config *c) MUST_USE;

/* last: every other rank has closed; the bracket is closed too. NULL is fine; sets NULL. */
void trace_close(struct trace **t, bool last);

double trace_epoch(void);                /* now, seconds since the epoch */
double trace_now(const struct trace *t); /* seconds since start; 0 without a trace */

void trace_row(struct trace *t, int row, const char *name); /* name a row, once */

/* Something that took from `begin` to `end` (seconds). what, where: plain words; where
 * holds `"key": number` pairs for the event's details, or is "". */
struct trace_span {
    int row;
    const char *what, *where;
    double begin, end;
};
void trace_span(struct trace *t, const struct trace_span *s);

/* One end of an arrow, at the time `at`, within a span of the row. Both ends have
 * the same id. */
void trace_arrow(struct trace *t, int row, bool begins, uint64_t id, double at);

/* A value from now on. */
void trace_counter(struct trace *t, const char *what, int64_t value);

/* Write what is buffered. */
void trace_flush(struct trace *t);

#endif /* TRACE_H */
