/* cuda_dnn_desc.c - a described graph as cuDNN's descriptors, one kind of operation a function. */
#include "kernels/cuda/library/cuda_dnn_internal.h"

#include <cudnn.h>

status cuda_dnn_said(int code, const char *what)
{
    char words[1024] = "";

    if (code == CUDNN_STATUS_SUCCESS) return ST_OK;
    cudnnGetLastErrorString(words, sizeof words);
    return fail(CUDNN_STATUS_CATEGORY(code) == CUDNN_STATUS_NOT_SUPPORTED ? ST_ARG : ST_DEVICE,
                "cuDNN: %s: %s: %s", what, cudnnGetErrorString((cudnnStatus_t)code), words);
}

status cuda_dnn_create(void **out, int sort)
{
    *out = NULL;
    return cuda_dnn_said(cudnnBackendCreateDescriptor((cudnnBackendDescriptorType_t)sort, out),
                         "descriptor");
}

void cuda_dnn_destroy(void **desc)
{
    if (*desc) cudnnBackendDestroyDescriptor(*desc);
    *desc = NULL;
}

status cuda_dnn_finalize(void *desc, const char *what)
{
    return cuda_dnn_said(cudnnBackendFinalize(desc), what);
}

status cuda_dnn_set(void *desc, const struct cuda_dnn_attr *a)
{
    return cuda_dnn_said(cudnnBackendSetAttribute(desc, (cudnnBackendAttributeName_t)a->name,
                                                  (cudnnBackendAttributeType_t)a->type, a->count,
                                                  a->from),
                         "attribute");
}

status cuda_dnn_set_desc(void *desc, int name, void *value)
{
    return cuda_dnn_set(desc,
                        &(struct cuda_dnn_attr){ name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value });
}

static status set_int64(void *desc, int name, int64_t count, const int64_t *from)
{
    return cuda_dnn_set(desc, &(struct cuda_dnn_attr){ name, CUDNN_TYPE_INT64, count, from });
}

static status set_bool(void *desc, int name, bool value)
{
    return cuda_dnn_set(desc, &(struct cuda_dnn_attr){ name, CUDNN_TYPE_BOOLEAN, 1, &value });
}

static status set_type(void *desc, int name, cudnnDataType_t type)
{
    return cuda_dnn_set(desc, &(struct cuda_dnn_attr){ name, CUDNN_TYPE_DATA_TYPE, 1, &type });
}

static status set_float(void *desc, int name, float value)
{
    return cuda_dnn_set(desc, &(struct cuda_dnn_attr){ name, CUDNN_TYPE_FLOAT, 1, &value });
}

/* One more descriptor of the graph's own. */
static status add_desc(struct cuda_dnn_built *b, int sort, void **out)
{
    TRY(cuda_dnn_create(&b->desc[b->count], sort));
    *out = b->desc[b->count++];
    return ST_OK;
}

static status tensor_type(const struct cuda_dnn_tensor *t, cudnnDataType_t *out)
{
    *out = t->e4m3              ? CUDNN_DATA_FP8_E4M3
           : t->dtype == DT_F32 ? CUDNN_DATA_FLOAT
                                : CUDNN_DATA_BFLOAT16;
    if (t->e4m3 || t->dtype == DT_F32 || t->dtype == DT_BF16) return ST_OK;
    return fail(ST_ARG, "cuDNN: tensors of dtype %s are not supported", dtype_name(t->dtype));
}

static status build_tensor(struct cuda_dnn_built *b, const struct cuda_dnn_tensor *t, int64_t uid)
{
    int64_t const align = t->align ? t->align : 16;
    cudnnDataType_t type;
    void *d;

    TRY(tensor_type(t, &type));
    TRY(add_desc(b, CUDNN_BACKEND_TENSOR_DESCRIPTOR, &d));
    TRY(set_type(d, CUDNN_ATTR_TENSOR_DATA_TYPE, type));
    TRY(set_int64(d, CUDNN_ATTR_TENSOR_DIMENSIONS, t->ndim, t->dim));
    TRY(set_int64(d, CUDNN_ATTR_TENSOR_STRIDES, t->ndim, t->stride));
    TRY(set_int64(d, CUDNN_ATTR_TENSOR_UNIQUE_ID, 1, &uid));
    TRY(set_int64(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 1, &align));
    TRY(set_bool(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, t->place == CUDA_DNN_VIRTUAL));
    if (t->place == CUDA_DNN_HOST) TRY(set_bool(d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, true));
    return cuda_dnn_finalize(d, "tensor");
}

/* Name the operands of an operation: tensors are the graph's first descriptors. */
static status set_operands(const struct cuda_dnn_built *b, void *d, const struct cuda_dnn_op *op,
                           const int names[CUDA_DNN_OPERANDS])
{
    for (int i = 0; i < CUDA_DNN_OPERANDS; i++)
        if (op->operand[i]) TRY(cuda_dnn_set_desc(d, names[i], b->desc[op->operand[i] - 1]));
    return ST_OK;
}

static status build_sdpa(struct cuda_dnn_built *b, const struct cuda_dnn_op *op, void **out)
{
    static const int names[CUDA_DNN_OPERANDS] = {
        CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC,     CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC,
        CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC,     CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC,
        CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC,
    };

    TRY(add_desc(b, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR, out));
    return set_operands(b, *out, op, names);
}

static status build_conv(struct cuda_dnn_built *b, const struct cuda_dnn_op *op, void **out)
{
    static const int names[CUDA_DNN_OPERANDS] = { CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                                                  CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y };
    static const int64_t space = CUDA_DNN_SPACE, one[CUDA_DNN_SPACE] = { 1, 1, 1 };
    cudnnConvolutionMode_t const mode = CUDNN_CROSS_CORRELATION;
    void *c;

    TRY(add_desc(b, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, &c));
    TRY(set_type(c, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT));
    TRY(cuda_dnn_set(c, &(struct cuda_dnn_attr){ CUDNN_ATTR_CONVOLUTION_CONV_MODE,
                                                 CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode }));
    TRY(set_int64(c, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 1, &space));
    TRY(set_int64(c, CUDNN_ATTR_CONVOLUTION_DILATIONS, space, one));
    TRY(set_int64(c, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, space, op->stride));
    TRY(set_int64(c, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, space, op->pad_lo));
    TRY(set_int64(c, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, space, op->pad_hi));
    TRY(cuda_dnn_finalize(c, "convolution"));

    TRY(add_desc(b, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, out));
    TRY(cuda_dnn_set_desc(*out, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, c));
    TRY(set_float(*out, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, 1));
    TRY(set_float(*out, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, 0));
    return set_operands(b, *out, op, names);
}

static status build_matmul(struct cuda_dnn_built *b, const struct cuda_dnn_op *op, void **out)
{
    static const int names[CUDA_DNN_OPERANDS] = { CUDNN_ATTR_OPERATION_MATMUL_ADESC,
                                                  CUDNN_ATTR_OPERATION_MATMUL_BDESC,
                                                  CUDNN_ATTR_OPERATION_MATMUL_CDESC };
    void *m;

    TRY(add_desc(b, CUDNN_BACKEND_MATMUL_DESCRIPTOR, &m));
    TRY(set_type(m, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT));
    TRY(cuda_dnn_finalize(m, "product"));

    TRY(add_desc(b, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, out));
    TRY(cuda_dnn_set_desc(*out, CUDNN_ATTR_OPERATION_MATMUL_DESC, m));
    return set_operands(b, *out, op, names);
}

static cudnnPointwiseMode_t pointwise_mode(enum cuda_dnn_kind kind)
{
    switch (kind) {
    case CUDA_DNN_SUB: return CUDNN_POINTWISE_SUB;
    case CUDA_DNN_MUL: return CUDNN_POINTWISE_MUL;
    case CUDA_DNN_DIV: return CUDNN_POINTWISE_DIV;
    case CUDA_DNN_EXP: return CUDNN_POINTWISE_EXP;
    case CUDA_DNN_LOG: return CUDNN_POINTWISE_LOG;
    default: return CUDNN_POINTWISE_ADD;
    }
}

static status build_pointwise(struct cuda_dnn_built *b, const struct cuda_dnn_op *op, void **out)
{
    static const int names[CUDA_DNN_OPERANDS] = { CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
                                                  CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
                                                  CUDNN_ATTR_OPERATION_POINTWISE_YDESC };
    cudnnPointwiseMode_t const mode = pointwise_mode(op->kind);
    void *p;

    TRY(add_desc(b, CUDNN_BACKEND_POINTWISE_DESCRIPTOR, &p));
    TRY(cuda_dnn_set(p, &(struct cuda_dnn_attr){ CUDNN_ATTR_POINTWISE_MODE,
                                                 CUDNN_TYPE_POINTWISE_MODE, 1, &mode }));
    TRY(set_type(p, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT));
    TRY(cuda_dnn_finalize(p, "element by element"));

    TRY(add_desc(b, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, out));
    TRY(cuda_dnn_set_desc(*out, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, p));
    return set_operands(b, *out, op, names);
}

static cudnnReduceTensorOp_t reduction_operator(enum cuda_dnn_kind kind)
{
    switch (kind) {
    case CUDA_DNN_MAX: return CUDNN_REDUCE_TENSOR_MAX;
    case CUDA_DNN_AMAX: return CUDNN_REDUCE_TENSOR_AMAX;
    default: return CUDNN_REDUCE_TENSOR_ADD;
    }
}

static status build_reduction(struct cuda_dnn_built *b, const struct cuda_dnn_op *op, void **out)
{
    static const int names[CUDA_DNN_OPERANDS] = { CUDNN_ATTR_OPERATION_REDUCTION_XDESC, 0,
                                                  CUDNN_ATTR_OPERATION_REDUCTION_YDESC };
    cudnnReduceTensorOp_t const how = reduction_operator(op->kind);
    void *r;

    TRY(add_desc(b, CUDNN_BACKEND_REDUCTION_DESCRIPTOR, &r));
    TRY(set_type(r, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT));
    TRY(cuda_dnn_set(r, &(struct cuda_dnn_attr){ CUDNN_ATTR_REDUCTION_OPERATOR,
                                                 CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &how }));
    TRY(cuda_dnn_finalize(r, "reduction"));

    TRY(add_desc(b, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, out));
    TRY(cuda_dnn_set_desc(*out, CUDNN_ATTR_OPERATION_REDUCTION_DESC, r));
    return set_operands(b, *out, op, names);
}

static status build_op(struct cuda_dnn_built *b, const struct cuda_dnn_op *op, void **out)
{
    switch (op->kind) {
    case CUDA_DNN_SDPA: TRY(build_sdpa(b, op, out)); break;
    case CUDA_DNN_CONV: TRY(build_conv(b, op, out)); break;
    case CUDA_DNN_MATMUL: TRY(build_matmul(b, op, out)); break;
    case CUDA_DNN_ADD:
    case CUDA_DNN_SUB:
    case CUDA_DNN_MUL:
    case CUDA_DNN_DIV:
    case CUDA_DNN_EXP:
    case CUDA_DNN_LOG: TRY(build_pointwise(b, op, out)); break;
    case CUDA_DNN_MAX:
    case CUDA_DNN_SUM:
    case CUDA_DNN_AMAX: TRY(build_reduction(b, op, out)); break;
    }
    return cuda_dnn_finalize(*out, "operation");
}

static status build_all(struct cuda_dnn_built *b, const struct cuda_dnn_graph *g, void *handle)
{
    void *op[CUDA_DNN_OPS];

    for (int i = 0; i < g->tensors; i++) TRY(build_tensor(b, &g->tensor[i], i + 1));
    for (int i = 0; i < g->ops; i++) TRY(build_op(b, &g->op[i], &op[i]));
    TRY(add_desc(b, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, &b->graph));
    TRY(cuda_dnn_set(b->graph,
                     &(struct cuda_dnn_attr){ CUDNN_ATTR_OPERATIONGRAPH_OPS,
                                              CUDNN_TYPE_BACKEND_DESCRIPTOR, g->ops, op }));
    if (handle)
        TRY(cuda_dnn_set(b->graph, &(struct cuda_dnn_attr){ CUDNN_ATTR_OPERATIONGRAPH_HANDLE,
                                                            CUDNN_TYPE_HANDLE, 1, &handle }));
    return cuda_dnn_finalize(b->graph, "graph");
}

status cuda_dnn_build(struct cuda_dnn_built *out, const struct cuda_dnn_graph *g, void *handle)
{
    *out = (struct cuda_dnn_built){ 0 };
    if (g->tensors > CUDA_DNN_TENSORS || g->ops > CUDA_DNN_OPS)
        return fail(ST_ARG, "cuDNN: a graph of %d tensors, %d operations", g->tensors, g->ops);
    status const st = build_all(out, g, handle);
    if (st != ST_OK) cuda_dnn_drop(out);
    return st;
}

void cuda_dnn_drop(struct cuda_dnn_built *b)
{
    while (b->count) cuda_dnn_destroy(&b->desc[--b->count]);
    b->graph = NULL;
}
