/*
 * standin_dnn.c - the calls of cuDNN that the program makes, on the host: descriptors that
 * keep what they are told, and graphs run one operation at a time, honouring dimensions,
 * strides, tensor numbers and where a tensor lies. A plan's text names a copy of what the plan is
 * of, kept until the process ends: another plan is made from it.
 *
 * What cuDNN would refuse ends the process: a descriptor used before it is finished or changed
 * afterwards, a tensor without data, an attribute the stand-in has not.
 */
#include "tests/standin/standin_dnn.h"
#include "tests/standin/standin.h"

#include <cudnn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTRIBUTES = 16, TENSORS = 32 };

struct attribute {
    int name;
    bool of_descs; /* bytes are descriptors */
    int64_t count;
    unsigned char *bytes;
};

struct desc {
    int sort, attributes;
    bool finished;
    struct attribute attribute[ATTRIBUTES];
};

struct cudnnContext {
    cudaStream_t stream;
};

static void must_hold(bool good, const char *what)
{
    if (!good) standin_stop("cuDNN: %s", what);
}

/* ---- the library ------------------------------------------------------------------ */

const char *cudnnGetErrorString(cudnnStatus_t code)
{
    return code == CUDNN_STATUS_SUCCESS ? "no error" : "refused by the stand-in";
}

void cudnnGetLastErrorString(char *message, size_t bytes)
{
    snprintf(message, bytes, "(stand-in)");
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *out)
{
    *out = calloc(1, sizeof **out);
    return *out ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    free(handle);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

/* ---- descriptors --------------------------------------------------------------------- */

static size_t type_bytes(cudnnBackendAttributeType_t type)
{
    switch (type) {
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR: return 1;
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_DOUBLE:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR: return 8;
    default: return 4;
    }
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t sort,
                                           cudnnBackendDescriptor_t *out)
{
    struct desc *const d = calloc(1, sizeof *d);

    *out = d;
    if (!d) return CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
    d->sort = (int)sort;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t desc)
{
    struct desc *const d = desc;

    for (int i = 0; i < d->attributes; i++) free(d->attribute[i].bytes);
    free(d);
    return CUDNN_STATUS_SUCCESS;
}

static const struct attribute *find_attribute(const struct desc *d, int name)
{
    for (int i = 0; i < d->attributes; i++)
        if (d->attribute[i].name == name) return &d->attribute[i];
    return NULL;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t desc)
{
    struct desc *const d = desc;

    must_hold(!d->finished, "a descriptor finished twice");
    d->finished = true;
    if (d->sort == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
        standin_counted(find_attribute(d, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION)
                            ? STANDIN_LOADED
                            : STANDIN_PLANNED);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t desc,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void *from)
{
    struct desc *const d = desc;
    size_t const bytes = (size_t)count * type_bytes(type);

    must_hold(!d->finished, "a finished descriptor changed");
    must_hold(!find_attribute(d, (int)name) && d->attributes < ATTRIBUTES,
              "an attribute set twice");
    struct attribute *const a = &d->attribute[d->attributes++];
    *a = (struct attribute){ (int)name, type == CUDNN_TYPE_BACKEND_DESCRIPTOR, count,
                             malloc(bytes + 1) };
    must_hold(a->bytes != NULL, "out of memory");
    memcpy(a->bytes, from, bytes);
    a->bytes[bytes] = 0;
    if (a->of_descs)
        for (int64_t i = 0; i < count; i++)
            must_hold(((struct desc *const *)(const void *)a->bytes)[i]->finished,
                      "a descriptor used before it is finished");
    return CUDNN_STATUS_SUCCESS;
}

static const void *attribute_data(const struct desc *d, int name)
{
    const struct attribute *const a = find_attribute(d, name);

    must_hold(a != NULL, "an attribute is missing");
    return a->bytes;
}

static struct desc *attribute_desc(const struct desc *d, int name)
{
    struct desc *const *const to = attribute_data(d, name);
    return *to;
}

/* Heuristics name one way; a plan is it. */
static void link_desc(struct desc *from, int name, struct desc *to)
{
    must_hold(cudnnBackendSetAttribute(from, (cudnnBackendAttributeName_t)name,
                                       CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                       &to) == CUDNN_STATUS_SUCCESS,
              "attribute");
    from->finished = true;
}

static void list_results(const struct desc *h, int64_t wanted, int64_t *count, void *out)
{
    *count = 1;
    if (wanted < 1) return;
    struct desc *const *const config = out;
    link_desc(*config, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
              attribute_desc(h, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH));
}

/* ---- a plan's text --------------------------------------------------------------------- */

enum { TEXT = 128 };
static const char form[] = "{\"kernelName\": \"stand-in\", \"of\": \"%p\"}";

static struct kept {
    struct kept *next;
    struct desc *of;
} * kept;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct desc *copy_desc(const struct desc *d)
{
    struct desc *const c = malloc(sizeof *c);

    must_hold(c != NULL, "out of memory");
    *c = *d;
    for (int i = 0; i < d->attributes; i++) {
        const struct attribute *const a = &d->attribute[i];
        size_t const bytes = malloc_usable_size(a->bytes);
        c->attribute[i].bytes = malloc(bytes);
        must_hold(c->attribute[i].bytes != NULL, "out of memory");
        memcpy(c->attribute[i].bytes, a->bytes, bytes);
        struct desc **const to = (struct desc **)(void *)c->attribute[i].bytes;
        for (int64_t k = 0; a->of_descs && k < a->count; k++) to[k] = copy_desc(to[k]);
    }
    return c;
}

static const struct desc *plan_config(const struct desc *plan)
{
    const struct attribute *const text =
        find_attribute(plan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
    void *config;

    if (!text) return attribute_desc(plan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    must_hold(sscanf((const char *)text->bytes, form, &config) == 1, "a text that is no plan's");
    return config;
}

static void write_text(const struct desc *plan, char out[TEXT])
{
    struct kept *const k = malloc(sizeof *k);

    must_hold(k != NULL, "out of memory");
    k->of = copy_desc(plan_config(plan));
    pthread_mutex_lock(&lock);
    k->next = kept;
    kept = k;
    pthread_mutex_unlock(&lock);
    memset(out, ' ', TEXT);
    out[snprintf(out, TEXT, form, (void *)k->of)] = ' ';
    out[TEXT - 1] = 0;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const desc,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t wanted,
                                       int64_t *count, void *out)
{
    int64_t const workspace = 256, engine = 0;
    const struct desc *const d = desc;

    (void)type;
    must_hold(d->finished, "a question to an unfinished descriptor");
    *count = 1;
    switch (name) {
    case CUDNN_ATTR_ENGINEHEUR_RESULTS: list_results(d, wanted, count, out); break;
    case CUDNN_ATTR_ENGINECFG_ENGINE: (*(struct desc **)out)->finished = true; break;
    case CUDNN_ATTR_ENGINE_GLOBAL_INDEX: memcpy(out, &engine, sizeof engine); break;
    case CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE: memcpy(out, &workspace, sizeof workspace); break;
    case CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION:
        *count = TEXT;
        must_hold(!wanted || wanted == TEXT, "a text of another length");
        if (wanted) write_text(d, out);
        break;
    default: must_hold(false, "a question that the stand-in does not answer");
    }
    return CUDNN_STATUS_SUCCESS;
}

/* ---- tensors ------------------------------------------------------------------------ */

/* Data of one run, and virtual tensors' until it ends. */
struct run {
    const struct desc *pack;
    int64_t uid[TENSORS];
    void *virtual_at[TENSORS];
    int virtuals;
};

static bool read_flag(const struct desc *t, int name)
{
    const struct attribute *const a = find_attribute(t, name);
    return a && *a->bytes;
}

static void *take_virtual(struct run *r, int64_t uid, const struct standin_tensor *t)
{
    int64_t all = 1;

    for (int i = 0; i < r->virtuals; i++)
        if (r->uid[i] == uid) return r->virtual_at[i];
    for (int i = 0; i < t->ndim; i++) all += (t->dim[i] - 1) * t->stride[i];
    r->uid[r->virtuals] = uid;
    r->virtual_at[r->virtuals] = malloc((size_t)all * sizeof(float));
    must_hold(r->virtual_at[r->virtuals] != NULL, "out of memory");
    return r->virtual_at[r->virtuals++];
}

static void *pack_data(const struct run *r, int64_t uid, bool on_host, int64_t align)
{
    const struct attribute *const ids = find_attribute(r->pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    void *const *const at = attribute_data(r->pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);

    for (int64_t i = 0; i < ids->count; i++) {
        if (((const int64_t *)(const void *)ids->bytes)[i] != uid) continue;
        must_hold(at[i] && standin_is_device(at[i]) != on_host,
                  "data that is not where it should be");
        must_hold((uintptr_t)at[i] % (uintptr_t)align == 0, "data that is not aligned");
        return standin_at(at[i]);
    }
    must_hold(false, "a tensor without data");
    return NULL;
}

static enum standin_type standin_type_of(cudnnDataType_t type)
{
    switch (type) {
    case CUDNN_DATA_FLOAT: return STANDIN_F32;
    case CUDNN_DATA_BFLOAT16: return STANDIN_BF16;
    case CUDNN_DATA_FP8_E4M3: return STANDIN_E4M3;
    default: must_hold(false, "a dtype the stand-in has not");
    }
    return STANDIN_F32;
}

/* The tensor that an operation calls by this name. */
static struct standin_tensor operand_tensor(struct run *r, const struct desc *op, int name)
{
    const struct desc *const d = attribute_desc(op, name);
    const struct attribute *const dim = find_attribute(d, CUDNN_ATTR_TENSOR_DIMENSIONS);
    const struct attribute *const step = find_attribute(d, CUDNN_ATTR_TENSOR_STRIDES);
    cudnnDataType_t const type =
        *(const cudnnDataType_t *)attribute_data(d, CUDNN_ATTR_TENSOR_DATA_TYPE);
    int64_t const uid = *(const int64_t *)attribute_data(d, CUDNN_ATTR_TENSOR_UNIQUE_ID);
    struct standin_tensor t = { .type = standin_type_of(type), .ndim = (int)dim->count };

    must_hold(dim->count == step->count && dim->count <= STANDIN_TENSOR_DIMS,
              "a tensor's dimensions");
    memcpy(t.dim, dim->bytes, (size_t)dim->count * sizeof(int64_t));
    memcpy(t.stride, step->bytes, (size_t)step->count * sizeof(int64_t));
    t.at = read_flag(d, CUDNN_ATTR_TENSOR_IS_VIRTUAL)
               ? take_virtual(r, uid, &t)
               : pack_data(r, uid, read_flag(d, CUDNN_ATTR_TENSOR_IS_BY_VALUE),
                           *(const int64_t *)attribute_data(d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT));
    return t;
}

/* ---- operations ---------------------------------------------------------------------- */

static void run_sdpa(struct run *r, const struct desc *op)
{
    bool const stats = find_attribute(op, CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC) != NULL;
    struct standin_sdpa a = {
        .q = operand_tensor(r, op, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC),
        .k = operand_tensor(r, op, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC),
        .v = operand_tensor(r, op, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC),
        .o = operand_tensor(r, op, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC),
        .scale = *(float *)operand_tensor(r, op, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC).at,
    };

    if (stats) a.stats = operand_tensor(r, op, CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC);
    standin_sdpa(&a);
}

static void read_space(const struct desc *conv, int name, int64_t out[STANDIN_SPACE])
{
    must_hold(find_attribute(conv, name) && find_attribute(conv, name)->count == STANDIN_SPACE,
              "a convolution's dimensions");
    memcpy(out, attribute_data(conv, name), STANDIN_SPACE * sizeof *out);
}

static void run_conv(struct run *r, const struct desc *op)
{
    const struct desc *const conv =
        attribute_desc(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
    struct standin_conv a = {
        .x = operand_tensor(r, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X),
        .w = operand_tensor(r, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W),
        .y = operand_tensor(r, op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y),
    };

    must_hold(*(const float *)attribute_data(op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA) ==
                      1.0f &&
                  *(const float *)attribute_data(
                      op, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA) == 0.0f,
              "a convolution with factors");
    read_space(conv, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, a.pad_lo);
    read_space(conv, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, a.pad_hi);
    read_space(conv, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, a.stride);
    standin_conv(&a);
}

static enum standin_each pointwise_kind(cudnnPointwiseMode_t mode)
{
    switch (mode) {
    case CUDNN_POINTWISE_ADD: return STANDIN_ADD;
    case CUDNN_POINTWISE_SUB: return STANDIN_SUB;
    case CUDNN_POINTWISE_MUL: return STANDIN_MUL;
    case CUDNN_POINTWISE_DIV: return STANDIN_DIV;
    case CUDNN_POINTWISE_EXP: return STANDIN_EXP;
    case CUDNN_POINTWISE_LOG: return STANDIN_LOG;
    default: must_hold(false, "a pointwise operation that the stand-in has not");
    }
    return STANDIN_ADD;
}

static void run_pointwise(struct run *r, const struct desc *op)
{
    const struct desc *const kind =
        attribute_desc(op, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    struct standin_tensor const a = operand_tensor(r, op, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
    struct standin_tensor const y = operand_tensor(r, op, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
    struct standin_tensor b = { 0 };

    if (find_attribute(op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC))
        b = operand_tensor(r, op, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
    standin_each(pointwise_kind(*(const cudnnPointwiseMode_t *)attribute_data(
                     kind, CUDNN_ATTR_POINTWISE_MODE)),
                 &a, &b, &y);
}

static enum standin_fold reduction_kind(cudnnReduceTensorOp_t how)
{
    switch (how) {
    case CUDNN_REDUCE_TENSOR_MAX: return STANDIN_MAX;
    case CUDNN_REDUCE_TENSOR_ADD: return STANDIN_SUM;
    case CUDNN_REDUCE_TENSOR_AMAX: return STANDIN_AMAX;
    default: must_hold(false, "a reduction that the stand-in has not");
    }
    return STANDIN_SUM;
}

static void run_reduction(struct run *r, const struct desc *op)
{
    const struct desc *const kind = attribute_desc(op, CUDNN_ATTR_OPERATION_REDUCTION_DESC);
    struct standin_tensor const x = operand_tensor(r, op, CUDNN_ATTR_OPERATION_REDUCTION_XDESC);
    struct standin_tensor const y = operand_tensor(r, op, CUDNN_ATTR_OPERATION_REDUCTION_YDESC);

    standin_fold(reduction_kind(*(const cudnnReduceTensorOp_t *)attribute_data(
                     kind, CUDNN_ATTR_REDUCTION_OPERATOR)),
                 &x, &y);
}

static void run_matmul(struct run *r, const struct desc *op)
{
    struct standin_tensor const a = operand_tensor(r, op, CUDNN_ATTR_OPERATION_MATMUL_ADESC);
    struct standin_tensor const b = operand_tensor(r, op, CUDNN_ATTR_OPERATION_MATMUL_BDESC);
    struct standin_tensor const y = operand_tensor(r, op, CUDNN_ATTR_OPERATION_MATMUL_CDESC);

    must_hold(attribute_desc(op, CUDNN_ATTR_OPERATION_MATMUL_DESC)->finished,
              "a product without its kind");
    standin_matmul(&a, &b, &y);
}

static void run_op(struct run *r, const struct desc *op)
{
    switch (op->sort) {
    case CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR: run_sdpa(r, op); break;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR: run_conv(r, op); break;
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: run_pointwise(r, op); break;
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR: run_reduction(r, op); break;
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR: run_matmul(r, op); break;
    default: must_hold(false, "an operation that the stand-in has not");
    }
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t pack)
{
    const struct desc *const graph =
        attribute_desc(plan_config(plan), CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
    const struct attribute *const ops = find_attribute(graph, CUDNN_ATTR_OPERATIONGRAPH_OPS);
    struct run r = { .pack = pack };

    must_hold(*(cudnnHandle_t const *)attribute_data(plan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE) ==
                  handle,
              "a handle");
    must_hold(
        standin_is_device(*(void *const *)attribute_data(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE)),
        "no workspace");
    for (int64_t i = 0; i < ops->count; i++)
        run_op(&r, ((struct desc *const *)(const void *)ops->bytes)[i]);
    while (r.virtuals) free(r.virtual_at[--r.virtuals]);
    return CUDNN_STATUS_SUCCESS;
}
