/*
 * kern_compose.h - the fused operations made of the plain ones, in order.
 *
 * Right for every backend: they call the context's own table. What lies between
 * the parts is rounded to act. Private to kernels/.
 */
#ifndef KERN_COMPOSE_H
#define KERN_COMPOSE_H

#include "kernels/kern.h"

status kern_compose_linear_norm(struct kern_ctx *, const struct kern_linear_norm *);
status kern_compose_qkv(struct kern_ctx *, const struct kern_qkv *);

#endif /* KERN_COMPOSE_H */
