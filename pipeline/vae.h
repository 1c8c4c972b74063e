/*
 * vae.h - Wan2.1's autoencoder, streaming: latents to pictures and back.
 *
 * The first latent frame of a clip is 1 picture, every later one 4. Frames are
 * taken one by one; what a later frame needs of earlier ones (two input frames
 * of every causal convolution) is kept here, so memory does not grow with the
 * clip, and the same clip gives the same bits however it is cut into calls.
 *
 *     latent frame -> h x w -> 2h x 2w -> 4h x 4w -> 8h x 8w -> pictures
 *     channels         4b       4b         2b         b          3
 *     frames at once   1        2          2          2
 *
 * To share a clip out by picture height: all but the attention (h x w, needs
 * every row) is local in rows, so ranks would swap one row before each 3x3.
 */
#ifndef VAE_H
#define VAE_H

#include "kernels/kern.h"

struct vae;

enum {
    VAE_CHANNELS = 16, /* of a latent */
    VAE_SCALE = 8,     /* pixels per latent, each way */
    VAE_PICTURES = 4,  /* per latent frame but the first */
};

/* The base width and all other sizes are read from the checkpoint. */
struct vae_config {
    const struct kern_backend *backend;
    int threads;                /* >= 1 */
    enum dtype precision;       /* DT_F32 or DT_BF16 */
    int64_t latent_h, latent_w; /* pixels / 8; 1..VAE_SIDE */
    const char *path;           /* Wan2.1_VAE.pth, or the same tensors in safetensors */
    bool encoder;               /* the encoder too */
};
enum { VAE_SIDE = 4096 };

/* What an open vae holds, in bytes: all of it from open to close. */
struct vae_bytes {
    size_t weights, cache, scratch; /* memory of the backend */
    size_t staging;                 /* of the host */
};

/* What vae_open would allocate; reads the checkpoint's names and shapes only. */
status vae_measure(struct vae_bytes *out, const struct vae_config *c) MUST_USE;

/* ST_FORMAT lists everything in the checkpoint that does not fit, also in the
 * half that is not asked for. Ready for a new clip. Whoever opens, closes. */
status vae_open(struct vae **out, const struct vae_config *c) MUST_USE;
void vae_close(struct vae **v); /* NULL is fine; sets NULL */

/* Forget the clip: the next frame is the first of a new one, both ways. Must
 * come before anything else after a call that failed. */
status vae_reset(struct vae *v) MUST_USE;

/* Decode the next n latent frames of the clip.
 * latents: [n, 16, h, w] F32, normalised as the transformer has them; host
 * pixels:  [*pictures, 8h, 8w, 3] F32 in [-1, 1]; host, room for 4n pictures
 * ST_MISMATCH if a picture is not a number. */
status vae_decode(struct vae *v, const float *latents, int n, float *pixels,
                  int *pictures) MUST_USE;

/* Encode the next n pictures: the means, without sampling.
 * n: 1 + 4k at the start of a clip, 4k later; anything else is ST_ARG
 * pixels: [n, 8h, 8w, 3] F32 in [-1, 1]; host
 * latents: [*frames, 16, h, w] F32, normalised; host, room for (n + 3) / 4 */
status vae_encode(struct vae *v, const float *pixels, int n, float *latents, int *frames) MUST_USE;

#endif /* VAE_H */
