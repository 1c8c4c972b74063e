/*
 * standin_lt.c - the calls of cuBLASLt that the program makes, on the host: naive products
 * over the stand-in's device memory.
 *
 * What cuBLASLt would refuse or silently get wrong ends the process: an algorithm of another
 * shape, memory or rows that are not aligned as was promised, a residual with GELU. FP8 is
 * e4m3 with a scale per row of either side, BF16 out and no epilogue: no more is known to go.
 */
#include "tests/standin/standin.h"
#include "tests/standin/standin_number.h"

#include <cublasLt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct product {
    cublasOperation_t turned;
    cublasLtEpilogue_t epilogue;
    const void *bias;
    int32_t w_mode, x_mode; /* of scales */
    const void *w_scale, *x_scale;
};

struct layout {
    cudaDataType type;
    int64_t rows, cols, step;
};

struct request {
    uint64_t workspace;
    uint32_t align[4], schemes;
};

static struct product *product_of(cublasLtMatmulDesc_t d) { return (struct product *)(void *)d; }
static struct layout *layout_of(cublasLtMatrixLayout_t d) { return (struct layout *)(void *)d; }
static struct request *request_of(cublasLtMatmulPreference_t d)
{
    return (struct request *)(void *)d;
}

static void must_hold(bool good, const char *what)
{
    if (!good) standin_stop("cuBLASLt: %s", what);
}

const char *cublasLtGetStatusString(cublasStatus_t code)
{
    return code == CUBLAS_STATUS_SUCCESS ? "no error" : "refused by the stand-in";
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    *out = malloc(1);
    return *out ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                        cudaDataType scale)
{
    must_hold(compute == CUBLAS_COMPUTE_32F && scale == CUDA_R_32F, "sums are not F32");
    *out = calloc(1, sizeof(struct product));
    return *out ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    free(product_of(d));
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                              cublasLtMatmulDescAttributes_t name, const void *from,
                                              size_t bytes)
{
    struct product *const p = product_of(d);

    switch (name) {
    case CUBLASLT_MATMUL_DESC_TRANSA: memcpy(&p->turned, from, bytes); break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE: memcpy(&p->epilogue, from, bytes); break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: memcpy(&p->bias, from, bytes); break;
    case CUBLASLT_MATMUL_DESC_A_SCALE_MODE: memcpy(&p->w_mode, from, bytes); break;
    case CUBLASLT_MATMUL_DESC_B_SCALE_MODE: memcpy(&p->x_mode, from, bytes); break;
    case CUBLASLT_MATMUL_DESC_A_SCALE_POINTER: memcpy(&p->w_scale, from, bytes); break;
    case CUBLASLT_MATMUL_DESC_B_SCALE_POINTER: memcpy(&p->x_scale, from, bytes); break;
    default: must_hold(false, "an attribute of a product that the stand-in has not");
    }
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t step)
{
    struct layout *const l = malloc(sizeof *l);

    must_hold(type == CUDA_R_32F || type == CUDA_R_16BF || type == CUDA_R_8F_E4M3,
              "a dtype the stand-in has not");
    must_hold(step >= (int64_t)rows, "columns that overlap");
    *out = (void *)l;
    if (!l) return CUBLAS_STATUS_ALLOC_FAILED;
    *l = (struct layout){ type, (int64_t)rows, (int64_t)cols, step };
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t d)
{
    free(layout_of(d));
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    *out = calloc(1, sizeof(struct request));
    return *out ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t d)
{
    free(request_of(d));
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t d,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void *from, size_t bytes)
{
    struct request *const w = request_of(d);

    switch (name) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: memcpy(&w->workspace, from, bytes); break;
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: memcpy(&w->schemes, from, bytes); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: memcpy(&w->align[0], from, bytes); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: memcpy(&w->align[1], from, bytes); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: memcpy(&w->align[2], from, bytes); break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: memcpy(&w->align[3], from, bytes); break;
    default: must_hold(false, "a preference that the stand-in has not");
    }
    return CUBLAS_STATUS_SUCCESS;
}

/* What makes an algorithm this shape's: sizes and types. Alignment was promised once. */
static uint64_t algo_mark(const struct product *p, const struct layout *w, const struct layout *x,
                          const struct layout *out)
{
    uint64_t const of[] = { (uint64_t)p->epilogue, (uint64_t)w->rows, (uint64_t)w->cols,
                            (uint64_t)x->cols,     (uint64_t)w->type, (uint64_t)out->type,
                            (uint64_t)out->step,   p->bias ? 1ull : 0 };
    uint64_t mark = 14695981039346656037ull;

    for (size_t i = 0; i < sizeof of / sizeof *of; i++) mark = (mark ^ of[i]) * 1099511628211ull;
    return mark;
}

enum { ALGORITHMS = 2 };

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t w, cublasLtMatrixLayout_t x,
                                              cublasLtMatrixLayout_t add,
                                              cublasLtMatrixLayout_t out,
                                              cublasLtMatmulPreference_t request, int wanted,
                                              cublasLtMatmulHeuristicResult_t named[], int *count)
{
    (void)handle;
    standin_counted(STANDIN_CHOSEN);
    must_hold(add == out, "a residual of another layout");
    must_hold(request_of(request)->workspace > 0, "no workspace");
    for (int i = 0; i < 4; i++)
        must_hold(request_of(request)->align[i] == 16, "an alignment other than it is called with");
    *count = wanted < ALGORITHMS ? wanted : ALGORITHMS;
    for (int i = 0; i < *count; i++) {
        memset(&named[i], 0, sizeof named[i]);
        named[i].algo.data[0] =
            algo_mark(product_of(product), layout_of(w), layout_of(x), layout_of(out));
        named[i].state = CUBLAS_STATUS_SUCCESS;
    }
    return CUBLAS_STATUS_SUCCESS;
}

/* ---- the product ---------------------------------------------------------------- */

static size_t type_bytes(cudaDataType type)
{
    return type == CUDA_R_32F ? 4 : type == CUDA_R_16BF ? 2 : 1;
}

static void *aligned_data(const void *p, const struct layout *l)
{
    must_hold(standin_is_device(p), "memory that is not the device's");
    must_hold((uintptr_t)p % 16 == 0 && (uint64_t)l->step * type_bytes(l->type) % 16 == 0,
              "memory that is not aligned");
    return standin_at(p);
}

static float get_number(const void *p, cudaDataType type, int64_t i)
{
    if (type == CUDA_R_8F_E4M3) return standin_from_e4m3(((const unsigned char *)p)[i]);
    return type == CUDA_R_32F ? ((const float *)p)[i] : f32_from_bf16(((const uint16_t *)p)[i]);
}

static void put_number(void *p, cudaDataType type, int64_t i, float v)
{
    if (type == CUDA_R_32F) ((float *)p)[i] = v;
    else ((uint16_t *)p)[i] = bf16_from_f32(v);
}

/* Columns of a matrix as F32, one behind another. */
static float *matrix_floats(const void *p, const struct layout *l)
{
    float *const f = malloc((size_t)(l->rows * l->cols + 1) * sizeof *f);

    must_hold(f != NULL, "out of memory");
    for (int64_t c = 0; c < l->cols; c++)
        for (int64_t r = 0; r < l->rows; r++)
            f[c * l->rows + r] = get_number(p, l->type, c * l->step + r);
    return f;
}

static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

static double apply_epilogue(const struct product *p, cudaDataType type, int64_t row, double sum)
{
    bool const has_bias = p->epilogue & CUBLASLT_EPILOGUE_BIAS;

    if (has_bias) sum += (double)get_number(standin_at(p->bias), type, row);
    return p->epilogue & CUBLASLT_EPILOGUE_GELU ? gelu_tanh(sum) : sum;
}

/* In several sums at once, which a compiler makes quick. */
enum { LANES = 16 };
static double dot_lanes(const float *a, const float *b, int64_t n)
{
    float lane[LANES] = { 0 };
    double sum = 0;

    for (int64_t i = 0; i < n / LANES; i++)
        for (int j = 0; j < LANES; j++) lane[j] += a[i * LANES + j] * b[i * LANES + j];
    for (int64_t i = n / LANES * LANES; i < n; i++) sum += (double)a[i] * (double)b[i];
    for (int j = 0; j < LANES; j++) sum += (double)lane[j];
    return sum;
}

static void check_scales(const struct product *p, const struct layout *w, const struct layout *x,
                         const struct layout *out)
{
    bool const fp8 = w->type == CUDA_R_8F_E4M3;
    int32_t const by_row = CUBLASLT_MATMUL_MATRIX_SCALE_OUTER_VEC_32F;

    must_hold(x->type == w->type, "two dtypes");
    must_hold(out->type != CUDA_R_8F_E4M3, "an output the stand-in has not");
    must_hold(fp8 == (p->w_scale != NULL) && fp8 == (p->x_scale != NULL), "scales with FP8 alone");
    if (!fp8) return;
    must_hold(p->w_mode == by_row && p->x_mode == by_row, "scales that are not by row");
    must_hold((uintptr_t)p->w_scale % 16 == 0 && (uintptr_t)p->x_scale % 16 == 0,
              "scales' alignment");
    must_hold(out->type == CUDA_R_16BF && p->epilogue == CUBLASLT_EPILOGUE_DEFAULT,
              "an end that FP8 is not known to have");
}

static double scale_at(const void *at, int64_t i)
{
    return at ? (double)((const float *)standin_at(at))[i] : 1;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                              const void *alpha, const void *w_at, cublasLtMatrixLayout_t w_as,
                              const void *x_at, cublasLtMatrixLayout_t x_as, const void *beta,
                              const void *add_at, cublasLtMatrixLayout_t add_as, void *out_at,
                              cublasLtMatrixLayout_t out_as, const cublasLtMatmulAlgo_t *algo,
                              void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
    const struct product *const p = product_of(product);
    const struct layout *const w = layout_of(w_as), *const x = layout_of(x_as);
    const struct layout *const out = layout_of(out_as);
    float const by = *(const float *)beta;

    (void)handle, (void)stream, (void)workspace_bytes;
    must_hold(standin_is_device(workspace) && *(const float *)alpha == 1.0f, "arguments");
    must_hold(algo && algo->data[0] == algo_mark(p, w, x, out), "an algorithm of another shape");
    must_hold(p->turned == CUBLAS_OP_T && w->rows == x->rows && w->cols == out->rows &&
                  x->cols == out->cols && add_as == out_as,
              "shapes that do not fit");
    must_hold(!(p->epilogue & CUBLASLT_EPILOGUE_GELU) || by == 0.0f, "a residual with GELU");
    check_scales(p, w, x, out);
    must_hold(by == 0.0f || !p->w_scale, "a residual with FP8");
    const void *const add = aligned_data(add_at, out);
    void *const to = aligned_data(out_at, out);
    float *const a = matrix_floats(aligned_data(w_at, w), w), *const b = matrix_floats(
                                                                  aligned_data(x_at, x), x);

    for (int64_t c = 0; c < out->cols; c++)
        for (int64_t r = 0; r < out->rows; r++) {
            int64_t const at = c * out->step + r;
            double sum = dot_lanes(a + r * w->rows, b + c * w->rows, w->rows) *
                         scale_at(p->w_scale, r) * scale_at(p->x_scale, c);
            if (by != 0.0f) sum += (double)by * (double)get_number(add, out->type, at);
            put_number(to, out->type, at, (float)apply_epilogue(p, out->type, r, sum));
        }
    free(a);
    free(b);
    return CUBLAS_STATUS_SUCCESS;
}
