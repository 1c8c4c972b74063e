/*
 * attempts.h - what killed renders have left in the attempts folder of an output folder.
 *
 * An attempt whose process is provably no more (base/process_mark.h) is removed, and so is its
 * claim; and one that has been empty for a lease (clip_claim.h): its process was killed before it
 * said whose it is, or is so late that it will fail its clip. One that holds a finished clip, which
 * could not be published nor has been by another, stays; and so does one that another attempt can
 * go on from (pipeline/resume/snapshot.h), until its clip is there. One that a render goes on from,
 * and so has locked (snapshot_lock), stays in any case.
 */
#ifndef ATTEMPTS_H
#define ATTEMPTS_H

#include "base/base.h"

/* An attempt's folder goes, last of all its owner's mark: killed meanwhile, what is left of it can
 * be told for a dead one's. ST_IO. */
status attempt_remove(const char *own) MUST_USE;

struct attempts_found {
    int removed;
    int alive;   /* of a process that lives, or that one goes on from */
    int unknown; /* of another machine, or without an owner's mark: not removed unless asked for */
    int resumable; /* that another attempt can go on from */
    int finished;  /* whole clips that nobody has published */
};

/* Look through the attempts of `out`, all users'. unknown_too: those of which nothing can be said
 * are removed as well. ST_IO names what cannot be removed, and the rest is done. */
status attempts_sweep(const char *out, bool unknown_too, struct attempts_found *found) MUST_USE;

#endif /* ATTEMPTS_H */
