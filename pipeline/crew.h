/* crew.h - the ranks of one line as threads of this process. */
#ifndef CREW_H
#define CREW_H

#include "pipeline/line.h"

struct crew_config {
    const struct dit *model;         /* shared by all ranks; borrowed */
    const struct schedule *schedule; /* borrowed */
    const struct kern_backend *backend;
    struct key_policy policy;
    int64_t latent_h, latent_w;
    int contexts;      /* see line_config */
    int ranks;         /* 1 .. W+1 */
    int threads;       /* of all ranks together; each gets its share, at least 1 */
    double deadline_s; /* longest wait of one rank for another, seconds */
};

/* Open a line on every rank, render the timeline, close. The first failure is
 * returned with its record. io is called from the ranks' threads; see line.h. */
status crew_run(const struct crew_config *c, const struct timeline *t,
                const struct line_io *io) MUST_USE;

/* Bytes all ranks together will take, beside the weights. */
status crew_measure(struct line_bytes *out, const struct crew_config *c) MUST_USE;

#endif /* CREW_H */
