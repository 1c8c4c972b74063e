#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cuda_pixels.h"
#include "kernels/cuda/cuda_plain.h"
#include "kernels/kern_check.h"

status cuda_fast_channel_norm(struct kern_ctx *ctx, const struct kern_channel_norm *a)
{
    struct cuda_norm_plan plan;
    struct cuda_ctx *c;

    TRY(kern_check_channel_norm(a));
    if (!tensor_count(a->x)) return ST_OK;
    if (!cuda_norm_plan(&plan, a)) return cuda_plain_channel_norm(ctx, a);
    TRY(cuda_enter(ctx, &c));
    return cuda_channel_norm_rows(a, &plan, c->stream);
}
