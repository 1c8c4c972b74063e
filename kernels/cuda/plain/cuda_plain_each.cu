/* cuda_plain_each.cu - level 1: operations on single elements, a thread to each. */
#include "kernels/cuda/cuda_device.cuh"

extern "C" {
#include "kernels/cuda/plain/cuda_plain_kernels.h"
}

template <typename T> static __global__ void mul_plain(struct cuda_mul p)
{
    for (int64_t i = grid_first(); i < p.count; i += grid_step())
        store((T *)p.out + i, __fmul_rn(load((const T *)p.a + i), load((const T *)p.b + i)));
}

status cuda_mul(const struct cuda_plan *plan, const struct cuda_mul *p, bool act_bf16, void *stream)
{
    return CUDA_EACH(act_bf16, mul_plain, plan, stream, *p);
}

/* Cosine and sine of a pair of a row of this number. */
static __device__ const float *angle_of(const struct cuda_rope &p, int64_t row, int64_t pair)
{
    int64_t const x = row % p.w, y = row / p.w % p.h, frame = row / p.w / p.h;
    int64_t const head = pair / p.head_pairs;
    int64_t j = pair - head * p.head_pairs;

    if (j < p.time_pairs) return p.time + 2 * (frame * p.frame_step + head * p.head_step + j);
    j -= p.time_pairs;
    if (j < p.y_pairs) return p.row + 2 * (y * p.y_pairs + j);
    return p.col + 2 * (x * p.x_pairs + j - p.y_pairs);
}

template <typename T> static __global__ void rope_plain(struct cuda_rope p)
{
    for (int64_t i = grid_first(); i < p.count; i += grid_step()) {
        const float *const rotation = angle_of(p, i / p.row_pairs, i % p.row_pairs);
        const T *const x = (const T *)p.x + 2 * i;
        T *const out = (T *)p.out + 2 * i;
        float const re = load(x), im = load(x + 1);

        store(out, re * rotation[0] - im * rotation[1]);
        store(out + 1, re * rotation[1] + im * rotation[0]);
    }
}

status cuda_rope(const struct cuda_plan *plan, const struct cuda_rope *p, bool act_bf16,
                 void *stream)
{
    return CUDA_EACH(act_bf16, rope_plain, plan, stream, *p);
}

/* A side without weight may hold what is no number. */
template <typename X, typename T> static __global__ void merge_plain(struct cuda_merge p)
{
    for (int64_t i = grid_first(); i < p.count; i += grid_step()) {
        float const la = p.a_lse[i / p.head_dim], lb = p.b_lse[i / p.head_dim];
        float const most = fmaxf(la, lb), wa = expf(la - most), wb = expf(lb - most);
        float const a = wa > 0 ? wa * load((const X *)p.a + i) : 0;
        float const b = wb > 0 ? wb * load((const X *)p.b + i) : 0;

        store((T *)p.out + i, (a + b) / (wa + wb));
    }
}

status cuda_merge(const struct cuda_plan *plan, const struct cuda_merge *p, bool parts_bf16,
                  bool act_bf16, void *stream)
{
    unsigned const grid = plan->grid[0], threads = plan->threads;

    if (parts_bf16) return CUDA_LAUNCH((merge_plain<bf16, bf16>), grid, threads, 0, stream, *p);
    if (act_bf16) return CUDA_LAUNCH((merge_plain<float, bf16>), grid, threads, 0, stream, *p);
    return CUDA_LAUNCH((merge_plain<float, float>), grid, threads, 0, stream, *p);
}

/* i counts [frames, h/2, w/2, c, 2, 2]. */
template <typename T> static __global__ void patchify_plain(struct cuda_patchify p)
{
    for (int64_t i = grid_first(); i < p.count; i += grid_step()) {
        int64_t const px = i % 2, py = i / 2 % 2, c = i / 4 % p.c, token = i / 4 / p.c;
        int64_t const x = token % (p.w / 2), line = token / (p.w / 2);
        int64_t const y = line % (p.h / 2), f = line / (p.h / 2);

        store((T *)p.out + i, p.latent[((f * p.c + c) * p.h + 2 * y + py) * p.w + 2 * x + px]);
    }
}

status cuda_patchify(const struct cuda_plan *plan, const struct cuda_patchify *p, bool act_bf16,
                     void *stream)
{
    return CUDA_EACH(act_bf16, patchify_plain, plan, stream, *p);
}

/* i counts [frames, c, h, w]. */
static __global__ void unpatchify_plain(struct cuda_unpatchify p)
{
    for (int64_t i = grid_first(); i < p.count; i += grid_step()) {
        int64_t const x = i % p.w, y = i / p.w % p.h, c = i / p.w / p.h % p.c;
        int64_t const f = i / p.w / p.h / p.c;
        int64_t const token = (f * (p.h / 2) + y / 2) * (p.w / 2) + x / 2;

        p.out[i] = p.tokens[(token * 4 + y % 2 * 2 + x % 2) * p.c + c];
    }
}

status cuda_unpatchify(const struct cuda_plan *plan, const struct cuda_unpatchify *p, void *stream)
{
    return CUDA_LAUNCH(unpatchify_plain, plan->grid[0], plan->threads, 0, stream, *p);
}

static __global__ void axpby_plain(struct cuda_axpby p)
{
    for (int64_t i = grid_first(); i < p.count; i += grid_step())
        p.out[i] = (float)(p.a * (double)p.x[i] + p.b * (double)p.y[i]);
}

status cuda_axpby(const struct cuda_plan *plan, const struct cuda_axpby *p, void *stream)
{
    return CUDA_LAUNCH(axpby_plain, plan->grid[0], plan->threads, 0, stream, *p);
}
