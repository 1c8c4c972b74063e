/* kern_ref_ops.h - what the oracle's files share. Private to kernels/. */
#ifndef KERN_REF_OPS_H
#define KERN_REF_OPS_H

#include "base/pool.h"
#include "kernels/kern.h"

struct ref_ctx {
    struct kern_ctx base; /* first member: a kern_ctx * is a ref_ctx * here */
    struct pool *pool;    /* shares out rows of the three heavy operations */
};

double ref_act(double x, enum kern_act act);

/* Heavy: rows are shared out over the pool. */
status ref_linear(struct kern_ctx *, const struct kern_linear *);
status ref_attention(struct kern_ctx *, const struct kern_attention *);
status ref_conv3d(struct kern_ctx *, const struct kern_conv3d *);

/* Moves of host memory, right for any backend that computes there. */
status ref_patchify(struct kern_ctx *, const struct kern_patchify *);
status ref_unpatchify(struct kern_ctx *, const struct kern_unpatchify *);
status ref_permute01(struct kern_ctx *, const struct kern_permute01 *);
status ref_copy(struct kern_ctx *, const struct kern_copy *);
status ref_zero(struct kern_ctx *, const struct kern_zero *);

#endif /* KERN_REF_OPS_H */
