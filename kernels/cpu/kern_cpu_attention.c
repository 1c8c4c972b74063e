/*
 * kern_cpu_attention.c - attention: which way, and the loop over groups of heads.
 *
 * Each group is two rounds over the pool: pack its keys and values, then attend its queries.
 * The first round's result is shared by all workers, so the second begins when the first is
 * through. A tile of queries meets all its keys on one thread, in order: the softmax is
 * corrected along the way and no partial results are merged between threads.
 */
#include "kernels/cpu/cpu_internal.h"

static const size_t group_bytes = (size_t)64 << 20;

status cpu_attention(struct kern_ctx *ctx, const struct kern_attention *a)
{
    TRY(kern_check_attention(a));
    struct attention t = {
        .c = (struct cpu_ctx *)ctx,
        .a = a,
        .dim = a->q->dim[1],
        .head_dim = a->q->dim[1] / a->heads,
        .queries = a->q->dim[0],
        .keys = attention_keys(a),
    };
    if (!t.queries || !t.head_dim) return ST_OK;
    TRY(attention_suits_amx(&t) ? attention_plan_amx(&t) : attention_plan_dnn(&t));

    int64_t const chunks = attention_chunks(&t), tiles = attention_tiles(&t);
    size_t const head_bytes = (size_t)chunks * t.chunk_bytes;
    t.group = head_bytes < group_bytes ? (int64_t)(group_bytes / head_bytes) : 1;
    if (t.group > a->heads) t.group = a->heads;
    TRY(cpu_shared(t.c, (size_t)t.group * head_bytes));
    TRY(cpu_scratch(t.c, t.scratch_bytes));

    for (t.first_head = 0; t.first_head < a->heads; t.first_head += t.group) {
        int64_t const left = a->heads - t.first_head, heads = left < t.group ? left : t.group;
        TRY(pool_run(t.c->pool, heads * chunks, t.pack, &t));
        TRY(pool_run(t.c->pool, heads * tiles, t.attend, &t));
    }
    return ST_OK;
}
