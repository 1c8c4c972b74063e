/*
 * vae_internal.h - the autoencoder's layers: what they hold and how each one runs.
 *
 * Private to pipeline/vae*.c. Frames are [t, h, w, c] of the run's precision
 * ("act"); at most two are handled at once. Layers of one resolution follow one
 * another in place: `in` and `out` of a residual block are the same memory.
 */
#ifndef VAE_INTERNAL_H
#define VAE_INTERNAL_H

#include "pipeline/vae/vae.h"
#include "pipeline/weights/weight_bind.h"

enum { VAE_LAYERS = 18, VAE_SPARES = 16, VAE_PAST = 2, VAE_RUN = 6 };
_Static_assert(VAE_STEPS == VAE_LAYERS + 2, "front, layers, head");

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
 *
 * Where the backend would have past and new frames in one piece (joins), a stream has a
 * run of frames of its own instead, [VAE_RUN, h, w, c]: new frames are written right
 * behind the past, which moves on over them, and back to the front from the run's end.
 * With 6 frames every second pair is copied; 4 would copy each, 8 every third.
 *
 *      | past past | new new |  .   . |     then   | .  . | past past | new new |
 */
struct vae_stream {
    struct tensor past;
    struct tensor *spare; /* NULL: there is a run */
    struct tensor run;    /* no tensor: there is a spare */
};

enum vae_kind {
    VAE_RES,       /* norm, SiLU, conv, norm, SiLU, conv, + shortcut */
    VAE_ATTN,      /* norm, single-head attention within the frame, + x */
    VAE_UP,        /* pixels doubled each way, conv */
    VAE_UP_TIME,   /* every frame but a clip's first made into two, then as VAE_UP */
    VAE_DOWN,      /* conv of stride 2 */
    VAE_DOWN_TIME, /* as VAE_DOWN; then every two frames made into one, but a clip's first */
};

/* A layer as it stands in the network; channels in units of the base width. */
struct vae_row {
    const char *name;
    enum vae_kind kind;
    int in, out;
};

struct vae_layer {
    const char *name;
    enum vae_kind kind;
    int64_t cin, cout;
    struct tensor in, out; /* views of scratch or wire, as many frames as there ever are */
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

/* One way of the autoencoder: decoder or encoder. Steps are front, layers, head. */
struct vae_coder {
    struct vae_range part; /* the steps that are here */
    struct vae_conv point; /* 1x1 on the latent: before the decoder, behind the encoder */
    struct vae_conv first, last;
    struct vae_stream first_stream, last_stream;
    struct tensor last_gamma;
    struct vae_layer layer[VAE_LAYERS];
    int layers;
    bool running; /* the clip's first frame is behind us */
    struct tensor front_out, head_in;

    /* scratch: decoder [h*w, 16] act and [2, 8h, 8w, 3] F32,
     * encoder [h*w, 16] F32 and [1, h, w, 32] act */
    struct tensor latent, last_out;
    struct tensor shots[2]; /* decoder, scratch: last_out as bytes, [2, picture_bytes] U8, by
                               turns; no tensors if pictures leave as floats */
};

/* The backend's memory. Streams beside one another share those before VAE_CACHE. */
enum { VAE_WEIGHTS, VAE_SCRATCH, VAE_CACHE, VAE_WIRE, VAE_ARENAS };

struct vae {
    const struct kern_backend *backend;
    struct kern_ctx *ctx;
    bool beside; /* ctx, weights, scratch, staging and pinned are another's */
    enum dtype precision;
    int64_t h, w; /* of a latent */
    int64_t base;
    bool encodes, decodes;
    int64_t picture_bytes; /* 0: pictures leave as floats */
    struct vae_coder decoder, encoder;
    struct tensor spare[VAE_SPARES];
    int spares;
    struct tensor inbox[2], outbox[2]; /* wire: units of the decoder's part */
    int leaving;                       /* outbox the next unit goes to */
    void *memory[VAE_ARENAS];
    void *staging; /* host, vae_staging_bytes; NULL if 0 */

    /* The newest pictures: fetched into `pinned`, from where they get to where they are due
     * when the next ones follow or the call ends. */
    unsigned char *pinned; /* host, vae_pinned_bytes; NULL if 0. Bytes: a half for each turn */
    int turn;              /* of shots and halves, the next ones': 0, as bytes 0 or 1 */
    struct {
        const void *from;
        void *to;
        size_t bytes; /* 0: nothing is due */
    } due;
};

extern const float vae_mean[VAE_CHANNELS], vae_std[VAE_CHANNELS]; /* of the release */
extern const struct vae_row vae_decoder_rows[VAE_LAYERS];

/* ---- vae_parts.c: which steps ---- */

/* The layers of c's part: i = vae_first_layer .. vae_end_layer - 1; none if it is
 * front or head alone. */
int vae_first_layer(const struct vae_coder *c);
int vae_end_layer(const struct vae_coder *c);
bool vae_has_front(const struct vae_coder *c);
bool vae_has_head(const struct vae_coder *c);

/* ---- vae_net.c: structure ---- */

/* Read the base width off the checkpoint and set names, kinds and channels. */
status vae_shape(struct vae *v, const struct weights *w) MUST_USE;

/* Add the tensors of one way to the list: all of them, or the decoder's part's. */
void vae_want_decoder(struct vae *v, struct bind_list *l);
void vae_want_encoder(struct vae *v, struct bind_list *l);
void vae_want_range(struct vae *v, struct bind_list *l);

/* ---- vae_layout.c: memory ---- */

/* Place streams, frames and units of the ways in use. a: [VAE_ARENAS], measuring or
 * real; the weights' is not touched. */
status vae_layout(struct vae *v, struct arena *a) MUST_USE;
size_t vae_staging_bytes(const struct vae *v);
size_t vae_pinned_bytes(const struct vae *v); /* behind vae_layout */

/* The part's first step reads inbox `which`; its last one writes the outbox `leaving`. */
void vae_read_inbox(struct vae *v, int which);
void vae_write_outbox(struct vae *v);

/* Zero the past of every stream of one way. */
status vae_forget(struct vae *v, struct vae_coder *c) MUST_USE;

/* ---- vae_dry_run.c ---- */

/* Scratch of the operations, the most of all; behind vae_layout and with the weights
 * placed, both by measuring arenas, and undone by another vae_layout. */
status vae_dry_run(size_t *out, struct vae *v) MUST_USE;

/* What the operations have made for them when they first meet a shape is made, so that no frame
 * waits for it. Behind vae_layout and with the weights placed, both by real arenas that hold
 * nothing yet, and undone by another vae_layout. */
status vae_prepare(struct vae *v) MUST_USE;

/* ---- vae_decode.c, vae_encode.c: the two ends of each way ---- */

/* conv2 and the decoder's first convolution: c->latent -> c->front_out. */
status vae_decode_front(struct kern_ctx *ctx, struct vae_coder *c) MUST_USE;

/* The encoder's first convolution: t pictures in its stream's room -> c->front_out. */
status vae_encode_front(struct kern_ctx *ctx, struct vae_coder *c, int64_t t) MUST_USE;

/* The encoder's head and the means' half of conv1: c->head_in -> c->latent. */
status vae_encode_back(struct kern_ctx *ctx, struct vae_coder *c) MUST_USE;

/* ---- vae_layer.c: one layer at a time ---- */

/* Where the next t (1 or 2) frames of a stream are to be written. */
struct tensor vae_buffer(const struct vae_stream *s, int64_t t);

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

#endif /* VAE_INTERNAL_H */
