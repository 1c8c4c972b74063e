/* kern_cpu_ops.h - what the CPU backend's files share. Private to kernels/. */
#ifndef KERN_CPU_OPS_H
#define KERN_CPU_OPS_H

#include "base/pool.h"
#include "kernels/cpu/dnn.h"
#include "kernels/cpu/vec.h"
#include "kernels/kern_check.h"

struct cpu_ctx {
    struct kern_ctx base; /* first member: a kern_ctx * is a cpu_ctx * here */
    struct pool *pool;
    struct dnn *dnn;
    const struct vec_ops *vec;
    bool amx;       /* cpu_has_amx */
    void **scratch; /* [threads], scratch_bytes each: see cpu_scratch */
    size_t scratch_bytes;
    void *shared; /* shared_bytes: what all workers read, such as packed keys */
    size_t shared_bytes;
};

/* What tiles of this precision compute in: BF16 where the machine is good at
 * it, else F32. Weights are packed in it. */
enum dtype cpu_tile_dtype(enum dtype act);

/* True if our own code for the matrix unit (amx.h) may be used. Slow to ask;
 * operations have the answer in their context. */
bool cpu_has_amx(void);

/* Make sure every worker has `bytes` of scratch, or all together have. What was
 * there is lost. Never while tasks run. */
status cpu_scratch(struct cpu_ctx *c, size_t bytes) MUST_USE;
status cpu_shared(struct cpu_ctx *c, size_t bytes) MUST_USE;

/* To the next multiple of ARENA_ALIGN. */
size_t cpu_round_up(size_t bytes);

/* The next `bytes` of a block of scratch, aligned; NULL, but counted in *used,
 * while block is NULL. */
void *cpu_cut(size_t *used, void *block, size_t bytes);

size_t cpu_linear_bytes(const struct kern_weight *w);
status cpu_linear_pack(struct cpu_ctx *, const struct kern_pack *);

/* Convolution weights are packed tap by tap in time, and in slabs of channels
 * small enough to stay in cache. */
size_t cpu_conv_bytes(const struct kern_weight *w);
status cpu_conv_pack(struct cpu_ctx *, const struct kern_pack *);

status cpu_linear(struct kern_ctx *, const struct kern_linear *);
status cpu_attention(struct kern_ctx *, const struct kern_attention *);
status cpu_conv3d(struct kern_ctx *, const struct kern_conv3d *);
status cpu_merge(struct kern_ctx *, const struct kern_merge *);
status cpu_layernorm(struct kern_ctx *, const struct kern_layernorm *);
status cpu_rmsnorm(struct kern_ctx *, const struct kern_rmsnorm *);
status cpu_rope(struct kern_ctx *, const struct kern_rope *);
status cpu_channel_norm(struct kern_ctx *, const struct kern_channel_norm *);
status cpu_mul(struct kern_ctx *, const struct kern_mul *);
status cpu_pictures(struct kern_ctx *, const struct kern_pictures *);
status cpu_axpby(struct kern_ctx *, const struct kern_axpby *);
status cpu_quantize_e4m3(struct kern_ctx *, const struct kern_quantize_e4m3 *);
status cpu_dequantize_e4m3(struct kern_ctx *, const struct kern_dequantize_e4m3 *);

#endif /* KERN_CPU_OPS_H */
