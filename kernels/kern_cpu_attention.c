/*
 * kern_cpu_attention.c - attention over chunks of keys, softmax as it goes.
 *
 *   pack    each head's keys and values, 512 keys at a time, once for all queries
 *   attend  each head's queries, 128 at a time: for every chunk the scores, the
 *           softmax with the largest score so far, the values
 *
 * Heads are taken in groups that bound the packed bytes. All segments count as
 * one row of keys; a chunk may cross from one to the next.
 */
#include "kernels/kern_cpu_ops.h"

#include <math.h>
#include <string.h>

enum { QUERIES = 128, KEYS = 512, KEY_STEP = 64 };
static const size_t group_bytes = (size_t)64 << 20;

struct attention {
    struct cpu_ctx *c;
    const struct kern_attention *a;
    enum dtype tile;
    int64_t dim, hd, nq, keys;
    int64_t chunks, query_tiles;
    int64_t group, first_head; /* heads packed at once | the first of them now */
    size_t k_bytes, v_bytes;   /* of one packed chunk */
    /* [queries: whole, rest][keys: whole, rest] */
    const struct dnn_plan *score[2][2], *value[2][2];
};

/* A worker's memory for one tile of queries. */
struct tile {
    void *q, *p;           /* [QUERIES, hd], [QUERIES, KEYS] in the tile's dtype */
    float *score, *values; /* [QUERIES, KEYS], [QUERIES, hd] */
    float *max, *sum;      /* [QUERIES] */
};

static size_t tile_cut(const struct attention *t, void *block, struct tile *out)
{
    size_t const size = dtype_size(t->tile);
    size_t used = 0;

    out->q = cpu_cut(&used, block, (size_t)(QUERIES * t->hd) * size);
    out->p = cpu_cut(&used, block, QUERIES * KEYS * size);
    out->score = cpu_cut(&used, block, QUERIES * KEYS * sizeof(float));
    out->values = cpu_cut(&used, block, (size_t)(QUERIES * t->hd) * sizeof(float));
    out->max = cpu_cut(&used, block, QUERIES * sizeof(float));
    out->sum = cpu_cut(&used, block, QUERIES * sizeof(float));
    return used;
}

static int64_t chunk_keys(const struct attention *t, int64_t chunk)
{
    int64_t const left = t->keys - chunk * KEYS;
    return left < KEYS ? left : KEYS;
}

/* Keys of a packed chunk: those there are, and zeros up to a whole step. */
static int64_t padded(int64_t keys) { return (keys + KEY_STEP - 1) / KEY_STEP * KEY_STEP; }

/* One head's columns of `rows` rows, dense, in the tile's dtype. */
static void gather(const struct attention *t, void *to, const struct tensor *from, int64_t first,
                   int64_t rows, int64_t head)
{
    size_t const in = dtype_size(from->dtype), out = dtype_size(t->tile);

    for (int64_t r = 0; r < rows; r++) {
        int64_t const at = (first + r) * t->dim + head * t->hd;
        t->c->vec->convert((unsigned char *)to + (size_t)(r * t->hd) * out, t->tile,
                           (const unsigned char *)from->data + (size_t)at * in, from->dtype, t->hd);
    }
}

/* The keys (or values) of one chunk, from the segments it lies in. */
static void gather_chunk(const struct attention *t, void *to, bool values, int64_t chunk,
                         int64_t head)
{
    size_t const row = (size_t)t->hd * dtype_size(t->tile);
    int64_t const keys = chunk_keys(t, chunk);
    int64_t first = chunk * KEYS, got = 0;

    for (int i = 0; got < keys; i++) {
        const struct kern_segment *const s = &t->a->segments[i];
        int64_t const n = s->k.dim[0];
        if (first < n) {
            int64_t const rows = n - first < keys - got ? n - first : keys - got;
            gather(t, (unsigned char *)to + (size_t)got * row, values ? &s->v : &s->k, first, rows,
                   head);
            got += rows;
            first += rows;
        }
        first -= n;
    }
    memset((unsigned char *)to + (size_t)keys * row, 0, (size_t)(padded(keys) - keys) * row);
}

static unsigned char *packed_at(const struct attention *t, int64_t head, int64_t chunk)
{
    return (unsigned char *)t->c->shared +
           (size_t)(head * t->chunks + chunk) * (t->k_bytes + t->v_bytes);
}

static status pack_chunk(void *arg, int64_t task, int worker)
{
    const struct attention *const t = arg;
    int64_t const chunk = task % t->chunks, head = task / t->chunks;
    bool const rest = chunk_keys(t, chunk) < KEYS, some = t->nq < QUERIES;
    unsigned char *const to = packed_at(t, head, chunk);
    void *const dense = t->c->scratch[worker];

    gather_chunk(t, dense, false, chunk, t->first_head + head);
    TRY(dnn_pack(t->score[some][rest], worker, dense, to));
    gather_chunk(t, dense, true, chunk, t->first_head + head);
    return dnn_pack(t->value[some][rest], worker, dense, to + t->k_bytes);
}

static status attend_chunk(const struct attention *t, const struct tile *m, int64_t task,
                           int64_t chunk, int worker)
{
    const struct kern_attention *const a = t->a;
    int64_t const query = task % t->query_tiles * QUERIES, head = task / t->query_tiles;
    int64_t const rows = t->nq - query < QUERIES ? t->nq - query : QUERIES;
    int64_t const keys = chunk_keys(t, chunk);
    bool const some = rows < QUERIES, rest = keys < KEYS;
    const unsigned char *const packed = packed_at(t, head, chunk);
    int64_t const bias_at = ((t->first_head + head) * t->nq + query) * t->keys + chunk * KEYS;

    TRY(dnn_run(t->score[some][rest], worker, m->q, packed, m->score));
    t->c->vec->softmax(&(struct vec_softmax){
        .score = m->score,
        .bias = a->bias ? (const float *)a->bias->data + bias_at : NULL,
        .p = m->p,
        .max = m->max,
        .sum = m->sum,
        .values = m->values,
        .p_dtype = t->tile,
        .scale = a->scale,
        .rows = rows,
        .cols = keys,
        .step = padded(keys),
        .bias_step = t->keys,
        .value_cols = t->hd,
    });
    return dnn_run(t->value[some][rest], worker, m->p, packed + t->k_bytes, m->values);
}

static status attend_tile(void *arg, int64_t task, int worker)
{
    const struct attention *const t = arg;
    struct tensor *const out = t->a->out;
    int64_t const query = task % t->query_tiles * QUERIES;
    int64_t const head = t->first_head + task / t->query_tiles;
    int64_t const rows = t->nq - query < QUERIES ? t->nq - query : QUERIES;
    int64_t const at = query * t->dim + head * t->hd;
    struct tile m;

    tile_cut(t, t->c->scratch[worker], &m);
    gather(t, m.q, t->a->q, query, rows, head);
    memset(m.values, 0, (size_t)(rows * t->hd) * sizeof(float));
    for (int64_t r = 0; r < rows; r++) {
        m.max[r] = -INFINITY;
        m.sum[r] = 0;
    }
    for (int64_t chunk = 0; chunk < t->chunks; chunk++)
        TRY(attend_chunk(t, &m, task, chunk, worker));
    t->c->vec->divide(
        &(struct vec_rows){
            .x = m.values,
            .out = (unsigned char *)out->data + (size_t)at * dtype_size(out->dtype),
            .x_dtype = DT_F32,
            .out_dtype = out->dtype,
            .rows = rows,
            .cols = t->hd,
        },
        m.sum, t->dim);
    return ST_OK;
}

static status plan_tiles(struct attention *t)
{
    int64_t const queries[2] = { t->nq / QUERIES ? QUERIES : 0, t->nq % QUERIES };
    int64_t const keys[2] = { t->keys / KEYS ? KEYS : 0, padded(t->keys % KEYS) };

    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            if (!queries[i] || !keys[j]) continue;
            struct dnn_shape const score = {
                .kind = DNN_PRODUCT, .dtype = t->tile, .m = queries[i], .n = keys[j], .k = t->hd
            };
            struct dnn_shape const value = { .kind = DNN_PRODUCT,
                                             .dtype = t->tile,
                                             .add = true,
                                             .w_by_k = true,
                                             .m = queries[i],
                                             .n = t->hd,
                                             .k = keys[j] };
            TRY(dnn_plan(t->c->dnn, &score, &t->score[i][j]));
            TRY(dnn_plan(t->c->dnn, &value, &t->value[i][j]));
            size_t const k = cpu_round_up(dnn_plan_packed_bytes(t->score[i][j]));
            size_t const v = cpu_round_up(dnn_plan_packed_bytes(t->value[i][j]));
            if (k > t->k_bytes) t->k_bytes = k;
            if (v > t->v_bytes) t->v_bytes = v;
        }
    return ST_OK;
}

status cpu_attention(struct kern_ctx *ctx, const struct kern_attention *a)
{
    TRY(kern_check_attention(a));
    struct attention t = {
        .c = (struct cpu_ctx *)ctx,
        .a = a,
        .tile = cpu_tile_dtype(a->q->dtype),
        .dim = a->q->dim[1],
        .hd = a->q->dim[1] / a->heads,
        .nq = a->q->dim[0],
        .keys = attention_keys(a),
    };
    struct tile m;

    if (!t.nq || !t.hd) return ST_OK;
    t.chunks = (t.keys + KEYS - 1) / KEYS;
    t.query_tiles = (t.nq + QUERIES - 1) / QUERIES;
    TRY(plan_tiles(&t));

    size_t const head_bytes = (size_t)t.chunks * (t.k_bytes + t.v_bytes);
    size_t const tile_bytes = tile_cut(&t, NULL, &m);
    size_t const dense_bytes = (size_t)(KEYS * t.hd) * dtype_size(t.tile);
    t.group = head_bytes < group_bytes ? (int64_t)(group_bytes / head_bytes) : 1;
    if (t.group > a->heads) t.group = a->heads;
    TRY(cpu_shared(t.c, (size_t)t.group * head_bytes));
    TRY(cpu_scratch(t.c, tile_bytes > dense_bytes ? tile_bytes : dense_bytes));

    for (t.first_head = 0; t.first_head < a->heads; t.first_head += t.group) {
        int64_t const left = a->heads - t.first_head, heads = left < t.group ? left : t.group;
        TRY(pool_run(t.c->pool, heads * t.chunks, pack_chunk, &t));
        TRY(pool_run(t.c->pool, heads * t.query_tiles, attend_tile, &t));
    }
    return ST_OK;
}
