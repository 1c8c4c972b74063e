#include "kernels/cuda_pixels.h"
#include "kernels/kern_check.h"
#include "kernels/kern_cuda.h"
#include "kernels/kern_cuda_plain.h"

status cuda_pixels_channel_norm(struct kern_ctx *ctx, const struct kern_channel_norm *a)
{
    struct cuda_norm_plan plan;
    struct cuda_ctx *c;

    TRY(kern_check_channel_norm(a));
    if (!tensor_count(a->x)) return ST_OK;
    if (!cuda_norm_plan(&plan, a)) return cuda_plain_channel_norm(ctx, a);
    TRY(cuda_enter(ctx, &c));
    return cuda_channel_norm_rows(a, &plan, c->stream);
}
