/*
 * kern_plan_key.h - what an operation's libraries choose their kernels by, as one number: of two
 * calls with equal keys, preparing one (kern_backend.prepare) prepares the other.
 */
#ifndef KERN_PLAN_KEY_H
#define KERN_PLAN_KEY_H

#include "kernels/kern.h"

/* From op, shapes, dtypes, flags and which operands there are; data is not looked at. 0: an
 * operation for which no backend asks a library. */
uint64_t kern_plan_key(enum kern_op op, const void *args);

#endif /* KERN_PLAN_KEY_H */
