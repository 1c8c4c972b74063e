/* cuda_plain.h - level 1: every operation, by the kernels of cuda_plain_kernels.h.
 * Private to kernels/. */
#ifndef CUDA_PLAIN_H
#define CUDA_PLAIN_H

#include "kernels/kern.h"

#define OP(op) status cuda_plain_##op(struct kern_ctx *, const struct kern_##op *);
KERN_OPS(OP)
#undef OP

/* As torch stores it, in the compute dtype. */
size_t cuda_plain_bytes(const struct kern_weight *w);

#endif /* CUDA_PLAIN_H */
