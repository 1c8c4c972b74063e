/*
 * dnn.h - matrix products and convolutions of one small tile, by oneDNN.
 *
 *      kern_cpu_*     shares a tensor out into tiles over its pool
 *           |
 *      dnn.h          one tile, one thread
 *       /    \
 *   dnn_v2  dnn_v3    the calls that differ between oneDNN 2 and 3
 *
 * Every call computes on the calling thread alone: oneDNN's own threads are
 * switched off, so what a tile gives cannot depend on how many threads there
 * are. Needs a oneDNN built with OpenMP (as distributions ship it) or without
 * threads. Private to kernels/.
 */
#ifndef DNN_H
#define DNN_H

#include "kernels/tensor.h"

/*
 * A tile's shape. The result y is F32 and dense; x is dense.
 *   product      y[m, n] = x[m, k] w[n, k]^T
 *   convolution  y[oh, ow, n] = x[h, w, k] * w[n, k, kh, kw], no padding,
 *                oh = (h - kh)/stride + 1, ow alike
 * With `add` the result is added to y.
 */
enum dnn_kind { DNN_PRODUCT, DNN_CONV };
struct dnn_shape {
    enum dnn_kind kind;
    enum dtype dtype;             /* of x and w: F32 or BF16 */
    bool add, w_by_k;             /* w_by_k: dnn_pack reads w as [k, n] (products only) */
    int64_t m, n, k;              /* k: input channels, n: output channels; m: products only */
    int64_t h, w, kh, kw, stride; /* convolutions only */
};

struct dnn;      /* an engine, what each worker needs, and the plans made so far */
struct dnn_plan; /* a compiled tile; borrowed from its dnn */

/* `workers` threads may run plans at once, each under its own number. Whoever
 * opens, closes. */
status dnn_open(struct dnn **out, int workers) MUST_USE;
void dnn_close(struct dnn **d); /* NULL is fine; sets NULL */

/* True if this machine multiplies BF16 faster than F32; if not, tiles had
 * better be F32. One answer for the life of the process. */
bool dnn_bf16_is_fast(void);

/* False if the library was told (ONEDNN_MAX_CPU_ISA) to do without the matrix
 * unit; our own code then does without it too. */
bool dnn_amx_is_allowed(void);

/* The library's version, and as it numbers them the instructions that it goes up to: they
 * decide what a tile gives. */
unsigned dnn_version(int version[3]);

/* The plan of a shape, from the cache if it was asked for before. One thread,
 * while none runs. */
status dnn_plan(struct dnn *d, const struct dnn_shape *s, const struct dnn_plan **out) MUST_USE;

/* The form of packed weights depends on kind, dtype, n, k, kh and kw, never on
 * m, h, w, stride or add. For some picture tiles the library would want
 * another form and only has slow code for this one: then false. */
bool dnn_plan_is_fast(const struct dnn_plan *p);

/* Bytes of packed weights, with a plan at hand and without one. */
size_t dnn_plan_packed_bytes(const struct dnn_plan *p);
status dnn_packed_bytes(const struct dnn_shape *s, size_t *out) MUST_USE;

/* Pack dense weights, in the shape's dtype and layout, into `to`. */
status dnn_pack(const struct dnn_plan *p, int worker, const void *w, void *to) MUST_USE;

/* Compute one tile. No allocation; threads may run the same plan at once. */
status dnn_run(const struct dnn_plan *p, int worker, const void *x, const void *packed,
               float *y) MUST_USE;

#endif /* DNN_H */
