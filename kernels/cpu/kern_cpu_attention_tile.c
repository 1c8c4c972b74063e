/* kern_cpu_attention_tile.c - what both ways of attention do around a tile: count tiles and
 * chunks, gather the columns of a head over all segments, store lse. */
#include "kernels/cpu/cpu_internal.h"

#include <math.h>
#include <string.h>

int64_t attention_chunks(const struct attention *t)
{
    return (t->keys + t->chunk_keys - 1) / t->chunk_keys;
}

int64_t attention_tiles(const struct attention *t)
{
    return (t->queries + t->tile_queries - 1) / t->tile_queries;
}

int64_t attention_chunk_keys(const struct attention *t, int64_t chunk)
{
    int64_t const left = t->keys - chunk * t->chunk_keys;
    return left < t->chunk_keys ? left : t->chunk_keys;
}

int64_t attention_tile_queries(const struct attention *t, int64_t query)
{
    return t->queries - query < t->tile_queries ? t->queries - query : t->tile_queries;
}

struct attention_part attention_part(int64_t task, int64_t parts)
{
    return (struct attention_part){ .head = task / parts, .part = task % parts };
}

void attention_put_lse(const struct attention *t, const struct attention_sums *s)
{
    double const ln_2 = 0x1.62e42fefa39efp-1;

    if (!t->a->lse) return;
    float *const lse = (float *)t->a->lse->data + s->query * t->a->heads + t->first_head + s->head;
    for (int64_t r = 0; r < s->rows; r++)
        lse[r * t->a->heads] = (float)(ln_2 * ((double)s->max[r] + log2((double)s->sum[r])));
}

void *attention_packed(const struct attention *t, int64_t head, int64_t chunk)
{
    return (unsigned char *)t->c->shared +
           (size_t)(head * attention_chunks(t) + chunk) * t->chunk_bytes;
}

void attention_gather(const struct attention *t, void *to, const struct tensor *from, int64_t first,
                      int64_t rows, int64_t head)
{
    size_t const in = dtype_size(from->dtype), out = dtype_size(t->tile);

    for (int64_t r = 0; r < rows; r++) {
        int64_t const at = (first + r) * t->dim + head * t->head_dim;
        t->c->vec->convert((unsigned char *)to + (size_t)(r * t->head_dim) * out, t->tile,
                           (const unsigned char *)from->data + (size_t)at * in, from->dtype,
                           t->head_dim);
    }
}

void attention_gather_chunk(const struct attention *t, void *to, bool values, int64_t chunk,
                            int64_t head, int64_t rows)
{
    size_t const row = (size_t)t->head_dim * dtype_size(t->tile);
    int64_t const keys = attention_chunk_keys(t, chunk);
    int64_t first = chunk * t->chunk_keys, got = 0;

    for (int i = 0; got < keys; i++) {
        const struct kern_segment *const s = &t->a->segments[i];
        int64_t const n = s->k.dim[0];
        if (first < n) {
            int64_t const some = n - first < keys - got ? n - first : keys - got;
            attention_gather(t, (unsigned char *)to + (size_t)got * row, values ? &s->v : &s->k,
                             first, some, head);
            got += some;
            first += some;
        }
        first -= n;
    }
    memset((unsigned char *)to + (size_t)keys * row, 0, (size_t)(rows - keys) * row);
}
