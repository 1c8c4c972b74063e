/*
 * kern_check.h - what every backend refuses, said once.
 *
 * Each function compares one operation's arguments with the contract in kern.h
 * and fails with ST_ARG, naming the operation and the shapes. Private to
 * kernels/; every backend's operation begins with it.
 */
#ifndef KERN_CHECK_H
#define KERN_CHECK_H

#include "kernels/kern.h"
#include "kernels/pixels.h"

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

/* How qkv turns its queries, in place. */
struct kern_rope kern_qkv_rope(const struct kern_qkv *a);

/* Where the bytes of a picture lie; of shapes that were checked. */
struct pixels_layout kern_pictures_layout(const struct kern_pictures *a);

/* Keys of all segments together. */
int64_t attention_keys(const struct kern_attention *a);

#endif /* KERN_CHECK_H */
