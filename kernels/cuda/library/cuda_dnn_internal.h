/*
 * cuda_dnn_internal.h - between the files of cuda_dnn_*.
 *
 *   cuda_dnn_graph.c   a graph as plain data; needs no cuDNN
 *   cuda_dnn_desc.c    the same as cuDNN's descriptors
 *   cuda_dnn_share.c   what cuDNN compiled, for all contexts of the process
 *   cuda_dnn_plan.c    plans by graph, and their run
 */
#ifndef CUDA_DNN_INTERNAL_H
#define CUDA_DNN_INTERNAL_H

#include "kernels/cuda/library/cuda_dnn_graph.h"

/* ---- cuda_dnn_desc.c ------------------------------------------------------------
 *
 * A descriptor is a cudnnBackendDescriptor_t, which is a void *; names, types and sorts are
 * cuDNN's own enumerations as int, so that this header needs none of cuDNN's.
 */

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

/* ---- cuda_dnn_share.c -----------------------------------------------------------
 *
 * What cuDNN compiled, as text, for all contexts of the process on cards of one kind: the first
 * compiles, the others load.
 *
 * A plan itself is not shared: cuDNN does not promise that several threads may run one. Its
 * text (cuDNN's JSON, with the code in it) makes another plan like it without heuristics and
 * without a compiler. cuDNN has one for the engines that compile, which are the slow ones.
 *
 * Any thread may call. What is kept is kept until the process ends.
 */

enum { CUDA_DNN_CARD_TEXT = 300 };

/* Texts are of a kind of card, named in whatever way, and a graph. One thread at a time looks
 * for one and, where there is none, makes it: from begin to end. */
void cuda_dnn_share_begin(void);
void cuda_dnn_share_end(void);

/* In between. NULL: there is none. */
const char *cuda_dnn_share_find(const char *card, const struct cuda_dnn_graph *g,
                                struct cuda_dnn_facts *facts);

/* In between. Takes over the text, which is of malloc. Where there is no memory to keep it,
 * others make it again. */
void cuda_dnn_share_keep(const char *card, const struct cuda_dnn_graph *g,
                         const struct cuda_dnn_facts *facts, char *text);

#endif /* CUDA_DNN_INTERNAL_H */
