/*
 * line_exchange_heads.c - the exchange by heads. Each rank projects and finishes its own
 * blocks, and in between attends for all blocks with its share of the heads: what it needs for that
 * comes before, what it came to goes back to the blocks' owners after.
 *
 *   own rows, all heads  --regroup-->  a share for each rank  --spread-->  all rows, own heads
 *                                                                               | attention
 *   own rows, all heads  <--regroup--  of each rank a share  <--collect--  all rows, own heads
 */
#include "pipeline/line/line_internal.h"

static int ranks_of(const struct line *l) { return l->c.split.ranks; }
static bool in_8_bits(const struct line *l) { return l->c.mode.wire == LINE_FP8; }

status line_heads_place(struct line *l, int64_t rows, struct arena *scratch, struct arena *wire)
{
    struct line_heads *const h = &l->heads;
    int64_t const dim = dit_shape_of(l->c.model)->dim, width = l->seen.dim;
    int64_t const own = (l->end - l->first) * ranks_of(l) * l->tokens;
    int64_t const all = (l->levels + 1) * l->tokens;
    enum dtype const act = dit_act(l->c.model);
    struct tensor *const made[] = { &h->made.q, &h->made.k, &h->made.v };
    struct tensor *const shares[] = { &h->share.q, &h->share.k, &h->share.v };

    for (int i = 0; i < COUNT_OF(made); i++)
        TRY(tensor_place(made[i], scratch, act, DIMS(rows, dim)));
    TRY(tensor_place(&l->q, wire, act, DIMS(all, width)));
    TRY(tensor_place(&h->out, wire, act, DIMS(all, width)));
    for (int i = 0; i < (in_8_bits(l) ? 1 : COUNT_OF(shares)); i++)
        TRY(tensor_place(shares[i], wire, act, DIMS(own, width)));
    if (!in_8_bits(l)) return ST_OK;
    TRY(tensor_place(&h->bytes, scratch, DT_U8, DIMS(2 * l->tokens, dim)));
    return tensor_place(&h->share_bytes, wire, DT_U8, DIMS(2 * own, width));
}

/* ---- own rows, share by share ----------------------------------------------------------- */

/* An own stage's shares in one of the tensors of shares, `tokens` rows in each. */
static struct tensor shares_of(const struct line *l, const struct tensor *t, int stage,
                               int64_t tokens)
{
    int64_t const rows = ranks_of(l) * tokens;
    return tensor_slice(t, (stage - l->first) * rows, rows);
}

/* An own stage's rows, [n, dim], to its place among the shares. */
static status divide(struct line *l, int stage, const struct tensor *rows,
                     const struct tensor *shares)
{
    int64_t const n = rows->dim[0], width = l->seen.dim;
    struct tensor const to = shares_of(l, shares, stage, n);
    struct tensor const in = tensor_as(rows, DIMS(n, ranks_of(l), width));
    struct tensor out = tensor_as(&to, DIMS(ranks_of(l), n, width));

    return kern_permute01(l->c.ctx, &(struct kern_permute01){ .in = &in, .out = &out });
}

/* Where a span of own stages is projected to: from the scratch's row of its first. */
static struct tensor made_of(const struct line *l, const struct tensor *t, struct line_span s)
{
    return tensor_slice(t, line_scratch_row(l, s.first), (s.end - s.first) * l->tokens);
}

struct line_qkv line_heads_buffer(const struct line *l, struct line_span s)
{
    const struct line_qkv *const made = &l->heads.made;
    return (struct line_qkv){ made_of(l, &made->q, s), made_of(l, &made->k, s),
                              made_of(l, &made->v, s) };
}

static status divide_kv(struct line *l, int stage, const struct line_qkv *made)
{
    struct line_heads *const h = &l->heads;

    if (in_8_bits(l)) {
        struct tensor const kv[] = { made->k, made->v };
        TRY(line_quantize_stage(l, stage, kv, &h->bytes));
        return divide(l, stage, &h->bytes, &h->share_bytes);
    }
    TRY(divide(l, stage, &made->k, &h->share.k));
    return divide(l, stage, &made->v, &h->share.v);
}

status line_heads_divide(struct line *l, struct line_span s, int layer)
{
    for (int i = s.first; i < s.end; i++) {
        struct line_qkv const made = line_heads_buffer(l, (struct line_span){ i, i + 1 });
        if (!line_ends(l, i, layer)) TRY(divide(l, i, &made.q, &l->heads.share.q));
        TRY(divide_kv(l, i, &made));
    }
    return ST_OK;
}

/* ---- from rank to rank ------------------------------------------------------------------ */

enum { KINDS = 3 }; /* of tensors that go for a stage: queries; keys, values or bytes, scales */

struct parcel {
    struct tensor t[KINDS];
    int count;
};

static void add(struct parcel *p, struct tensor t) { p->t[p->count++] = t; }

static struct tensor share(const struct line *l, const struct tensor *t, int stage, int rank,
                           int64_t tokens)
{
    struct tensor const all = shares_of(l, t, stage, tokens);
    return tensor_slice(&all, rank * tokens, tokens);
}

/* What a rank gets of an own stage. Each token has one scale for all heads. */
static struct parcel sent(const struct line *l, int stage, int rank, int layer)
{
    const struct line_heads *const h = &l->heads;
    struct parcel p = { .count = 0 };

    if (!line_ends(l, stage, layer)) add(&p, share(l, &h->share.q, stage, rank, l->tokens));
    if (in_8_bits(l)) {
        add(&p, share(l, &h->share_bytes, stage, rank, 2 * l->tokens));
        add(&p, line_quant_scales(l, stage));
    } else {
        add(&p, share(l, &h->share.k, stage, rank, l->tokens));
        add(&p, share(l, &h->share.v, stage, rank, l->tokens));
    }
    return p;
}

/* The same where attention looks for it. */
static status received(struct line *l, int stage, int layer, struct parcel *p)
{
    struct line_span const one = { stage, stage + 1 };
    struct tensor kv[2];

    p->count = 0;
    if (!line_ends(l, stage, layer)) add(p, line_attended(l, &l->q, one));
    TRY(line_kv_parts(l, stage, layer, kv));
    for (int i = 0; i < COUNT_OF(kv); i++) add(p, kv[i]);
    return ST_OK;
}

/* This rank's own share, which goes nowhere; scales are where they belong. */
static status keep(struct line *l, const struct parcel *from, struct parcel *to)
{
    for (int i = 0; i < from->count; i++)
        if (from->t[i].data != to->t[i].data)
            TRY(kern_copy(l->c.ctx, &(struct kern_copy){ .in = &from->t[i], .out = &to->t[i] }));
    return ST_OK;
}

static void put(struct line_parts *parts, const struct parcel *p, int peer, bool send)
{
    for (int i = 0; i < p->count; i++)
        parts->part[parts->count++] = line_comm_part(&p->t[i], peer, send);
}

static status spread_stage(struct line *l, int stage, int layer, struct line_parts *parts)
{
    int const me = l->c.comm->rank, owner = split_owner(&l->c.split, stage);
    struct parcel to, from;

    TRY(received(l, stage, layer, &to));
    if (owner != me) {
        put(parts, &to, owner, false);
        return ST_OK;
    }
    for (int rank = 0; rank < ranks_of(l); rank++) {
        from = sent(l, stage, rank, layer);
        if (rank == me) TRY(keep(l, &from, &to));
        else put(parts, &from, rank, true);
    }
    return ST_OK;
}

status line_heads_spread(struct line *l, int layer)
{
    l->parts.count = 0;
    for (int stage = 0; stage <= l->levels; stage++)
        if (line_holds(l, stage)) TRY(spread_stage(l, stage, layer, &l->parts));
    TRY(line_exchange(l, layer));
    return line_dequantize_kv(l, layer);
}

static status collect_stage(struct line *l, int stage, struct line_parts *parts)
{
    int const me = l->c.comm->rank, owner = split_owner(&l->c.split, stage);
    struct line_span const one = { stage, stage + 1 };
    struct tensor const mine = line_attended(l, &l->heads.out, one);

    if (owner != me) {
        parts->part[parts->count++] = line_comm_part(&mine, owner, true);
        return ST_OK;
    }
    for (int rank = 0; rank < ranks_of(l); rank++) {
        struct tensor to = share(l, &l->heads.share.q, stage, rank, l->tokens);
        if (rank == me) TRY(kern_copy(l->c.ctx, &(struct kern_copy){ .in = &mine, .out = &to }));
        else parts->part[parts->count++] = line_comm_part(&to, rank, false);
    }
    return ST_OK;
}

status line_heads_collect(struct line *l, int layer)
{
    l->parts.count = 0;
    for (int stage = 0; stage <= l->levels; stage++)
        if (line_holds(l, stage) && !line_ends(l, stage, layer))
            TRY(collect_stage(l, stage, &l->parts));
    return line_exchange(l, layer);
}

status line_heads_unite(struct line *l, struct line_span run)
{
    int64_t const n = l->tokens, width = l->seen.dim;

    for (int i = run.first; i < run.end; i++) {
        struct tensor const shares = shares_of(l, &l->heads.share.q, i, n);
        struct tensor const rows = tensor_slice(&l->scratch.h, line_scratch_row(l, i), n);
        struct tensor const in = tensor_as(&shares, DIMS(ranks_of(l), n, width));
        struct tensor out = tensor_as(&rows, DIMS(n, ranks_of(l), width));
        TRY(kern_permute01(l->c.ctx, &(struct kern_permute01){ .in = &in, .out = &out }));
    }
    return ST_OK;
}
