/*
 * cuda_lt.c - a product as cuBLASLt's descriptors, and which of its algorithms runs it.
 *
 * Descriptors are made for each call: that costs microseconds, and a cache of them would have to
 * be keyed by as much as they hold. What is kept is the choice of an algorithm, for the process:
 * all contexts on a card then have the same one, whichever of them timed it.
 */
#include "kernels/cuda/library/cuda_lt.h"
#include "base/clock.h"
#include "kernels/cuda/cuda_dev.h"

#include <cublasLt.h>
#include <pthread.h>
#include <stdlib.h>

struct cuda_lt {
    cublasLtHandle_t handle;
    void *stream;
    int device;
    bool strict;
    void *workspace;
};

/* What a product's algorithm depends on. */
struct shape {
    int64_t rows, n, k, out_step;
    enum dtype in, out;
    int device;
    bool bias, add, gelu, fp8, strict;
};

/* Choices of this process: written once each, never taken back. The transformer's shapes are
 * few; those of prompts, as many as their lengths, may find no room. */
enum { CHOICES = 512 };
static struct {
    pthread_mutex_t lock;
    int count;
    struct shape shape[CHOICES];
    cublasLtMatmulAlgo_t algo[CHOICES];
} chosen = { .lock = PTHREAD_MUTEX_INITIALIZER };

static status check_lt(cublasStatus_t code, const char *what)
{
    if (code == CUBLAS_STATUS_SUCCESS) return ST_OK;
    return fail(ST_DEVICE, "cuBLASLt: %s: %s", what, cublasLtGetStatusString(code));
}

status cuda_lt_open(struct cuda_lt **out, const struct cuda_lt_config *c)
{
    struct cuda_lt *lt = calloc(1, sizeof *lt);
    status st = ST_OK;

    *out = NULL;
    if (!lt) return fail(ST_NOMEM, "cuBLASLt: no memory for a context");
    *lt = (struct cuda_lt){ .stream = c->stream, .device = c->device, .strict = c->strict };
    TRY_OUT(check_lt(cublasLtCreate(&lt->handle), "open"));
    TRY_OUT(cuda_dev_alloc(CUDA_LT_WORKSPACE, &lt->workspace));
    *out = lt;
    lt = NULL;
out:
    cuda_lt_close(&lt);
    return st;
}

void cuda_lt_close(struct cuda_lt **lt)
{
    if (!*lt) return;
    cuda_dev_free((*lt)->workspace);
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
    cublasLtMatmulPreference_t preference;
};

static cudaDataType_t lt_type_of(enum dtype t) { return t == DT_BF16 ? CUDA_R_16BF : CUDA_R_32F; }

static cudaDataType_t lt_input_type(const struct cuda_lt_product *p)
{
    return p->x_scale ? CUDA_R_8F_E4M3 : lt_type_of(p->in);
}

static status set_desc(struct call *c, cublasLtMatmulDescAttributes_t name, const void *from,
                       size_t bytes)
{
    return check_lt(cublasLtMatmulDescSetAttribute(c->product, name, from, bytes), "product");
}

static status set_epilogue(struct call *c, const struct cuda_lt_product *p)
{
    cublasLtEpilogue_t const with_bias =
        p->gelu ? CUBLASLT_EPILOGUE_GELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
    cublasLtEpilogue_t const without = p->gelu ? CUBLASLT_EPILOGUE_GELU : CUBLASLT_EPILOGUE_DEFAULT;
    cublasLtEpilogue_t const e = p->bias ? with_bias : without;

    TRY(set_desc(c, CUBLASLT_MATMUL_DESC_EPILOGUE, &e, sizeof e));
    if (!p->bias) return ST_OK;
    return set_desc(c, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias);
}

/* cuBLASLt's A is w, its B is x. */
static status set_scales(struct call *c, const struct cuda_lt_product *p)
{
    int32_t const mode = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;

    if (!p->x_scale) return ST_OK;
    TRY(set_desc(c, CUBLASLT_MATMUL_DESC_A_SCALE_MODE, &mode, sizeof mode));
    TRY(set_desc(c, CUBLASLT_MATMUL_DESC_B_SCALE_MODE, &mode, sizeof mode));
    TRY(set_desc(c, CUBLASLT_MATMUL_DESC_A_SCALE_POINTER, &p->w_scale, sizeof p->w_scale));
    return set_desc(c, CUBLASLT_MATMUL_DESC_B_SCALE_POINTER, &p->x_scale, sizeof p->x_scale);
}

static status set_preference(struct call *c, bool strict)
{
    static const cublasLtMatmulPreferenceAttributes_t aligned[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
    };
    uint64_t const workspace = CUDA_LT_WORKSPACE;
    uint32_t const align = CUDA_LT_ALIGN, whole_sums = CUBLASLT_REDUCTION_SCHEME_NONE;

    TRY(check_lt(cublasLtMatmulPreferenceSetAttribute(c->preference,
                                                      CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                      &workspace, sizeof workspace),
                 "workspace"));
    for (int i = 0; i < COUNT_OF(aligned); i++)
        TRY(check_lt(
            cublasLtMatmulPreferenceSetAttribute(c->preference, aligned[i], &align, sizeof align),
            "alignment"));
    if (!strict) return ST_OK;
    return check_lt(cublasLtMatmulPreferenceSetAttribute(c->preference,
                                                         CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                         &whole_sums, sizeof whole_sums),
                    "whole sums");
}

static status open_call(struct call *c, const struct cuda_lt_product *p, bool strict)
{
    cublasOperation_t const turned = CUBLAS_OP_T;
    uint64_t const n = (uint64_t)p->n, k = (uint64_t)p->k, rows = (uint64_t)p->rows;

    *c = (struct call){ 0 };
    TRY(check_lt(cublasLtMatmulDescCreate(&c->product, CUBLAS_COMPUTE_32F, CUDA_R_32F), "product"));
    TRY(set_desc(c, CUBLASLT_MATMUL_DESC_TRANSA, &turned, sizeof turned));
    TRY(set_epilogue(c, p));
    TRY(set_scales(c, p));
    TRY(check_lt(cublasLtMatrixLayoutCreate(&c->w, lt_input_type(p), k, n, p->k), "weights"));
    TRY(check_lt(cublasLtMatrixLayoutCreate(&c->x, lt_input_type(p), k, rows, p->k), "input"));
    TRY(check_lt(cublasLtMatrixLayoutCreate(&c->out, lt_type_of(p->out), n, rows, p->out_step),
                 "output"));
    TRY(check_lt(cublasLtMatmulPreferenceCreate(&c->preference), "preference"));
    return set_preference(c, strict);
}

static void close_call(struct call *c)
{
    if (c->preference) cublasLtMatmulPreferenceDestroy(c->preference);
    if (c->out) cublasLtMatrixLayoutDestroy(c->out);
    if (c->x) cublasLtMatrixLayoutDestroy(c->x);
    if (c->w) cublasLtMatrixLayoutDestroy(c->w);
    if (c->product) cublasLtMatmulDescDestroy(c->product);
}

static status launch_algo(const struct cuda_lt *lt, const struct call *c,
                          const struct cuda_lt_product *p, void *to,
                          const cublasLtMatmulAlgo_t *algo)
{
    float const one = 1, beta = p->add ? 1 : 0;

    return check_lt(cublasLtMatmul(lt->handle, c->product, &one, p->w, c->w, p->x, c->x, &beta,
                                   p->add ? p->add : to, c->out, to, c->out, algo, lt->workspace,
                                   CUDA_LT_WORKSPACE, lt->stream),
                    "matrix product");
}

/* ---- which algorithm ---------------------------------------------------------------- */

enum { RUNS = 3 };

/* An algorithm that was named may still refuse the product. */
static bool algo_runs(const struct cuda_lt *lt, const struct call *c,
                      const struct cuda_lt_product *p, const cublasLtMatmulAlgo_t *algo)
{
    if (launch_algo(lt, c, p, p->trial, algo) == ST_OK) return true;
    error_clear();
    return false;
}

/* Seconds of RUNS runs, after one that loaded the kernel. */
static status time_algo(const struct cuda_lt *lt, const struct call *c,
                        const struct cuda_lt_product *p, const cublasLtMatmulAlgo_t *algo,
                        double *seconds)
{
    TRY(cuda_stream_sync(lt->stream));
    double const begin = clock_seconds();
    for (int i = 0; i < RUNS; i++) TRY(launch_algo(lt, c, p, p->trial, algo));
    TRY(cuda_stream_sync(lt->stream));
    *seconds = clock_seconds() - begin;
    return ST_OK;
}

static status pick_fastest(const struct cuda_lt *lt, const struct call *c,
                           const struct cuda_lt_product *p,
                           const cublasLtMatmulHeuristicResult_t *of, int count, int *out)
{
    double best = -1;

    for (int i = 0; i < count; i++) {
        double seconds;
        if (of[i].state != CUBLAS_STATUS_SUCCESS || !algo_runs(lt, c, p, &of[i].algo)) continue;
        TRY(time_algo(lt, c, p, &of[i].algo, &seconds));
        if (best >= 0 && !(seconds < best)) continue;
        best = seconds;
        *out = i;
    }
    if (best >= 0) return ST_OK;
    return fail(ST_DEVICE, "cuBLASLt: none of %d algorithms runs %lld x %lld x %lld", count,
                (long long)p->rows, (long long)p->n, (long long)p->k);
}

/* The first that cuBLASLt names, or of several the fastest. */
static status choose_algo(const struct cuda_lt *lt, const struct call *c,
                          const struct cuda_lt_product *p, bool first, cublasLtMatmulAlgo_t *out)
{
    cublasLtMatmulHeuristicResult_t named[CUDA_LT_TRIED];
    int count = 0, best = 0;

    TRY(check_lt(cublasLtMatmulAlgoGetHeuristic(lt->handle, c->product, c->w, c->x, c->out, c->out,
                                                c->preference, first ? 1 : CUDA_LT_TRIED, named,
                                                &count),
                 "no algorithm"));
    if (count < 1 || named[0].state != CUBLAS_STATUS_SUCCESS)
        return fail(ST_DEVICE, "cuBLASLt: no algorithm for %lld x %lld x %lld", (long long)p->rows,
                    (long long)p->n, (long long)p->k);
    if (!first) TRY(pick_fastest(lt, c, p, named, count, &best));
    *out = named[best].algo;
    return first ? launch_algo(lt, c, p, p->trial, out) : ST_OK;
}

static struct shape product_shape(const struct cuda_lt *lt, const struct cuda_lt_product *p)
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
        .fp8 = p->x_scale != NULL,
        .strict = lt->strict,
    };
}

static bool same_product(const struct shape *a, const struct shape *b)
{
    return a->rows == b->rows && a->n == b->n && a->k == b->k && a->out_step == b->out_step &&
           a->in == b->in && a->out == b->out && a->device == b->device && a->bias == b->bias &&
           a->add == b->add && a->gelu == b->gelu && a->fp8 == b->fp8 && a->strict == b->strict;
}

/* With the lock held. */
static bool find_choice(const struct shape *s, cublasLtMatmulAlgo_t *out)
{
    for (int i = 0; i < chosen.count; i++) {
        *out = chosen.algo[i];
        if (same_product(&chosen.shape[i], s)) return true;
    }
    return false;
}

/* Keep what was chosen, unless another thread was quicker: then take what that one chose. */
static void keep_choice(const struct shape *s, cublasLtMatmulAlgo_t *algo)
{
    cublasLtMatmulAlgo_t other;

    if (find_choice(s, &other)) {
        *algo = other;
        return;
    }
    chosen.shape[chosen.count] = *s;
    chosen.algo[chosen.count++] = *algo;
}

/* Timed without the lock: the stream may wait for another rank of this process. Where there
 * is no room to keep a choice, none is timed. */
static status settle_algo(const struct cuda_lt *lt, const struct call *c,
                          const struct cuda_lt_product *p, cublasLtMatmulAlgo_t *out)
{
    struct shape const s = product_shape(lt, p);

    pthread_mutex_lock(&chosen.lock);
    bool const found = find_choice(&s, out), full = chosen.count == CHOICES;
    pthread_mutex_unlock(&chosen.lock);
    if (found) return ST_OK;
    TRY(choose_algo(lt, c, p, lt->strict || full, out));
    pthread_mutex_lock(&chosen.lock);
    if (chosen.count < CHOICES) keep_choice(&s, out);
    pthread_mutex_unlock(&chosen.lock);
    return ST_OK;
}

static status prepare_call(const struct cuda_lt *lt, const struct call *c,
                           const struct cuda_lt_product *p)
{
    cublasLtMatmulAlgo_t algo;
    return settle_algo(lt, c, p, &algo);
}

static status run_call(const struct cuda_lt *lt, const struct call *c,
                       const struct cuda_lt_product *p)
{
    cublasLtMatmulAlgo_t algo;

    TRY(settle_algo(lt, c, p, &algo));
    return launch_algo(lt, c, p, p->to, &algo);
}

static status do_with_call(const struct cuda_lt *lt, const struct cuda_lt_product *p,
                           status (*todo)(const struct cuda_lt *, const struct call *,
                                          const struct cuda_lt_product *))
{
    struct call c;

    status st = open_call(&c, p, lt->strict);
    if (st == ST_OK) st = todo(lt, &c, p);
    close_call(&c);
    return st;
}

status cuda_lt_prepare(struct cuda_lt *lt, const struct cuda_lt_product *p)
{
    return do_with_call(lt, p, prepare_call);
}

status cuda_lt_run(struct cuda_lt *lt, const struct cuda_lt_product *p)
{
    return do_with_call(lt, p, run_call);
}
