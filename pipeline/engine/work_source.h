/*
 * work_source.h - where an engine's clips come from: files on a command line, a queue, a test.
 *
 * The source lives on rank 0 alone. The engine asks it for clips while the line runs and reports
 * what becomes of each; it knows a clip by the source's own number, `ticket`. All calls come
 * from one thread at a time, the engine's dispatcher, never from two at once.
 *
 * Clips that can share a line - one model, precision, numerics and size, and files of formats that
 * the line has buffers for - are a group. The engine renders one group at a time: when the source
 * says that it has none left of it, the line drains, and the engine opens the next clip's group.
 */
#ifndef WORK_SOURCE_H
#define WORK_SOURCE_H

#include "jobs/spec/clip_spec.h"
#include "jobs/spec/model_spec.h"

/* A clip that the source hands over. Both borrowed until done or failed is called for it; those of
 * the clip that begins a group, until next is called with group NULL again. */
struct work_item {
    int64_t ticket;
    const struct clip_spec *clip;
    const struct model_spec *model;
};

enum work_next {
    WORK_CLIP,  /* *out is the next clip */
    WORK_LATER, /* none yet; ask again */
    WORK_OTHER, /* none of this group; of another there is one, now or later */
    WORK_END,   /* no more at all */
};

/* What a source knows of a group before it begins: how much there is to share out. */
struct work_outlook {
    int64_t clips;    /* of the group, known by now; at least 1 */
    int64_t blocks;   /* of these clips */
    int64_t texts;    /* different prompts among them */
    int64_t mixes;    /* blocks whose prompt is a blend */
    int64_t starts;   /* clips that begin with given blocks: a line is opened for such, or not */
    int64_t recaches; /* clips with a recache: likewise */
    int64_t tokens;   /* of all these texts at most: texts * the encoder's length, or counted */
    unsigned
        formats; /* pixel formats of their files: a set of enum pix. Buffers are made for these:
                         a clip that needs more is of another group, and fails in this one */
    bool more;   /* others may come while the line runs */
};

/* Add a clip: all but texts, tokens and more, which depend on what else there is. */
void work_outlook_add(struct work_outlook *o, const struct clip_spec *c);

struct work_source_ops {
    /* group NULL: the first clip of any group. Else one that may share a line with `group`, the
     * item that began it. Waits wait_s seconds at most before it says WORK_LATER. A failure
     * ends the engine's run. */
    status (*next)(void *arg, const struct work_item *group, double wait_s, struct work_item *out,
                   enum work_next *what);

    /* Of the group that `first` begins; called before its line opens. */
    status (*outlook)(void *arg, const struct work_item *first, struct work_outlook *out);

    /* The clip's first block has entered a line. Optional. */
    void (*begun)(void *arg, int64_t ticket);

    /* `blocks` of it are encoded by now. Optional. */
    void (*progress)(void *arg, int64_t ticket, int64_t blocks);

    /* Its folder is there, complete. */
    void (*done)(void *arg, int64_t ticket);

    /* It was not made, and others go on; `why` is for people. st: what kind of failure. */
    void (*failed)(void *arg, int64_t ticket, status st, const char *why);

    /* Optional: is a clip that was handed over wanted no more? One ticket a call, -1: none. The
     * engine lets go of it at the next tick, or before the next of its blocks is encoded, and says
     * failed(ST_CANCELED); one that is being put in its place by then is done. */
    int64_t (*withdrawn)(void *arg);
};

struct work_source {
    const struct work_source_ops *ops;
    void *arg;
};

/* Can two clips share a line? */
bool work_same_group(const struct work_item *a, const struct work_item *b);

#endif /* WORK_SOURCE_H */
