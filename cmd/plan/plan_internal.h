/* plan_internal.h - what the files of `plan` share: one plan, made and ready to be printed. */
#ifndef PLAN_INTERNAL_H
#define PLAN_INTERNAL_H

#include "cmd/job_workload.h"
#include "pipeline/engine/workload_query.h"

#include <jansson.h>

struct plan_view {
    struct job_workload jobs;
    struct plan_bytes bytes;
    struct cost_model cost;
    const char *bench; /* file the speeds are from; NULL: estimated */
    struct plan_query query;
    struct planner chosen;
    struct plan line, replicas; /* side by side; 0 ranks per line: there is none */
    struct roles roles;         /* of chosen.best */
};

/* For people: the job, the role map, bytes per rank, line and replicas, the choice. */
void plan_print(struct strbuf *out, const struct plan_view *v);

/* The same as one JSON object. ST_NOMEM. */
status plan_json(struct strbuf *out, const struct plan_view *v) MUST_USE;

/* Parts of both: what goes over each link of the first line per tick; the array is the
 * caller's. */
void plan_print_links(struct strbuf *out, const struct plan_view *v);
json_t *plan_json_links(const struct plan_view *v);

/* Open for real what that rank would hold, touch it all, and compare with the prediction what the
 * process grew by; where cards compute, what of this machine's first card was handed out:
 * what others take of it meanwhile counts. ST_ARG unless 0 <= rank < ranks of the plan;
 * ST_DEVICE where the backend cannot compute here. */
status plan_try(struct strbuf *out, const struct plan_view *v, int rank) MUST_USE;

#endif /* PLAN_INTERNAL_H */
