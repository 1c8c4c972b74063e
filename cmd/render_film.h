/*
 * render_film.h - where finished blocks go: decoded, encoded, committed.
 *
 * One clip at a time, block after block, in the order the line finishes them. A
 * clip's folder appears when its last block is through, complete or not at all.
 */
#ifndef RENDER_FILM_H
#define RENDER_FILM_H

#include "cmd/render.h"
#include "pipeline/vae.h"

struct render_film;

struct render_film_config {
    const struct render_options *o;
    struct vae_config vae;
    int frames_per_block;
    const char *weights_hash, *text_hash; /* for clip.json; borrowed */
};

/* Whoever opens, closes; a clip that is not finished by then leaves nothing. */
status render_film_open(struct render_film **out, const struct render_film_config *c) MUST_USE;
void render_film_close(struct render_film **f); /* NULL is fine; sets NULL */

/* The next block of the clip: x0 is [frames, 16, h, w]. *pictures came out. */
status render_film_block(struct render_film *f, const struct render_clip *clip, int64_t block,
                         const float *x0, int *pictures) MUST_USE;

#endif /* RENDER_FILM_H */
