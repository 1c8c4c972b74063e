/* kern_cpu_attention_dnn.c - attention as oneDNN products with the softmax between them. */
#include "kernels/cpu/cpu_internal.h"

#include <math.h>
#include <string.h>

enum { QUERIES = 128, KEYS = 256, KEY_STEP = 64 };

/* A worker's memory for one tile of queries. */
struct dnn_scratch {
    void *q, *p;           /* [QUERIES, head_dim], [QUERIES, KEYS] in the tile's dtype */
    float *score, *values; /* [QUERIES, KEYS], [QUERIES, head_dim] */
    float *max, *sum;      /* [QUERIES] */
};

static size_t cut_dnn_scratch(const struct attention *t, void *block, struct dnn_scratch *out)
{
    size_t const size = dtype_size(t->tile);
    size_t used = 0;

    out->q = cpu_cut(&used, block, (size_t)(QUERIES * t->head_dim) * size);
    out->p = cpu_cut(&used, block, QUERIES * KEYS * size);
    out->score = cpu_cut(&used, block, QUERIES * KEYS * sizeof(float));
    out->values = cpu_cut(&used, block, (size_t)(QUERIES * t->head_dim) * sizeof(float));
    out->max = cpu_cut(&used, block, QUERIES * sizeof(float));
    out->sum = cpu_cut(&used, block, QUERIES * sizeof(float));
    return used;
}

/* Rows of a packed chunk: its keys, and zeros up to a whole step. */
static int64_t padded_keys(int64_t keys) { return (keys + KEY_STEP - 1) / KEY_STEP * KEY_STEP; }

/* Where the values of a packed chunk stand: behind its keys. */
static size_t values_offset(const struct dnn_plan *score)
{
    return kern_round_up(dnn_plan_packed_bytes(score));
}

static status pack_chunk_dnn(void *arg, int64_t task, int worker)
{
    const struct attention *const t = arg;
    struct attention_part const at = attention_part(task, attention_chunks(t));
    int64_t const head = t->first_head + at.head, keys = attention_chunk_keys(t, at.part);
    bool const rest = keys < KEYS, some = t->queries < QUERIES;
    unsigned char *const to = attention_packed(t, at.head, at.part);
    void *const dense = t->c->scratch[worker];

    attention_gather_chunk(t, dense, false, at.part, head, padded_keys(keys));
    TRY(dnn_pack(t->score[some][rest], worker, dense, to));
    attention_gather_chunk(t, dense, true, at.part, head, padded_keys(keys));
    return dnn_pack(t->value[some][rest], worker, dense, to + values_offset(t->score[some][rest]));
}

static status attend_chunk_dnn(const struct attention *t, const struct dnn_scratch *m,
                               struct attention_part at, int64_t chunk, int worker)
{
    const struct kern_attention *const a = t->a;
    int64_t const query = at.part * QUERIES, rows = attention_tile_queries(t, query);
    int64_t const keys = attention_chunk_keys(t, chunk);
    bool const some = rows < QUERIES, rest = keys < KEYS;
    const unsigned char *const packed = attention_packed(t, at.head, chunk);
    int64_t const bias_at =
        ((t->first_head + at.head) * t->queries + query) * t->keys + chunk * KEYS;

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
        .step = padded_keys(keys),
        .bias_step = t->keys,
        .value_cols = t->head_dim,
    });
    return dnn_run(t->value[some][rest], worker, m->p, packed + values_offset(t->score[some][rest]),
                   m->values);
}

static status attend_tile_dnn(void *arg, int64_t task, int worker)
{
    const struct attention *const t = arg;
    struct attention_part const part = attention_part(task, attention_tiles(t));
    struct tensor *const out = t->a->out;
    int64_t const query = part.part * QUERIES, head = t->first_head + part.head;
    int64_t const rows = attention_tile_queries(t, query);
    int64_t const at = query * t->dim + head * t->head_dim;
    struct dnn_scratch m;

    cut_dnn_scratch(t, t->c->scratch[worker], &m);
    attention_gather(t, m.q, t->a->q, query, rows, head);
    memset(m.values, 0, (size_t)(rows * t->head_dim) * sizeof(float));
    for (int64_t r = 0; r < rows; r++) {
        m.max[r] = -INFINITY;
        m.sum[r] = 0;
    }
    for (int64_t chunk = 0; chunk < attention_chunks(t); chunk++)
        TRY(attend_chunk_dnn(t, &m, part, chunk, worker));
    t->c->vec->divide(
        &(struct vec_rows){
            .x = m.values,
            .out = (unsigned char *)out->data + (size_t)at * dtype_size(out->dtype),
            .x_dtype = DT_F32,
            .out_dtype = out->dtype,
            .rows = rows,
            .cols = t->head_dim,
        },
        m.sum, t->dim);
    attention_put_lse(t, &(struct attention_sums){ query, rows, part.head, m.max, m.sum });
    return ST_OK;
}

status attention_plan_dnn(struct attention *t)
{
    int64_t const queries[2] = { t->queries / QUERIES ? QUERIES : 0, t->queries % QUERIES };
    int64_t const keys[2] = { t->keys / KEYS ? KEYS : 0, padded_keys(t->keys % KEYS) };
    struct dnn_scratch m;

    t->tile = cpu_tile_dtype(t->a->q->dtype);
    t->tile_queries = QUERIES;
    t->chunk_keys = KEYS;
    t->pack = pack_chunk_dnn;
    t->attend = attend_tile_dnn;
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            if (!queries[i] || !keys[j]) continue;
            struct dnn_shape s = { .kind = DNN_PRODUCT, .dtype = t->tile, .m = queries[i] };
            s.n = keys[j];
            s.k = t->head_dim;
            TRY(dnn_plan(t->c->dnn, &s, &t->score[i][j]));
            s.n = t->head_dim;
            s.k = keys[j];
            s.add = s.w_by_k = true;
            TRY(dnn_plan(t->c->dnn, &s, &t->value[i][j]));
            size_t const bytes = values_offset(t->score[i][j]) +
                                 kern_round_up(dnn_plan_packed_bytes(t->value[i][j]));
            if (bytes > t->chunk_bytes) t->chunk_bytes = bytes;
        }
    size_t const dense = (size_t)(KEYS * t->head_dim) * dtype_size(t->tile);
    t->scratch_bytes = cut_dnn_scratch(t, NULL, &m);
    if (dense > t->scratch_bytes) t->scratch_bytes = dense;
    return ST_OK;
}
