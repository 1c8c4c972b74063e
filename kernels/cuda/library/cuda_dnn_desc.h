/*
 * cuda_dnn_desc.h - cuDNN's descriptors, and those of a described graph.
 *
 * Private to kernels/cuda_dnn_*. A descriptor is a cudnnBackendDescriptor_t, which is a
 * void *; names, types and sorts are cuDNN's own enumerations as int, so that this header
 * needs none of cuDNN's.
 */
#ifndef CUDA_DNN_DESC_H
#define CUDA_DNN_DESC_H

#include "kernels/cuda/library/cuda_dnn_graph.h"

/* ST_DEVICE with cuDNN's message for a cudnnStatus_t that is not success; ST_ARG for those
 * of the sort "not supported". */
status cuda_dnn_said(int code, const char *what) MUST_USE;

status cuda_dnn_create(void **out, int sort) MUST_USE;
void cuda_dnn_destroy(void **desc); /* NULL is fine; sets NULL */
status cuda_dnn_finalize(void *desc, const char *what) MUST_USE;

/* One attribute; `count` elements of `type` at `from`. */
struct cuda_dnn_attr {
    int name, type;
    int64_t count;
    const void *from;
};
status cuda_dnn_set(void *desc, const struct cuda_dnn_attr *a) MUST_USE;
status cuda_dnn_set_desc(void *desc, int name, void *value) MUST_USE;

/* A graph's descriptors: those made on the way first, the operation graph last.
 * handle: cudnnHandle_t or NULL. Whoever builds, drops. */
enum { CUDA_DNN_DESCS = CUDA_DNN_TENSORS + 2 * CUDA_DNN_OPS + 1 };
struct cuda_dnn_built {
    void *desc[CUDA_DNN_DESCS];
    int count;
    void *graph; /* one of desc */
};
status cuda_dnn_build(struct cuda_dnn_built *out, const struct cuda_dnn_graph *g,
                      void *handle) MUST_USE;
void cuda_dnn_drop(struct cuda_dnn_built *b);

#endif /* CUDA_DNN_DESC_H */
