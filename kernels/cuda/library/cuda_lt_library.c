/*
 * cuda_lt_library.c - cuBLASLt's functions, whose library is opened when the first is called.
 *
 * The library is half a gigabyte: linked to the program it costs each start, also of `rollmill
 * queue status` on a machine without a card, twice what all the others do together. So these stand
 * where the linker would look for it. cublasLtCreate comes before all others and opens it, once.
 */
#include <cublasLt.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)
#define LIBRARY    "libcublasLt.so." TEXT(CUBLAS_VER_MAJOR)

/* X(function, its parameters, their names): all that return a status. */
#define CALLS(X)                                                                                   \
    X(cublasLtCreate, (cublasLtHandle_t * out), (out))                                             \
    X(cublasLtDestroy, (cublasLtHandle_t lt), (lt))                                                \
    X(cublasLtMatmul,                                                                              \
      (cublasLtHandle_t lt, cublasLtMatmulDesc_t product, const void *alpha, const void *a,        \
       cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout,            \
       const void *beta, const void *c, cublasLtMatrixLayout_t c_layout, void *d,                  \
       cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo, void *workspace,         \
       size_t bytes, cudaStream_t stream),                                                         \
      (lt, product, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algo,         \
       workspace, bytes, stream))                                                                  \
    X(cublasLtMatmulAlgoGetHeuristic,                                                              \
      (cublasLtHandle_t lt, cublasLtMatmulDesc_t product, cublasLtMatrixLayout_t a,                \
       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,               \
       cublasLtMatmulPreference_t preference, int wanted, cublasLtMatmulHeuristicResult_t *found,  \
       int *count),                                                                                \
      (lt, product, a, b, c, d, preference, wanted, found, count))                                 \
    X(cublasLtMatmulDescCreate,                                                                    \
      (cublasLtMatmulDesc_t * out, cublasComputeType_t sums, cudaDataType_t scale),                \
      (out, sums, scale))                                                                          \
    X(cublasLtMatmulDescDestroy, (cublasLtMatmulDesc_t product), (product))                        \
    X(cublasLtMatmulDescSetAttribute,                                                              \
      (cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t name, const void *from,        \
       size_t bytes),                                                                              \
      (product, name, from, bytes))                                                                \
    X(cublasLtMatrixLayoutCreate,                                                                  \
      (cublasLtMatrixLayout_t * out, cudaDataType type, uint64_t rows, uint64_t columns,           \
       int64_t step),                                                                              \
      (out, type, rows, columns, step))                                                            \
    X(cublasLtMatrixLayoutDestroy, (cublasLtMatrixLayout_t layout), (layout))                      \
    X(cublasLtMatmulPreferenceCreate, (cublasLtMatmulPreference_t * out), (out))                   \
    X(cublasLtMatmulPreferenceDestroy, (cublasLtMatmulPreference_t preference), (preference))      \
    X(cublasLtMatmulPreferenceSetAttribute,                                                        \
      (cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name,           \
       const void *from, size_t bytes),                                                            \
      (preference, name, from, bytes))

/* Where these are, once the library is open; until then missing says why it is not. */
static struct {
    pthread_once_t once;
    char missing[512];
#define FIELD(name, parameters, names) cublasStatus_t(*name) parameters;
    CALLS(FIELD)
    const char *(*cublasLtGetStatusString)(cublasStatus_t status);
} library = { .once = PTHREAD_ONCE_INIT, .missing = LIBRARY " is not open" };

/* *to: a pointer to a function, which dlsym gives as one to an object (as POSIX has it). */
static bool find_function(void *from, const char *name, void *to)
{
    void *const found = dlsym(from, name);
    memcpy(to, &found, sizeof found);
    return found != NULL;
}

static void open_library(void)
{
    void *const from = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

#define FIND(name, parameters, names) &&find_function(from, #name, &library.name)
    if (from && find_function(from, "cublasLtGetStatusString", &library.cublasLtGetStatusString)
                    CALLS(FIND))
        library.missing[0] = '\0';
    else snprintf(library.missing, sizeof library.missing, "%s", dlerror());
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return library.missing[0] ? library.missing : library.cublasLtGetStatusString(status);
}

#define CALL(name, parameters, names)                                                              \
    cublasStatus_t name parameters                                                                 \
    {                                                                                              \
        pthread_once(&library.once, open_library);                                                 \
        return library.missing[0] ? CUBLAS_STATUS_NOT_INITIALIZED : library.name names;            \
    }
CALLS(CALL)
