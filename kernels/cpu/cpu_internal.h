/*
 * cpu_internal.h - what the files of the CPU backend share. Private to kernels/cpu/.
 *
 *   kern_cpu.c              the table; opens and closes a context
 *   kern_cpu_util.c         a context's scratch, and what tiles compute in
 *   kern_cpu_rows.c         operations on rows and single elements, by vec.c
 *   kern_cpu_linear.c       the matrix product, in tiles: _dnn by oneDNN, _amx by own code
 *   kern_cpu_attention.c    attention, likewise
 *   kern_cpu_conv.c         convolution, by oneDNN
 *   kern_cpu_pictures.c     pictures to bytes
 *
 * All of them cut an operation into tasks by its shapes alone and hand these to the pool; what
 * computes one task, on one thread, is in cpu_tile.h.
 */
#ifndef CPU_INTERNAL_H
#define CPU_INTERNAL_H

#include "base/pool.h"
#include "kernels/cpu/cpu_tile.h"
#include "kernels/kern_internal.h"

/* ---- context and operations ----------------------------------------------------- */

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

/* True if our own code for the matrix unit (amx.c) may be used. Slow to ask;
 * operations have the answer in their context. */
bool cpu_has_amx(void);

/* Make sure every worker has `bytes` of scratch, or all together have. What was
 * there is lost. Never while tasks run. */
status cpu_scratch(struct cpu_ctx *c, size_t bytes) MUST_USE;
status cpu_shared(struct cpu_ctx *c, size_t bytes) MUST_USE;

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
status cpu_score_keys(struct kern_ctx *, const struct kern_score_keys *);
status cpu_sum_rows(struct kern_ctx *, const struct kern_sum_rows *);
status cpu_quantize_e4m3(struct kern_ctx *, const struct kern_quantize_e4m3 *);
status cpu_dequantize_e4m3(struct kern_ctx *, const struct kern_dequantize_e4m3 *);

/* ---- the matrix product: kern_cpu_linear_tile.c ----------------------------------
 *
 * The frame both ways of the product share. A task is a tile of rows by one panel of columns.
 * Tasks go down the rows of one panel before the next, so that the panel stays in cache while
 * rows stream by.
 */

struct linear {
    struct cpu_ctx *c;
    const struct kern_linear *a;
    int64_t rows, n, k;

    /* set by a way's plan */
    enum dtype tile;      /* dtype of tiles and packed weights */
    int64_t panel;        /* columns of a whole panel */
    int64_t tile_rows;    /* of a whole tile */
    int64_t row_step;     /* rows of the last tile are a multiple, filled up with zeros */
    size_t panel_bytes;   /* packed, of one whole panel */
    size_t scratch_bytes; /* per worker */
    pool_task run;        /* tasks of panel * row tiles + row tile */
    const struct dnn_plan *plan[2][2]; /* [rows: whole, rest][panel: whole, rest] */
};

/* A way's plan, and its packed weights. */
status linear_plan_dnn(struct linear *l) MUST_USE; /* anything */
status linear_plan_amx(struct linear *l) MUST_USE; /* linear_suits_amx */
size_t linear_bytes_dnn(const struct tensor *w);
size_t linear_bytes_amx(const struct tensor *w);
status linear_pack_dnn(struct cpu_ctx *c, const struct kern_pack *a) MUST_USE;
status linear_pack_amx(struct cpu_ctx *c, const struct kern_pack *a) MUST_USE;

/* One answer for a weight's life: by its dtype, its k and the machine (cpu_has_amx). */
bool linear_suits_amx(const struct tensor *w, bool amx);

/* One tile: its place in the result, and how high it is with its zeros. */
struct linear_tile {
    int64_t first, rows, height; /* rows */
    int64_t panel, col, cols;
};
struct linear_tile linear_tile(const struct linear *l, int64_t task);

/* The x of a tile, dense and `height` high: in place if it can be, else in `copy`. */
const void *linear_rows(const struct linear *l, const struct linear_tile *t, void *copy);

/* Bias, activation, gate and residual over a rectangle of sums; y: rows y_step apart. */
struct linear_sums {
    const float *y;
    int64_t y_step, first, rows, col, cols;
};
void linear_finish(const struct linear *l, const struct linear_sums *s);

/* Rows first..first+count-1 of a plain weight [n, k], in its compute dtype; copied
 * to `to` if they are stored in another. */
status linear_plain(const struct kern_pack *a, int64_t first, int64_t count, void *to,
                    const void **out) MUST_USE;

/* ---- attention: kern_cpu_attention_tile.c -----------------------------------------
 *
 * The frame both ways of attention share:
 *   pack    each head's keys and values, chunk by chunk, once for all queries
 *   attend  each head's queries, tile by tile, over all chunks, with the softmax
 *           corrected whenever a larger score turns up
 *
 * Heads are taken in groups that bound the packed bytes. All segments count as
 * one row of keys; a chunk may cross from one to the next.
 */

struct attention {
    struct cpu_ctx *c;
    const struct kern_attention *a;
    int64_t dim, head_dim, queries, keys; /* of the whole call */
    int64_t group, first_head;            /* heads packed at once | the first of them now */

    /* set by a way's plan */
    enum dtype tile;                    /* what tiles compute in */
    int64_t tile_queries, chunk_keys;   /* queries of a tile, keys of a chunk, at most */
    size_t chunk_bytes;                 /* one packed chunk */
    size_t scratch_bytes;               /* per worker */
    pool_task pack, attend;             /* tasks of head * chunks + chunk | head * tiles + tile */
    const struct dnn_plan *score[2][2]; /* [queries: whole, rest][keys: whole, rest] */
    const struct dnn_plan *value[2][2];
};

/* A way's plan: fills in what is set above. */
status attention_plan_dnn(struct attention *t) MUST_USE; /* anything */
status attention_plan_amx(struct attention *t) MUST_USE; /* attention_suits_amx */
bool attention_suits_amx(const struct attention *t);

int64_t attention_chunks(const struct attention *t);
int64_t attention_tiles(const struct attention *t);
int64_t attention_chunk_keys(const struct attention *t, int64_t chunk);   /* keys in it */
int64_t attention_tile_queries(const struct attention *t, int64_t query); /* from query on */

/* A task of `attend` or `pack`: which head of the group, and which of its parts. */
struct attention_part {
    int64_t head, part; /* head: within the group */
};
struct attention_part attention_part(int64_t task, int64_t parts);

/* What some rows of one head have found in the end: of their scores in units of log 2
 * the largest, and the sum of 2^(score - largest). Stores lse, if asked for. */
struct attention_sums {
    int64_t query, rows, head; /* head: within the group */
    const float *max, *sum;
};
void attention_put_lse(const struct attention *t, const struct attention_sums *s);

void *attention_packed(const struct attention *t, int64_t head, int64_t chunk);

/* One head's columns of some rows, dense, in the tile's dtype. */
void attention_gather(const struct attention *t, void *to, const struct tensor *from, int64_t first,
                      int64_t rows, int64_t head);

/* The keys or values of one chunk, filled up with zeros to `rows` rows. */
void attention_gather_chunk(const struct attention *t, void *to, bool values, int64_t chunk,
                            int64_t head, int64_t rows);

#endif /* CPU_INTERNAL_H */
