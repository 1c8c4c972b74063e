/*
 * kern_internal.h - what the backends share, and what kern.h's own files know of one another.
 * Private to kernels/.
 *
 *   kern_check.c         what every backend refuses, said once
 *   kern_compose.c       the fused operations made of plain ones
 *   kern_host_memory.c   memory of backends that compute on the processor
 *   kern_registry.c      which of those this build has
 *   kern_plan_key.c      which calls need the same preparation
 */
#ifndef KERN_INTERNAL_H
#define KERN_INTERNAL_H

#include "kernels/kern.h"
#include "kernels/pixels.h"

/* ---- kern_check.c ------------------------------------------------------------- */

/* Each compares one operation's arguments with the contract in kern.h and fails with ST_ARG,
 * naming the operation and the shapes. Every backend's operation begins with it. */
#define OP(op) status kern_check_##op(const struct kern_##op *a) MUST_USE;
KERN_OPS(OP)
#undef OP

/* Sizes a convolution's arguments imply. */
struct conv_shape {
    int64_t past, t, h, w, cin;        /* input: frames before x, frames of x, pixels */
    int64_t out_t, out_h, out_w, cout; /* output */
    int64_t kt, kh, kw;
    int64_t stride_t, stride, upsample; /* never 0 */
};
struct conv_shape conv_shape_of(const struct kern_conv3d *a);

/* How qkv ropes its queries, in place. */
struct kern_rope kern_qkv_rope(const struct kern_qkv *a);

/* Where the bytes of a picture lie; of shapes that were checked. */
struct pixels_layout kern_pictures_layout(const struct kern_pictures *a);

/* Keys of all segments together. */
int64_t attention_keys(const struct kern_attention *a);

/* ---- kern_compose.c ----------------------------------------------------------- */

/* Right for every backend: they call the context's own table. What lies between the
 * operations is rounded to act. */
status kern_compose_linear_norm(struct kern_ctx *, const struct kern_linear_norm *);
status kern_compose_qkv(struct kern_ctx *, const struct kern_qkv *);

/* ---- kern_host_memory.c ------------------------------------------------------- */

/* To the next multiple of ARENA_ALIGN. */
size_t kern_round_up(size_t bytes);

/* Members of a kern_backend (kern.h says what each does), over malloc's memory aligned to
 * ARENA_ALIGN. An operation has run before it returns here: fetch is a download, and await and
 * sync have nothing to wait for. */
status kern_host_alloc(struct kern_ctx *, size_t bytes, void **at) MUST_USE;
void kern_host_free(struct kern_ctx *, void *at);
status kern_host_upload(struct kern_ctx *, const struct tensor *to, const void *host);
status kern_host_download(struct kern_ctx *, void *host, const struct tensor *from);
status kern_host_sync(struct kern_ctx *);

const char *kern_host_absent(void); /* never: every machine has a processor */

/* A backend's partial_dtype where attention carries F32 and can give all of it. */
enum dtype kern_partial_f32(enum dtype act);

/* ---- kern_registry.c, or kern_registry_stub.c where no library for a fast one is there -- */

/* The backends of this build that compute on the processor, the oracle first; NULL behind
 * the last. */
const struct kern_backend *kern_host_at(int i);

/* ---- kern_plan_key.c ---------------------------------------------------------- */

/* What an operation's libraries choose their kernels by, as one number: of two calls with equal
 * keys, preparing one (kern_backend.prepare) prepares the other. From op, shapes, dtypes, flags
 * and which operands there are; data is not looked at. 0: an operation for which no backend asks
 * a library. */
uint64_t kern_plan_key(enum kern_op op, const void *args);

#endif /* KERN_INTERNAL_H */
