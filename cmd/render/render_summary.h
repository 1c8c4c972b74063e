/*
 * render_summary.h - what people see of a batch: who does what, progress while it runs,
 * and where the time went. Rank 0 prints; the others send it notes and accounts.
 */
#ifndef RENDER_SUMMARY_H
#define RENDER_SUMMARY_H

#include "pipeline/engine/engine_batch.h"

/* What the batch is, and its role map. Rank 0. */
void render_report_roles(const struct batch *t);

/* Hears notes and shows progress, on the pulse's thread. Whoever opens, closes. */
struct render_report;
status render_report_open(struct render_report **out, const struct batch *t) MUST_USE;
void render_report_close(struct render_report **r); /* NULL is fine; sets NULL */

/* A batch that has ended, as one rank saw it. */
struct render_run {
    double load, seconds; /* until every rank was ready; from then to the end */
    bool stopped;         /* before all clips were made */
    struct render_account account;
};

/* [all] Rank 0 prints the table of everyone's accounts, and adds them to its report. */
status render_report_tell(const struct batch *t, const struct render_run *mine) MUST_USE;

#endif /* RENDER_SUMMARY_H */
