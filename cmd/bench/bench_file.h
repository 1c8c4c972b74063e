/*
 * bench_file.h - what `bench --for JOB --json` leaves and `plan --bench` takes: the
 * speeds of a machine, and what they were measured for.
 */
#ifndef BENCH_FILE_H
#define BENCH_FILE_H

#include "kernels/kern.h"
#include "pipeline/engine/workload.h"

/* One JSON object. ST_NOMEM. */
status bench_file_print(struct strbuf *out, const struct cost_parts *p, const struct workload *m,
                        const struct kern_backend *backend) MUST_USE;

/* ST_FORMAT if the file is not such an object, or was measured for something else than
 * m on this backend with so many threads (0: with any): both are named. What the file does
 * not hold is left as it was. */
status bench_file_read(struct cost_parts *out, const char *path, const struct workload *m,
                       const struct kern_backend *backend, int threads) MUST_USE;

#endif /* BENCH_FILE_H */
