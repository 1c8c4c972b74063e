/*
 * kern_ref.h - the oracle: plain C, one loop per index, f64 sums, no tricks.
 *
 * It is complete, computes in F32 and BF16, and every other backend is checked
 * against it. Packed weights are the plain layout in the compute dtype.
 */
#ifndef KERN_REF_H
#define KERN_REF_H

#include "kernels/kern.h"

extern const struct kern_backend kern_ref_backend;

#endif /* KERN_REF_H */
