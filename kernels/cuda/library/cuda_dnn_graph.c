/* cuda_dnn_graph.c - graphs as plain data: filled, and compared. */
#include "kernels/cuda/library/cuda_dnn_graph.h"

#include <string.h>

int cuda_dnn_tensor(struct cuda_dnn_graph *g, const struct cuda_dnn_tensor *t)
{
    if (g->tensors < CUDA_DNN_TENSORS) g->tensor[g->tensors] = *t;
    return ++g->tensors;
}

/* The next operation of the graph; NULL if it is full. */
static struct cuda_dnn_op *next_op(struct cuda_dnn_graph *g)
{
    return g->ops++ < CUDA_DNN_OPS ? &g->op[g->ops - 1] : NULL;
}

void cuda_dnn_sdpa(struct cuda_dnn_graph *g, const struct cuda_dnn_sdpa *a)
{
    struct cuda_dnn_op *const op = next_op(g);
    if (op)
        *op = (struct cuda_dnn_op){ .kind = CUDA_DNN_SDPA,
                                    .operand = { a->q, a->k, a->v, a->o, a->scale, a->stats } };
}

void cuda_dnn_conv(struct cuda_dnn_graph *g, const struct cuda_dnn_conv *a)
{
    struct cuda_dnn_op *const op = next_op(g);

    if (!op) return;
    *op = (struct cuda_dnn_op){ .kind = CUDA_DNN_CONV, .operand = { a->x, a->w, a->y } };
    for (int i = 0; i < CUDA_DNN_SPACE; i++) {
        op->pad_lo[i] = a->pad_lo[i];
        op->pad_hi[i] = a->pad_hi[i];
        op->stride[i] = a->stride[i] ? a->stride[i] : 1;
    }
}

void cuda_dnn_apply(struct cuda_dnn_graph *g, enum cuda_dnn_kind kind, struct cuda_dnn_term of)
{
    struct cuda_dnn_op *const op = next_op(g);
    if (op) *op = (struct cuda_dnn_op){ .kind = kind, .operand = { of.a, of.b, of.y } };
}

static bool same_tensor(const struct cuda_dnn_tensor *a, const struct cuda_dnn_tensor *b)
{
    return a->dtype == b->dtype && a->e4m3 == b->e4m3 && a->place == b->place &&
           a->ndim == b->ndim && a->align == b->align && !memcmp(a->dim, b->dim, sizeof a->dim) &&
           !memcmp(a->stride, b->stride, sizeof a->stride);
}

static bool same_op(const struct cuda_dnn_op *a, const struct cuda_dnn_op *b)
{
    return a->kind == b->kind && !memcmp(a->operand, b->operand, sizeof a->operand) &&
           !memcmp(a->pad_lo, b->pad_lo, sizeof a->pad_lo) &&
           !memcmp(a->pad_hi, b->pad_hi, sizeof a->pad_hi) &&
           !memcmp(a->stride, b->stride, sizeof a->stride);
}

bool cuda_dnn_same(const struct cuda_dnn_graph *a, const struct cuda_dnn_graph *b)
{
    if (a->tensors != b->tensors || a->ops != b->ops) return false;
    for (int i = 0; i < a->tensors; i++)
        if (!same_tensor(&a->tensor[i], &b->tensor[i])) return false;
    for (int i = 0; i < a->ops; i++)
        if (!same_op(&a->op[i], &b->op[i])) return false;
    return true;
}
