/* kern_cpu_attention_amx.c - attention in BF16 on the matrix unit. */
#include "kernels/cpu/cpu_internal.h"

#include <math.h>
#include <string.h>

enum { GROUPS = 8, QUERIES = GROUPS * AMX_QUERIES }; /* a chunk serves eight small tiles at once */

/* A worker's memory. */
struct amx_scratch {
    uint16_t *q[GROUPS];
    struct amx_found found[GROUPS];
    float *scores;
    uint16_t *p;
};

static size_t cut_amx_scratch(const struct attention *t, void *block, struct amx_scratch *out)
{
    size_t const numbers = (size_t)(t->head_dim * AMX_QUERIES);
    size_t used = 0;

    for (int i = 0; i < GROUPS; i++) {
        out->q[i] = cpu_cut(&used, block, numbers * sizeof(uint16_t));
        out->found[i].values = cpu_cut(&used, block, numbers * sizeof(float));
        out->found[i].max = cpu_cut(&used, block, AMX_QUERIES * sizeof(float));
        out->found[i].sum = cpu_cut(&used, block, AMX_QUERIES * sizeof(float));
    }
    out->scores = cpu_cut(&used, block, AMX_KEYS * AMX_QUERIES * sizeof(float));
    out->p = cpu_cut(&used, block, AMX_KEYS * AMX_QUERIES * sizeof(uint16_t));
    return used;
}

bool attention_suits_amx(const struct attention *t)
{
    return t->a->q->dtype == DT_BF16 && t->head_dim % AMX_STEP == 0 && t->c->amx;
}

static int64_t packed_numbers(const struct attention *t) { return AMX_KEYS * t->head_dim; }

static status pack_chunk_amx(void *arg, int64_t task, int worker)
{
    const struct attention *const t = arg;
    struct attention_part const at = attention_part(task, attention_chunks(t));
    int64_t const head = t->first_head + at.head;
    uint16_t *const to = attention_packed(t, at.head, at.part);
    uint16_t *const dense = t->c->scratch[worker];

    attention_gather_chunk(t, to, false, at.part, head, AMX_KEYS);
    attention_gather_chunk(t, dense, true, at.part, head, AMX_KEYS);
    amx_pack_values(to + packed_numbers(t), dense, t->head_dim);
    return ST_OK;
}

/* Where query `query` of a head begins in q or out. */
static int64_t query_offset(const struct attention *t, int64_t query, int64_t head)
{
    return query * t->dim + (t->first_head + head) * t->head_dim;
}

/* Queries of small tile i, of the `queries` of a task. */
static int64_t small_tile_rows(int64_t queries, int i)
{
    int64_t const left = queries - i * AMX_QUERIES;
    return left < AMX_QUERIES ? left : AMX_QUERIES;
}

static void begin_queries(const struct attention *t, const struct amx_scratch *m, int group,
                          int64_t query, int64_t rows, int64_t head)
{
    const struct amx_found *const f = &m->found[group];

    amx_pack(m->q[group], (const uint16_t *)t->a->q->data + query_offset(t, query, head), t->dim,
             rows, t->head_dim);
    memset(f->values, 0, (size_t)(t->head_dim * AMX_QUERIES) * sizeof(float));
    for (int i = 0; i < AMX_QUERIES; i++) {
        f->max[i] = -INFINITY;
        f->sum[i] = 0;
    }
}

static void attend_chunk_amx(const struct attention *t, const struct amx_scratch *m,
                             struct attention_part at, int64_t chunk)
{
    int64_t const head = at.head, first = at.part * QUERIES;
    int64_t const queries = attention_tile_queries(t, first);
    const float *const bias = t->a->bias ? t->a->bias->data : NULL;
    int64_t const bias_at =
        ((t->first_head + head) * t->queries + first) * t->keys + chunk * AMX_KEYS;
    const uint16_t *const packed = attention_packed(t, head, chunk);
    struct amx_chunk c = {
        .k = packed,
        .v = packed + packed_numbers(t),
        .keys = attention_chunk_keys(t, chunk),
        .head_dim = t->head_dim,
        .scale = t->a->scale,
        .scores = m->scores,
        .p = m->p,
        .bias_step = t->keys,
    };

    for (int i = 0; i * AMX_QUERIES < queries; i++) {
        c.q = m->q[i];
        c.rows = small_tile_rows(queries, i);
        c.bias = bias ? bias + bias_at + i * AMX_QUERIES * t->keys : NULL;
        amx_attend(&c, &m->found[i]);
    }
}

static void finish_queries(const struct attention *t, const struct amx_found *f, int64_t query,
                           int64_t rows, int64_t head)
{
    const struct tensor *const out = t->a->out;
    size_t const at = (size_t)query_offset(t, query, head) * dtype_size(out->dtype);

    amx_finish(&(struct amx_out){ .at = (unsigned char *)out->data + at,
                                  .step = t->dim,
                                  .rows = rows,
                                  .head_dim = t->head_dim,
                                  .wide = out->dtype == DT_F32 },
               f);
    attention_put_lse(t, &(struct attention_sums){ query, rows, head, f->max, f->sum });
}

static status attend_tile_amx(void *arg, int64_t task, int worker)
{
    const struct attention *const t = arg;
    struct attention_part const at = attention_part(task, attention_tiles(t));
    int64_t const first = at.part * QUERIES, queries = attention_tile_queries(t, first);
    struct amx_scratch m;

    cut_amx_scratch(t, t->c->scratch[worker], &m);
    for (int i = 0; i * AMX_QUERIES < queries; i++) {
        begin_queries(t, &m, i, first + i * AMX_QUERIES, small_tile_rows(queries, i), at.head);
    }
    amx_begin();
    for (int64_t chunk = 0; chunk < attention_chunks(t); chunk++)
        attend_chunk_amx(t, &m, at, chunk);
    amx_end();
    for (int i = 0; i * AMX_QUERIES < queries; i++)
        finish_queries(t, &m.found[i], first + i * AMX_QUERIES, small_tile_rows(queries, i),
                       at.head);
    return ST_OK;
}

status attention_plan_amx(struct attention *t)
{
    struct amx_scratch m;

    t->tile = DT_BF16;
    t->tile_queries = QUERIES;
    t->chunk_keys = AMX_KEYS;
    t->pack = pack_chunk_amx;
    t->attend = attend_tile_amx;
    t->chunk_bytes = 2 * (size_t)packed_numbers(t) * sizeof(uint16_t);
    size_t const dense = (size_t)packed_numbers(t) * sizeof(uint16_t);
    t->scratch_bytes = cut_amx_scratch(t, NULL, &m);
    if (dense > t->scratch_bytes) t->scratch_bytes = dense;
    return ST_OK;
}
