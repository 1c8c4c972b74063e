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

#include "pipeline/engine/engine.h"

struct render_report;

/* Writes a report without batches: ST_IO if it cannot be written. Whoever opens, closes. */
status render_report_open(struct render_report **out, const char *path,
                          const struct engine_options *o, int ranks) MUST_USE;
void render_report_close(struct render_report **f); /* NULL is fine; sets NULL */

/* all: [ranks]. */
status render_report_add(struct render_report *f, const struct engine_group *g,
                         const struct group_run *run, const struct rank_stats *all) MUST_USE;

#endif /* RENDER_REPORT_JSON_H */
