/*
 * kern_ref.h - the oracle: plain C, one loop per index, f64 sums, no tricks.
 *
 * It is complete, computes in F32 and BF16, and every other backend is checked
 * against it. Packed weights are the plain layout in the compute dtype.
 *
 *   kern_ref.c         the backend, and the operations on rows and single elements
 *   kern_ref_heavy.c   matrix product, attention and convolution, rows shared out over a pool
 */
#ifndef KERN_REF_H
#define KERN_REF_H

#include "base/pool.h"
#include "kernels/kern.h"

extern const struct kern_backend kern_ref_backend;

/* Moves of host memory, right for any backend that computes there. */
status ref_patchify(struct kern_ctx *, const struct kern_patchify *);
status ref_unpatchify(struct kern_ctx *, const struct kern_unpatchify *);
status ref_permute01(struct kern_ctx *, const struct kern_permute01 *);
status ref_gather_rows(struct kern_ctx *, const struct kern_gather_rows *);
status ref_cast(struct kern_ctx *, const struct kern_cast *);
status ref_copy(struct kern_ctx *, const struct kern_copy *);
status ref_zero(struct kern_ctx *, const struct kern_zero *);

/* ---- between the two files ---------------------------------------------------- */

struct ref_ctx {
    struct kern_ctx base; /* first member: a kern_ctx * is a ref_ctx * here */
    struct pool *pool;    /* shares out rows of the three heavy operations */
};

status ref_linear(struct kern_ctx *, const struct kern_linear *);
status ref_attention(struct kern_ctx *, const struct kern_attention *);
status ref_conv3d(struct kern_ctx *, const struct kern_conv3d *);

double ref_act(double x, enum kern_act act);

#endif /* KERN_REF_H */
