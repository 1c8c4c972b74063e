/*
 * unit_cuda_lt.c - cuBLASLt's functions reach the real library, which asks no card for a
 * descriptor.
 */
#include "tests/support/unit.h"

#include <cublasLt.h>

static void descriptors_are_made_and_read(void **state)
{
    cublasOperation_t const turned = CUBLAS_OP_T;
    cublasLtMatmulDesc_t product = NULL;
    cublasLtMatrixLayout_t layout = NULL;
    cublasLtMatmulPreference_t preference = NULL;
    uint64_t const bytes = 1 << 20;

    (void)state;
    assert_int_equal(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                     CUBLAS_STATUS_SUCCESS);
    assert_non_null(product);
    assert_int_equal(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &turned,
                                                    sizeof turned),
                     CUBLAS_STATUS_SUCCESS);
    assert_int_equal(
        cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &turned, 0),
        CUBLAS_STATUS_INVALID_VALUE);
    assert_int_equal(cublasLtMatrixLayoutCreate(&layout, CUDA_R_16BF, 64, 32, 64),
                     CUBLAS_STATUS_SUCCESS);
    assert_int_equal(cublasLtMatmulPreferenceCreate(&preference), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(cublasLtMatmulPreferenceSetAttribute(preference,
                                                          CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                          &bytes, sizeof bytes),
                     CUBLAS_STATUS_SUCCESS);
    assert_int_equal(cublasLtMatmulPreferenceDestroy(preference), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(cublasLtMatrixLayoutDestroy(layout), CUBLAS_STATUS_SUCCESS);
    assert_int_equal(cublasLtMatmulDescDestroy(product), CUBLAS_STATUS_SUCCESS);
    assert_non_null(strstr(cublasLtGetStatusString(CUBLAS_STATUS_INVALID_VALUE), "value"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(descriptors_are_made_and_read) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
