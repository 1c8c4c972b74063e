/* vae_clip.h - recorded clips for the autoencoder's tests. */
#ifndef VAE_CLIP_H
#define VAE_CLIP_H

#include "pipeline/vae/vae.h"

#define SMALL "tests/golden/vae-small"
#define ODD   "tests/golden/vae-odd"
#define MODEL "/model/Wan2.1_VAE.pth"

/* One case; pictures as [n, h, w, 3]. */
struct clip {
    const char *dir;
    int frames, pictures;
    int64_t h, w; /* latent */
    float *latents, *pixels, *decoded, *encoded;
};
int64_t latent_count(const struct clip *c);  /* of one frame */
int64_t picture_count(const struct clip *c); /* of one picture */

struct clip clip_open(const char *dir);
void clip_close(struct clip *c);

/* The clip run backwards is another clip. */
struct clip reversed(const struct clip *c);
void clip_close_reversed(struct clip *c);

float *poisoned(int64_t count); /* NaN; caller frees */

/* The clip in calls of `step` latent frames; caller frees. */
float *decode(struct vae *v, const struct clip *c, int step);

/* a is as b, to the bit, and freed. */
void same_and_free(float *a, const float *b, int64_t count);

/* Call `test` with every backend of this build that can run here. */
void every_backend(void (*test)(const struct kern_backend *));

/* A backend that counts its memory and fills it with NaN; one at a time. */
struct counted {
    const struct kern_backend *real;
    size_t bytes;
    int calls, held;
};
extern struct counted counted;
struct kern_backend counting(const struct kern_backend *real);

#endif /* VAE_CLIP_H */
