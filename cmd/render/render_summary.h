/*
 * render_summary.h - what people see of a render: who does what, progress while it runs, and
 * where the time went. Rank 0's: the engine's events (engine.h).
 */
#ifndef RENDER_SUMMARY_H
#define RENDER_SUMMARY_H

#include "pipeline/engine/engine.h"

struct render_report;

/* all_clips: that there are to make, of all groups, and `report` a file for programs or NULL;
 * both may be set until the first group begins. Whoever opens, closes. */
struct render_summary;
status render_summary_open(struct render_summary **out, const struct engine_options *o) MUST_USE;
void render_summary_close(struct render_summary **r); /* NULL is fine; sets NULL */
void render_summary_set(struct render_summary *r, int64_t all_clips, struct render_report *report);

struct engine_events render_summary_events(struct render_summary *r);

#endif /* RENDER_SUMMARY_H */
