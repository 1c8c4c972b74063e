/*
 * cuda_dnn_graph.h - cuDNN's graphs of operations, from plain C.
 *
 * A graph is described as plain data: tensors, and operations over them. A description has one
 * plan per `struct cuda_dnn`: made when it is first asked for, later found by comparing
 * descriptions. Some engines compile their kernel then, which takes up to a second, or load what
 * another context of the process compiled (cuda_dnn_share.c). The plan is the first that cuDNN's
 * heuristics name and that can be built: nothing is timed, so every rank on the same kind of
 * card and the same cuDNN has the same one.
 *
 *      struct cuda_dnn_graph g = { 0 };
 *      int const x = cuda_dnn_tensor(&g, &(struct cuda_dnn_tensor){ ... });
 *      ...
 *      cuda_dnn_conv(&g, &(struct cuda_dnn_conv){ .x = x, .w = w, .y = y, ... });
 *      TRY(cuda_dnn_plan(dnn, &g, &facts));      // facts.workspace: bytes to bring along
 *      TRY(cuda_dnn_run(dnn, &g, &(struct cuda_dnn_data){ .at[x] = ..., .workspace = ... }));
 *
 * Private to kernels/. One thread uses a struct cuda_dnn at a time.
 */
#ifndef CUDA_DNN_GRAPH_H
#define CUDA_DNN_GRAPH_H

#include "kernels/tensor.h"

enum { CUDA_DNN_DIMS = 5, CUDA_DNN_TENSORS = 32, CUDA_DNN_OPS = 20 };

enum cuda_dnn_place {
    CUDA_DNN_DEVICE,  /* device memory, aligned as `align` says */
    CUDA_DNN_VIRTUAL, /* from one operation of the graph to the next, nowhere in memory */
    CUDA_DNN_HOST,    /* one number in host memory, read while the graph is queued */
};

/* Strides in elements. cuDNN's order of dimensions: [batch, head, row, column] for
 * attention, [batch, channel, time, height, width] for convolution, whatever the strides. */
struct cuda_dnn_tensor {
    enum dtype dtype; /* F32, BF16 */
    bool e4m3;        /* FP8: a byte of sign, 4 bits of exponent, 3 of mantissa; dtype: any */
    enum cuda_dnn_place place;
    int ndim;
    int align; /* bytes; 0: 16 */
    int64_t dim[CUDA_DNN_DIMS], stride[CUDA_DNN_DIMS];
};

enum cuda_dnn_kind {
    CUDA_DNN_SDPA,
    CUDA_DNN_CONV,
    CUDA_DNN_MATMUL, /* a b, per batch and head: [m, k] and [k, n] */
    CUDA_DNN_ADD,    /* element by element, from here on */
    CUDA_DNN_SUB,
    CUDA_DNN_MUL,
    CUDA_DNN_DIV,
    CUDA_DNN_EXP,
    CUDA_DNN_LOG, /* natural */
    CUDA_DNN_MAX, /* over all dimensions of a that are 1 in y, from here on */
    CUDA_DNN_SUM,
    CUDA_DNN_AMAX, /* of magnitudes */
};

enum { CUDA_DNN_SPACE = 3, CUDA_DNN_OPERANDS = 6 };
struct cuda_dnn_op {
    enum cuda_dnn_kind kind;
    int operand[CUDA_DNN_OPERANDS]; /* tensors by number, 0: none; the order is the kind's own */
    int64_t pad_lo[CUDA_DNN_SPACE], pad_hi[CUDA_DNN_SPACE], stride[CUDA_DNN_SPACE];
};

/* Zeroed = an empty graph. Filled by the functions below alone. */
struct cuda_dnn_graph {
    int tensors, ops; /* more than there is room for: cuda_dnn_plan refuses */
    struct cuda_dnn_tensor tensor[CUDA_DNN_TENSORS];
    struct cuda_dnn_op op[CUDA_DNN_OPS];
};

/* Add a tensor; its number, from 1. */
int cuda_dnn_tensor(struct cuda_dnn_graph *g, const struct cuda_dnn_tensor *t);

/* o = softmax(scale q k^T) v per batch and head; q, o: [b, h, nq, d]; k, v: [b, h, nk, d]
 * scale: one F32 on the host, [1, 1, 1, 1]
 * stats: log(sum exp(scale q k)), natural, [b, h, nq, 1] F32, or 0 */
struct cuda_dnn_sdpa {
    int q, k, v, o, scale, stats;
};
void cuda_dnn_sdpa(struct cuda_dnn_graph *g, const struct cuda_dnn_sdpa *a);

/* y = cross-correlation of x and w, F32 sums.  x: [n, c, t, h, w]   w: [k, c, kt, kh, kw]
 * y: [n, k, t', h', w'];   strides of 0 are 1 */
struct cuda_dnn_conv {
    int x, w, y;
    int64_t pad_lo[CUDA_DNN_SPACE], pad_hi[CUDA_DNN_SPACE], stride[CUDA_DNN_SPACE];
};
void cuda_dnn_conv(struct cuda_dnn_graph *g, const struct cuda_dnn_conv *a);

/* y = a kind b, or kind(a) where it takes one tensor (b: 0), in F32, for all kinds from MATMUL
 * on; element by element, dimensions of b that are 1 are repeated. */
struct cuda_dnn_term {
    int a, b, y;
};
void cuda_dnn_apply(struct cuda_dnn_graph *g, enum cuda_dnn_kind kind, struct cuda_dnn_term of);

bool cuda_dnn_same(const struct cuda_dnn_graph *a, const struct cuda_dnn_graph *b);

/* ---- plans ---------------------------------------------------------------- */

struct cuda_dnn;

/* With a stream: for the current device, graphs are queued on it. With `card`, the
 * properties of a card as cuDNN writes them in JSON: plans can be made, not run, and no
 * device need be there. ST_DEVICE with cuDNN's own words. Whoever opens, closes. */
struct cuda_dnn_config {
    void *stream;     /* cudaStream_t */
    int device;       /* the current one */
    const char *card; /* NULL: the device */
};
status cuda_dnn_open(struct cuda_dnn **out, const struct cuda_dnn_config *c) MUST_USE;
void cuda_dnn_close(struct cuda_dnn **d); /* NULL is fine; sets NULL */

enum { CUDA_DNN_KERNEL_TEXT = 256 };
struct cuda_dnn_facts {
    size_t workspace; /* bytes of device memory a run needs beside its tensors */
    int64_t engine;   /* cuDNN's number of it, per kind of graph */
    int configs;      /* ways that cuDNN knows to run this graph on this card */
};

/* Make or find the graph's plan. ST_ARG: cuDNN knows no way to run it (asked only; a
 * failing device is ST_DEVICE). */
status cuda_dnn_plan(struct cuda_dnn *d, const struct cuda_dnn_graph *g,
                     struct cuda_dnn_facts *out) MUST_USE;

/* The kernel of a planned graph, as cuDNN names it; "" where it does not say. */
status cuda_dnn_kernel(struct cuda_dnn *d, const struct cuda_dnn_graph *g,
                       char out[CUDA_DNN_KERNEL_TEXT]) MUST_USE;

/* Queue the graph. at[number]: device memory, or host memory as the tensor says; NULL for
 * virtual ones. Memory may move from run to run, shapes may not: they are the graph's. */
struct cuda_dnn_data {
    void *at[CUDA_DNN_TENSORS + 1];
    void *workspace; /* cuda_dnn_facts.workspace bytes, aligned to 256; NULL if that is 0 */
};
status cuda_dnn_run(struct cuda_dnn *d, const struct cuda_dnn_graph *g,
                    const struct cuda_dnn_data *data) MUST_USE;

#endif /* CUDA_DNN_GRAPH_H */
