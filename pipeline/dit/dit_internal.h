/* dit_internal.h - what the transformer's files share. Private to dit*.c. */
#ifndef DIT_INTERNAL_H
#define DIT_INTERNAL_H

#include "pipeline/dit/dit.h"
#include "pipeline/weights/weight_bind.h"

struct dit_linear {
    struct kern_weight w;
    struct tensor bias; /* F32 */
};

struct dit_attention {
    struct dit_linear q, k, v, o;
    struct tensor norm_q, norm_k; /* [d] F32 */
};

struct dit_layer {
    struct dit_attention self, cross;
    struct tensor norm3_w, norm3_b; /* [d] F32 */
    struct dit_linear up, down;     /* feed-forward */
    struct tensor modulation;       /* [1, 6, d] F32, as in the file */
};

struct dit {
    struct dit_shape shape;
    enum dtype act;
    int levels; /* noise levels + the clean one */
    struct kern_ctx *ctx;
    void *memory; /* of the backend: all tensors below */

    struct dit_layer *layer; /* [layers] */
    struct dit_linear patch, text_in, text_out, head;
    struct tensor head_modulation; /* [1, 2, d] */

    /* What modulates a block at a level, ready for use: scales hold 1 + scale. */
    struct tensor layer_mod; /* [layers * 6 * levels, d]: shift1 scale1 gate1 shift2 scale2 gate2 */
    struct tensor head_mod;  /* [2 * levels, d]: shift scale */
};

/* The six vectors that modulate a layer. */
enum dit_mod { DIT_SHIFT1, DIT_SCALE1, DIT_GATE1, DIT_SHIFT2, DIT_SCALE2, DIT_GATE2, DIT_MODS };

/* out = act(x w^T + bias) */
status dit_linear(struct kern_ctx *ctx, const struct dit_linear *l, const struct tensor *x,
                  struct tensor *out, enum kern_act act) MUST_USE;

/* The time network, needed only while loading: timesteps are constants. */
struct dit_time {
    struct dit_linear in, out, project;
};

/* Fill layer_mod and head_mod from the time network and the file's modulation. */
status dit_modulate(struct dit *d, const struct dit_time *t,
                    const struct schedule *schedule) MUST_USE;

#endif /* DIT_INTERNAL_H */
