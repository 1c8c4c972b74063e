/*
 * render_summary.h - what people see of a batch: who does what, progress while it runs,
 * and where the time went. Rank 0 prints; the others send it notes and accounts.
 */
#ifndef RENDER_SUMMARY_H
#define RENDER_SUMMARY_H

#include "pipeline/engine/engine_batch.h"

/* What the batch is, and its role map. Rank 0. */
void render_summary_roles(const struct batch *t);

/* Hears notes and shows progress, on the pulse's thread. Whoever opens, closes. */
struct render_summary;
status render_summary_open(struct render_summary **out, const struct batch *t) MUST_USE;
void render_summary_close(struct render_summary **r); /* NULL is fine; sets NULL */

/* A batch that has ended, as one rank saw it. */
struct batch_run {
    double load, seconds; /* until every rank was ready; from then to the end */
    bool stopped;         /* before all clips were made */
    struct rank_stats account;
};

/* [all] Rank 0 prints the table of everyone's accounts, and adds them to its report. */
status render_summary_print(const struct batch *t, const struct batch_run *mine) MUST_USE;

#endif /* RENDER_SUMMARY_H */
