#include "kernels/cuda/cuda_fp8_plan.h"
#include "kernels/cuda/cuda_fused_plan.h"

bool cuda_fp8_packs(const struct kern_weight *w)
{
    const int64_t *const dim = w->t.dim;

    return w->use == KERN_LINEAR_COARSE && w->t.dtype == DT_BF16 && dim[0] > 0 && dim[1] > 0 &&
           dim[0] % CUDA_FP8_STEP == 0 && dim[1] % CUDA_FP8_STEP == 0;
}

struct cuda_fp8_rows cuda_fp8_rows(int64_t rows, int64_t k)
{
    struct cuda_fp8_rows r = { 0 };

    cuda_fused_take(&r.bytes, (size_t)(rows * k));
    r.scales = cuda_fused_take(&r.bytes, (size_t)rows * sizeof(float));
    return r;
}

struct cuda_fp8_scratch cuda_fp8_scratch(int64_t rows, int64_t k, int64_t sums)
{
    struct cuda_fp8_scratch s = { .x = cuda_fp8_rows(rows, k) };

    s.bytes = s.x.bytes;
    s.sums = cuda_fused_take(&s.bytes, (size_t)(rows * sums) * sizeof(uint16_t));
    return s;
}
