/*
 * clip_claim.h - who is at work on a clip: so that two renders of one folder do not make one clip
 * twice.
 *
 * A claim is a small file in the attempts folder, OUT/.attempts/NAME.claim, with its owner's mark.
 * A thread renews its date. A claim whose owner is provably gone (same machine, process no more) is
 * taken over at once, one of another machine once it has not been renewed for CLAIM_LEASE_S. It is
 * no lock for the clip's folder: that appears by one rename whoever makes it.
 *
 * Any thread may call.
 */
#ifndef CLIP_CLAIM_H
#define CLIP_CLAIM_H

#include "base/process_mark.h"

#include <time.h>

enum { CLAIM_LEASE_S = 300, CLAIM_RENEW_S = 30 };

/* The claims that this process holds. Whoever opens, closes; close gives all of them back. */
struct clip_claims;
status clip_claims_open(struct clip_claims **out) MUST_USE;
void clip_claims_close(struct clip_claims **c); /* NULL is fine; sets NULL */

/* *held: `dir`, OUT/NAME, is ours from now on, or was; else `by` has the owner in words. ST_IO if
 * the claim cannot be written. */
status clip_claims_take(struct clip_claims *c, const char *dir, bool *held,
                        char by[PROCESS_WORDS]) MUST_USE;

/* Is what was last touched at `date` older than a lease? By the clock of the disk's own machine,
 * which a file beside `path` tells; false where none can be made. */
bool clip_claim_is_over(const char *path, time_t date);

/* Remove the claim at `path` if its owner is gone or a killed process has left it blank; with
 * unknown_too also one whose owner nobody knows. It is judged and removed under its lock, so that
 * nobody takes it over meanwhile. ST_IO if it cannot be read or removed. */
status clip_claim_sweep(const char *path, bool unknown_too) MUST_USE;

/* It is made, or will not be. Fine if it is not held. */
void clip_claims_give_back(struct clip_claims *c, const char *dir);

#endif /* CLIP_CLAIM_H */
