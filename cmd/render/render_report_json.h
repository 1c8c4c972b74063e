/*
 * render_report_json.h - `render --report FILE`: the table at the end as JSON, for programs.
 *
 * {"report": 1, "program", "commit", "cpu", "backend", "world", "batches": [a batch ...]};
 * of a batch: what was made, how long it took, and "ranks": role, ticks and seconds of
 * each. docs/architecture.md names the fields. The file is whole at any time: an empty
 * list first, then one batch more whenever one has ended, stopped or not.
 */
#ifndef RENDER_REPORT_JSON_H
#define RENDER_REPORT_JSON_H

#include "cmd/render/render_summary.h"

/* Writes a report without batches: ST_IO if it cannot be written. Whoever opens, closes. */
status report_file_open(struct report_file **out, const struct render_options *o,
                        int world) MUST_USE;
void report_file_close(struct report_file **f); /* NULL is fine; sets NULL */

/* run: rank 0's; all: [ranks]. */
status report_file_add(struct report_file *f, const struct batch *t, const struct render_run *run,
                       const struct render_account *all) MUST_USE;

#endif /* RENDER_REPORT_JSON_H */
