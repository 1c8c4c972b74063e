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
 *     steps        front|1..6    7..10      11..14     15..18|head
 *
 * The decoder's steps may be shared out to several ranks in a chain. Each holds the
 * weights, streams and scratch of its own steps alone and hands frames on in units;
 * each step runs the same operations at the same shapes wherever it stands, so the
 * pictures are the same to the bit.
 */
#ifndef VAE_H
#define VAE_H

#include "kernels/kern.h"
#include "kernels/pixels.h"

struct vae;

enum {
    VAE_CHANNELS = 16, /* of a latent */
    VAE_SCALE = 8,     /* pixels per latent, each way */
    VAE_PICTURES = 4,  /* per latent frame but the first */
    VAE_STEPS = 20,    /* of the decoder: front convolutions, 18 layers, head */
    VAE_PARTS_MAX = 8, /* one residual block at full size is 12 % of the work */
};

/* Steps first .. end-1 of the decoder. Zeroed: all of it. */
struct vae_range {
    int first, end;
};

/* What the work of a step depends on. */
struct vae_size {
    int64_t base;               /* width, see vae_base */
    int64_t latent_h, latent_w; /* pixels / 8 */
};

/* The base width, read off a checkpoint. */
status vae_base(int64_t *base, const char *path) MUST_USE;

/* What vae_open would refuse of the file; nothing is loaded. */
status vae_check(const char *path) MUST_USE;

/* The work of a part for one latent frame behind the first: floating point
 * operations, of matrix products and convolutions alone, two per multiplication.
 *   convolution   2 * pixels out * taps * channels in * channels out
 *   attention     the same of its projections, and 4 * (h*w)^2 * channels
 * with 1 frame at h x w, 2 at 2h x 2w, 4 from 4h x 4w on. */
double vae_flops(struct vae_range part, const struct vae_size *size);

/* Cut the decoder into `parts` (1..VAE_PARTS_MAX) so that the part with the most work
 * has as little as possible. out: [parts], in order. Depends on its arguments
 * alone, so ranks that cut for themselves agree. */
status vae_parts(struct vae_range *out, int parts, const struct vae_size *size) MUST_USE;

/* Units a part takes for one latent frame: 1 for a clip's first frame, later 1 or,
 * behind the second doubling of frames, 2. For the first part it is latents. */
int vae_units(struct vae_range part, bool first_frame);

/* The base width and all other sizes are read from the checkpoint. */
struct vae_config {
    const struct kern_backend *backend;
    int threads;                /* >= 1 */
    int device;                 /* see kern_config */
    bool strict;                /* the same */
    enum dtype precision;       /* DT_F32 or DT_BF16 */
    int64_t latent_h, latent_w; /* pixels / 8; 1..VAE_SIDE */
    const char *path;           /* Wan2.1_VAE.pth, or the same tensors in safetensors */
    struct vae_range part;      /* of the decoder */
    bool encoder;               /* the encoder too; only beside the whole decoder */
    bool alone;                 /* the encoder without the decoder; part is all of it */
    int64_t picture_bytes;      /* pictures leave as bytes: the most of one, of all the sets
                                   of formats to come (pixels_layout). 0: as floats */
};
enum { VAE_SIDE = 4096 };

/* How many latent frames before one its pictures depend on: a decoder that is reset and fed these
 * goes on as if it had seen the whole clip, to the bit. */
int vae_past(void);

/* What an open vae holds, in bytes: all of it from open to close. Each stream beside
 * the first takes `cache` and `wire` once more. */
struct vae_bytes {
    size_t weights, scratch, cache; /* memory of the backend */
    size_t wire;                    /* of the backend: units that come and go */
    size_t kernels;                 /* of the backend: its context, scratch of the operations */
    size_t staging;                 /* of the host */
    size_t pinned;                  /* of the host: pictures on their way to it, two or, as
                                       bytes, two times two */
};

/* What vae_open would allocate; reads the checkpoint's names and shapes only. */
status vae_measure(struct vae_bytes *out, const struct vae_config *c) MUST_USE;

/* ST_FORMAT lists everything in the checkpoint that does not fit, also in what is
 * not asked for. Ready for a new clip. Whoever opens, closes. */
status vae_open(struct vae **out, const struct vae_config *c) MUST_USE;
void vae_close(struct vae **v); /* NULL is fine; sets NULL */

/* Another stream of clips over the weights of `first`, which vae_open made and which
 * is closed last. They share a place to compute: of all calls on the two, these two
 * included and vae_inbox apart, one runs at a time, on any thread. */
status vae_open_beside(struct vae **out, struct vae *first) MUST_USE;

/* Forget the clip: the next frame is the first of a new one, both ways. Must
 * come before anything else after a call that failed. */
status vae_reset(struct vae *v) MUST_USE;

/* Decode the next n latent frames of the clip, by the whole decoder, to floats.
 * latents: [n, 16, h, w] F32, normalised as the transformer has them; host
 * pixels:  [*pictures, 8h, 8w, 3] F32 in [-1, 1]; host, room for 4n pictures
 * ST_MISMATCH if a picture is not a number. */
status vae_decode(struct vae *v, const float *latents, int n, float *pixels,
                  int *pictures) MUST_USE;

/*
 * Decoding by parts. What a part hands to the next is a unit: the frames [t, h, w, c]
 * in the run's precision that the next part's first step reads; t = 1 for a clip's
 * first unit, later 1 or 2. It lies in memory of the backend.
 *
 *   first part   vae_decode_latents
 *   the others   a unit is put into an inbox, then vae_decode_unit
 *
 * There are two inboxes, so that a unit may arrive while the one before it is in work,
 * and two units that left are kept, so that one may be sent while the next is made.
 */
struct vae_out {
    /* Of any part but the last: takes each unit, in order. Its memory stays as it is
     * until the call for the next unit has returned. The last has NULL. */
    status (*unit)(void *arg, const struct tensor *unit);
    void *arg;

    /* Of the last part: room on the host for the pictures of the call, as the vae was opened
     * for them. Floats, as from vae_decode; or bytes, with the planes of these formats, where
     * a value that is not finite is noted and no error. The others have NULL. */
    void *pixels;
    unsigned formats;
    int pictures; /* how many they were */
};

/* latents: [n, 16, h, w] F32, host, the clip's next. The copying of pictures runs beside
 * the making of the ones that follow; on return all are there. */
status vae_decode_latents(struct vae *v, const float *latents, int n, struct vae_out *out) MUST_USE;

/* Inbox 0 or 1, in the shape of a clip's first unit or of a later one. No tensor if
 * the part takes latents. */
struct tensor vae_inbox(const struct vae *v, int which, bool first);

/* Where units lie; NULL: in the host's. */
const struct memory *vae_memory(const struct vae *v);

/* The unit in an inbox, the clip's next. */
status vae_decode_unit(struct vae *v, int which, struct vae_out *out) MUST_USE;

/* Encode the next n pictures: the means, without sampling.
 * n: 1 + 4k at the start of a clip, 4k later; anything else is ST_ARG
 * pixels: [n, 8h, 8w, 3] F32 in [-1, 1]; host
 * latents: [*frames, 16, h, w] F32, normalised; host, room for (n + 3) / 4 */
status vae_encode(struct vae *v, const float *pixels, int n, float *latents, int *frames) MUST_USE;

#endif /* VAE_H */
