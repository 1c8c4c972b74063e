/* given_latents.h - the latents that a clip begins with, from a file that nobody vouches for. */
#ifndef GIVEN_LATENTS_H
#define GIVEN_LATENTS_H

#include "base/base.h"

struct weights;

struct given_latents {
    struct weights *w;
    int at;         /* of its tensors */
    int64_t frames; /* at least 1 */
    int64_t count;  /* numbers of all frames */
};

/* The tensor `latents`, F32 or BF16 [frames, channels, h, w]. ST_FORMAT says what was found.
 * Whoever opens, closes; after a failure there is nothing to close. */
status given_latents_open(struct given_latents *out, const char *path, int channels, int64_t h,
                          int64_t w) MUST_USE;
void given_latents_close(struct given_latents *g);

/* All its numbers. ST_FORMAT for one that is not finite. */
status given_latents_read(struct given_latents *g, float *to) MUST_USE;

#endif /* GIVEN_LATENTS_H */
