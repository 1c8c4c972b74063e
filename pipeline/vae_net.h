/*
 * vae_net.h - the autoencoder's layers: what they hold and how each one runs.
 *
 * Private to pipeline/vae*.c. Frames are [t, h, w, c] of the run's precision
 * ("act"); at most two are handled at once. Layers of one resolution follow one
 * another in place: `in` and `out` of a residual block are the same memory.
 */
#ifndef VAE_NET_H
#define VAE_NET_H

#include "pipeline/bind.h"
#include "pipeline/vae.h"

enum { VAE_LAYERS = 18, VAE_SPARES = 16, VAE_PAST = 2 };

/* Weights of a convolution or, for 1x1, of a matrix product. */
struct vae_conv {
    struct kern_weight w;
    struct tensor bias;
};

/*
 * The last two input frames of a causal convolution, [2, h, w, c]. Streams of
 * one shape share one spare buffer of that shape. New frames are written into
 * the spare's end; once convolved, the spare is the past and the old past is
 * the spare, so frames that come in pairs are never copied.
 */
struct vae_stream {
    struct tensor past;
    struct tensor *spare;
};

enum vae_kind {
    VAE_RES,       /* norm, SiLU, conv, norm, SiLU, conv, + shortcut */
    VAE_ATTN,      /* norm, single-head attention within the frame, + x */
    VAE_UP,        /* pixels doubled each way, conv */
    VAE_UP_TIME,   /* every frame but a clip's first made into two, then as VAE_UP */
    VAE_DOWN,      /* conv of stride 2 */
    VAE_DOWN_TIME, /* as VAE_DOWN; then every two frames made into one, but a clip's first */
};

struct vae_layer {
    const char *name;
    enum vae_kind kind;
    int64_t cin, cout;
    struct tensor in, out; /* views of scratch, as many frames as there ever are */
    union {
        struct {
            struct tensor gamma[2];
            struct vae_conv conv[2], shortcut; /* the latter if cin != cout */
            struct vae_stream stream[2];
            struct tensor mid; /* [t, h, w, cout] scratch */
        } res;
        struct {
            struct tensor gamma;
            struct vae_conv q, k, v, proj;
            struct tensor tq, tk, tv, tmp; /* [h*w, c] scratch */
        } attn;
        struct {
            struct vae_conv space;
            struct vae_conv time[2];  /* up: of the pair's frames; down: [0] alone */
            struct vae_stream stream; /* up: of both */
            struct tensor pair;       /* up: [2, h, w, cin] scratch */
            struct tensor held;       /* down: [3, h/2, w/2, cout], the last frame and new ones */
            int filled;               /* down: new ones held */
        } scale;
    };
};

/* One way of the autoencoder: decoder or encoder. */
struct vae_coder {
    struct vae_conv point; /* 1x1 on the latent: before the decoder, behind the encoder */
    struct vae_conv first, last;
    struct vae_stream first_stream, last_stream;
    struct tensor last_gamma;
    struct vae_layer layer[VAE_LAYERS];
    int layers;
    bool running; /* the clip's first frame is behind us */

    /* scratch: decoder [h*w, 16] act and [2, 8h, 8w, 3] F32,
     * encoder [h*w, 16] F32 and [1, h, w, 32] act */
    struct tensor latent, last_out;
};

struct vae {
    const struct kern_backend *backend;
    struct kern_ctx *ctx;
    enum dtype precision;
    int64_t h, w; /* of a latent */
    int64_t base;
    bool encodes;
    struct vae_coder decoder, encoder;
    struct tensor spare[VAE_SPARES];
    int spares;
    void *memory[3]; /* weights, cache, scratch: the backend's */
    void *staging;   /* host, vae_staging_bytes */
};

extern const float vae_mean[VAE_CHANNELS], vae_std[VAE_CHANNELS]; /* of the release */

/* ---- vae_net.c: structure ---- */

/* Read the base width off the checkpoint and set names, kinds and channels. */
status vae_shape(struct vae *v, const struct weights *w) MUST_USE;

/* Add the tensors of one way to the list. */
void vae_want_decoder(struct vae *v, struct bind_list *l);
void vae_want_encoder(struct vae *v, struct bind_list *l);

/* ---- vae_layout.c: memory ---- */

/* Place streams and frames of the ways in use; arenas measuring or real. */
status vae_layout(struct vae *v, struct arena *cache, struct arena *scratch) MUST_USE;
size_t vae_staging_bytes(const struct vae *v);

/* Zero the past of every stream of one way. */
status vae_forget(struct vae *v, struct vae_coder *c) MUST_USE;

/* ---- vae_layer.c: one layer at a time ---- */

/* Where the next t (1 or 2) frames of a stream are to be written. */
struct tensor vae_room(const struct vae_stream *s, int64_t t);

/* out = conv([past | the t frames in the stream's room]) + residual, 3x3x3, or 3x1x1
 * with pad 0. The frames stay in the room until vae_pass makes them the past. */
struct vae_causal {
    const struct vae_conv *conv;
    const struct vae_stream *stream;
    int64_t t;
    int pad;
    const struct tensor *residual; /* or NULL; may be out */
    struct tensor *out;
};
status vae_causal(struct kern_ctx *ctx, const struct vae_causal *a) MUST_USE;
status vae_pass(struct kern_ctx *ctx, struct vae_stream *s, int64_t t) MUST_USE;

/* norm, SiLU and last convolution of a way: t frames in -> c->last_out. */
status vae_head(struct kern_ctx *ctx, struct vae_coder *c, const struct tensor *in) MUST_USE;

/* The first t frames of l->in to as many of l->out. */
status vae_run_res(struct kern_ctx *ctx, struct vae_layer *l, int64_t t) MUST_USE;
status vae_run_attn(struct kern_ctx *ctx, struct vae_layer *l) MUST_USE; /* one frame */

/* VAE_UP, or VAE_UP_TIME on a clip's first frame. */
status vae_run_up(struct kern_ctx *ctx, struct vae_layer *l, int64_t t) MUST_USE;
/* VAE_UP_TIME later: frame f of l->in to two of l->out. */
status vae_run_up_time(struct kern_ctx *ctx, struct vae_layer *l, int64_t f) MUST_USE;

/* VAE_DOWN and VAE_DOWN_TIME. *t comes in as the frames of l->in and goes out as
 * those of l->out: 0 while a pair is incomplete. first: a clip's first frame. */
status vae_run_down(struct kern_ctx *ctx, struct vae_layer *l, bool first, int64_t *t) MUST_USE;

#endif /* VAE_NET_H */
