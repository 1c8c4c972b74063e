/* crew.h - a line from open to close, on each of the ranks it is shared out to. */
#ifndef CREW_H
#define CREW_H

#include "pipeline/line/line.h"

struct crew_config {
    const struct dit *model;         /* borrowed */
    const struct schedule *schedule; /* borrowed */
    const struct kern_backend *backend;
    struct kv_policy policy;
    struct line_mode mode;
    int64_t latent_h, latent_w;
    int contexts;        /* see line_config */
    bool given;          /* see line_config */
    int threads, device; /* of this rank; see kern_config */
};

/* [all] comm's ranks, 1 .. W+1 of them, share out the stages: open a line, render the
 * entries, or what io decides if entry is NULL; close. io is called on the rank that needs it;
 * see line.h. */
status crew_run(const struct crew_config *c, struct comm *comm, const struct timeline_entry *entry,
                int entries, const struct line_io *io) MUST_USE;

#endif /* CREW_H */
