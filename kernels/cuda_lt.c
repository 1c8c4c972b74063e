#include "kernels/cuda_lt.h"
#include "base/clock.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdlib.h>

struct cuda_lt {
    cublasLtHandle_t handle;
    cudaStream_t stream;
    int device;
    bool strict;
    void *workspace;
};

/* What a product's algorithm depends on. */
struct shape {
    int64_t rows, n, k, out_step;
    enum dtype in, out;
    int device;
    bool bias, add, gelu, strict;
};

/* Choices of this process: written once each, never taken back. */
enum { CHOICES = 512 };
static struct {
    pthread_mutex_t lock;
    int count;
    struct shape shape[CHOICES];
    cublasLtMatmulAlgo_t algo[CHOICES];
} chosen = { .lock = PTHREAD_MUTEX_INITIALIZER };

static status said(cublasStatus_t code, const char *what)
{
    if (code == CUBLAS_STATUS_SUCCESS) return ST_OK;
    return fail(ST_DEVICE, "cuBLASLt: %s: %s", what, cublasLtGetStatusString(code));
}

static status device_said(cudaError_t code, const char *what)
{
    if (code == cudaSuccess) return ST_OK;
    return fail(ST_DEVICE, "cuBLASLt: %s: %s", what, cudaGetErrorString(code));
}

status cuda_lt_open(struct cuda_lt **out, const struct cuda_lt_config *c)
{
    struct cuda_lt *lt = calloc(1, sizeof *lt);
    status st = ST_OK;

    *out = NULL;
    if (!lt) return fail(ST_NOMEM, "cuBLASLt: no memory for a context");
    *lt = (struct cuda_lt){ .stream = c->stream, .device = c->device, .strict = c->strict };
    TRY_OUT(said(cublasLtCreate(&lt->handle), "open"));
    TRY_OUT(device_said(cudaMalloc(&lt->workspace, CUDA_LT_WORKSPACE), "workspace"));
    *out = lt;
    lt = NULL;
out:
    cuda_lt_close(&lt);
    return st;
}

void cuda_lt_close(struct cuda_lt **lt)
{
    if (!*lt) return;
    if ((*lt)->workspace) cudaFree((*lt)->workspace);
    if ((*lt)->handle) cublasLtDestroy((*lt)->handle);
    free(*lt);
    *lt = NULL;
}

void *cuda_lt_workspace(const struct cuda_lt *lt) { return lt->workspace; }

bool cuda_lt_suits(int64_t n, int64_t k, enum dtype in, enum dtype out)
{
    int64_t const row = k * (int64_t)dtype_size(in), column = n * (int64_t)dtype_size(out);
    return n > 0 && k > 0 && row % CUDA_LT_ALIGN == 0 && column % CUDA_LT_ALIGN == 0;
}

/* ---- descriptors ----------------------------------------------------------------
 * cuBLASLt's matrices are by columns: out^T [n, rows] = (w^T)^T [n, k] x^T [k, rows]. */

struct call {
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t w, x, out;
    cublasLtMatmulPreference_t wish;
};

static cudaDataType_t type_of(enum dtype t) { return t == DT_BF16 ? CUDA_R_16BF : CUDA_R_32F; }

static status set(struct call *c, cublasLtMatmulDescAttributes_t name, const void *from,
                  size_t bytes)
{
    return said(cublasLtMatmulDescSetAttribute(c->product, name, from, bytes), "product");
}

static status set_epilogue(struct call *c, const struct cuda_lt_product *p)
{
    cublasLtEpilogue_t const with_bias =
        p->gelu ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
    cublasLtEpilogue_t const without = p->gelu ? CUBLASLT_EPILOGUE_GELU : CUBLASLT_EPILOGUE_DEFAULT;
    cublasLtEpilogue_t const e = p->bias ? with_bias : without;

    TRY(set(c, CUBLASLT_MATMUL_DESC_EPILOGUE, &e, sizeof e));
    if (!p->bias) return ST_OK;
    return set(c, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias);
}

static status set_wish(struct call *c, bool strict)
{
    static const cublasLtMatmulPreferenceAttributes_t aligned[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
    };
    uint64_t const workspace = CUDA_LT_WORKSPACE;
    uint32_t const align = CUDA_LT_ALIGN, whole_sums = CUBLASLT_REDUCTION_SCHEME_NONE;

    TRY(said(cublasLtMatmulPreferenceSetAttribute(c->wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                  &workspace, sizeof workspace),
             "workspace"));
    for (int i = 0; i < COUNT_OF(aligned); i++)
        TRY(said(cublasLtMatmulPreferenceSetAttribute(c->wish, aligned[i], &align, sizeof align),
                 "alignment"));
    if (!strict) return ST_OK;
    return said(cublasLtMatmulPreferenceSetAttribute(c->wish,
                                                     CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                     &whole_sums, sizeof whole_sums),
                "whole sums");
}

static status call_open(struct call *c, const struct cuda_lt_product *p, bool strict)
{
    cublasOperation_t const turned = CUBLAS_OP_T;
    uint64_t const n = (uint64_t)p->n, k = (uint64_t)p->k, rows = (uint64_t)p->rows;

    *c = (struct call){ 0 };
    TRY(said(cublasLtMatmulDescCreate(&c->product, CUBLAS_COMPUTE_32F, CUDA_R_32F), "product"));
    TRY(set(c, CUBLASLT_MATMUL_DESC_TRANSA, &turned, sizeof turned));
    TRY(set_epilogue(c, p));
    TRY(said(cublasLtMatrixLayoutCreate(&c->w, type_of(p->in), k, n, p->k), "weights"));
    TRY(said(cublasLtMatrixLayoutCreate(&c->x, type_of(p->in), k, rows, p->k), "input"));
    TRY(said(cublasLtMatrixLayoutCreate(&c->out, type_of(p->out), n, rows, p->out_step), "output"));
    TRY(said(cublasLtMatmulPreferenceCreate(&c->wish), "preference"));
    return set_wish(c, strict);
}

static void call_close(struct call *c)
{
    if (c->wish) cublasLtMatmulPreferenceDestroy(c->wish);
    if (c->out) cublasLtMatrixLayoutDestroy(c->out);
    if (c->x) cublasLtMatrixLayoutDestroy(c->x);
    if (c->w) cublasLtMatrixLayoutDestroy(c->w);
    if (c->product) cublasLtMatmulDescDestroy(c->product);
}

static status launch(const struct cuda_lt *lt, const struct call *c,
                     const struct cuda_lt_product *p, void *to, const cublasLtMatmulAlgo_t *algo)
{
    float const one = 1, beta = p->add ? 1 : 0;

    return said(cublasLtMatmul(lt->handle, c->product, &one, p->w, c->w, p->x, c->x, &beta,
                               p->add ? p->add : to, c->out, to, c->out, algo, lt->workspace,
                               CUDA_LT_WORKSPACE, lt->stream),
                "matrix product");
}

/* ---- which algorithm ---------------------------------------------------------------- */

enum { RUNS = 3 };

/* Seconds of RUNS runs; the first, which loads the kernel, is not counted. */
static status measure(const struct cuda_lt *lt, const struct call *c,
                      const struct cuda_lt_product *p, const cublasLtMatmulAlgo_t *algo,
                      double *seconds)
{
    double begin = 0;

    for (int i = 0; i <= RUNS; i++) {
        TRY(launch(lt, c, p, p->trial, algo));
        if (i > 0) continue;
        TRY(device_said(cudaStreamSynchronize(lt->stream), "matrix product"));
        begin = clock_seconds();
    }
    TRY(device_said(cudaStreamSynchronize(lt->stream), "matrix product"));
    *seconds = clock_seconds() - begin;
    return ST_OK;
}

static status fastest(const struct cuda_lt *lt, const struct call *c,
                      const struct cuda_lt_product *p, const cublasLtMatmulHeuristicResult_t *of,
                      int count, int *out)
{
    double best = -1;

    for (int i = 0; i < count; i++) {
        double seconds;
        if (of[i].state != CUBLAS_STATUS_SUCCESS) continue;
        TRY(measure(lt, c, p, &of[i].algo, &seconds));
        if (best >= 0 && !(seconds < best)) continue;
        best = seconds;
        *out = i;
    }
    return ST_OK;
}

static status choose(const struct cuda_lt *lt, const struct call *c,
                     const struct cuda_lt_product *p, cublasLtMatmulAlgo_t *out)
{
    cublasLtMatmulHeuristicResult_t named[CUDA_LT_TRIED];
    int count = 0, best = 0;

    TRY(said(cublasLtMatmulAlgoGetHeuristic(lt->handle, c->product, c->w, c->x, c->out, c->out,
                                            c->wish, lt->strict ? 1 : CUDA_LT_TRIED, named, &count),
             "no algorithm"));
    if (count < 1 || named[0].state != CUBLAS_STATUS_SUCCESS)
        return fail(ST_DEVICE, "cuBLASLt: no algorithm for %lld x %lld x %lld", (long long)p->rows,
                    (long long)p->n, (long long)p->k);
    if (!lt->strict) TRY(fastest(lt, c, p, named, count, &best));
    *out = named[best].algo;
    return ST_OK;
}

static struct shape shape_of(const struct cuda_lt *lt, const struct cuda_lt_product *p)
{
    return (struct shape){
        .rows = p->rows,
        .n = p->n,
        .k = p->k,
        .out_step = p->out_step,
        .in = p->in,
        .out = p->out,
        .device = lt->device,
        .bias = p->bias != NULL,
        .add = p->add != NULL,
        .gelu = p->gelu,
        .strict = lt->strict,
    };
}

static bool same(const struct shape *a, const struct shape *b)
{
    return a->rows == b->rows && a->n == b->n && a->k == b->k && a->out_step == b->out_step &&
           a->in == b->in && a->out == b->out && a->device == b->device && a->bias == b->bias &&
           a->add == b->add && a->gelu == b->gelu && a->strict == b->strict;
}

/* With the lock held: ranks that share a card do not time at once. */
static status settle(const struct cuda_lt *lt, const struct call *c,
                     const struct cuda_lt_product *p, cublasLtMatmulAlgo_t *out)
{
    struct shape const s = shape_of(lt, p);

    for (int i = 0; i < chosen.count; i++) {
        *out = chosen.algo[i];
        if (same(&chosen.shape[i], &s)) return ST_OK;
    }
    if (chosen.count == CHOICES)
        return fail(ST_DEVICE, "cuBLASLt: more than %d shapes of products", CHOICES);
    TRY(choose(lt, c, p, out));
    chosen.shape[chosen.count] = s;
    chosen.algo[chosen.count++] = *out;
    return ST_OK;
}

static status run(struct cuda_lt *lt, const struct call *c, const struct cuda_lt_product *p)
{
    cublasLtMatmulAlgo_t algo;

    pthread_mutex_lock(&chosen.lock);
    status const st = settle(lt, c, p, &algo);
    pthread_mutex_unlock(&chosen.lock);
    TRY(st);
    return launch(lt, c, p, p->to, &algo);
}

status cuda_lt_run(struct cuda_lt *lt, const struct cuda_lt_product *p)
{
    struct call c;

    status st = call_open(&c, p, lt->strict);
    if (st == ST_OK) st = run(lt, &c, p);
    call_close(&c);
    return st;
}
