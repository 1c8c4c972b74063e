/*
 * kern_cpu_attention.h - the frame both ways of attention share. Private to kernels/.
 *
 *   pack    each head's keys and values, chunk by chunk, once for all queries
 *   attend  each head's queries, tile by tile, over all chunks, with the softmax
 *           corrected whenever a larger score turns up
 *
 * Heads are taken in groups that bound the packed bytes. All segments count as
 * one row of keys; a chunk may cross from one to the next.
 */
#ifndef KERN_CPU_ATTENTION_H
#define KERN_CPU_ATTENTION_H

#include "kernels/cpu/kern_cpu_ops.h"

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

#endif /* KERN_CPU_ATTENTION_H */
