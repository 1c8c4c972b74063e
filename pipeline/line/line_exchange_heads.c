/*
 * line_exchange_heads.c - each rank attends for the blocks of all stages, with its share of the
 * heads. It projects and finishes its own blocks, and in between: what it needs for others' comes
 * before, what it came to goes back to the blocks' owners after.
 *
 *   own rows, all heads  --permute-->  a share for each rank  --spread-->  all rows, own heads
 *                                                                              | attention
 *   own rows, all heads  <--permute--  of each rank a share  <--collect--  all rows, own heads
 *
 * All keys are there before attention begins, so nothing is computed while bytes move. In strict
 * mode they are still cut into a local and a remote part, as if by blocks: the sums are the same,
 * and so is the clip, to the bit, where a backend's attention treats heads one by one.
 */
#include "pipeline/line/line_internal.h"

static int ranks_of(const struct line *l) { return l->c.split.ranks; }
static bool in_8_bits(const struct line *l) { return l->c.mode.wire == LINE_FP8; }

static status place_heads(struct line *l, int64_t rows, struct arena *scratch, struct arena *wire)
{
    struct line_heads *const h = &l->heads;
    int64_t const dim = dit_shape_of(l->c.model)->dim, width = l->attn_shape.dim;
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

static struct tensor share_of(const struct line *l, const struct tensor *t, int stage, int rank,
                              int64_t tokens)
{
    struct tensor const all = shares_of(l, t, stage, tokens);
    return tensor_slice(&all, rank * tokens, tokens);
}

/* An own stage's rows, [n, dim], to its place among the shares. */
static status divide_rows(struct line *l, int stage, const struct tensor *rows,
                          const struct tensor *shares)
{
    int64_t const n = rows->dim[0], width = l->attn_shape.dim;
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

static status target_all_heads(struct line *l, struct line_span s, int layer, struct line_qkv *out)
{
    const struct line_qkv *const made = &l->heads.made;

    (void)layer;
    *out = (struct line_qkv){ made_of(l, &made->q, s), made_of(l, &made->k, s),
                              made_of(l, &made->v, s) };
    return ST_OK;
}

static status divide_kv(struct line *l, int stage, const struct line_qkv *made)
{
    struct line_heads *const h = &l->heads;

    if (in_8_bits(l)) {
        struct tensor const kv[] = { made->k, made->v };
        TRY(line_quantize_stage(l, stage, kv, &h->bytes));
        return divide_rows(l, stage, &h->bytes, &h->share_bytes);
    }
    TRY(divide_rows(l, stage, &made->k, &h->share.k));
    return divide_rows(l, stage, &made->v, &h->share.v);
}

static status divide_heads(struct line *l, struct line_span s, int layer)
{
    for (int i = s.first; i < s.end; i++) {
        struct line_qkv made;
        TRY(target_all_heads(l, (struct line_span){ i, i + 1 }, layer, &made));
        if (!line_ends(l, i, layer)) TRY(divide_rows(l, i, &made.q, &l->heads.share.q));
        TRY(divide_kv(l, i, &made));
    }
    return ST_OK;
}

/* ---- spread ----------------------------------------------------------------------------- */

enum { KINDS = 3 }; /* of tensors that go for a stage: queries; keys, values or bytes, scales */

struct parcel {
    struct tensor t[KINDS];
    int count;
};

static void add_tensor(struct parcel *p, struct tensor t) { p->t[p->count++] = t; }

/* What a rank gets of an own stage. Each token has one scale for all heads. */
static struct parcel sent_parcel(const struct line *l, int stage, int rank, int layer)
{
    const struct line_heads *const h = &l->heads;
    struct parcel p = { .count = 0 };

    if (!line_ends(l, stage, layer))
        add_tensor(&p, share_of(l, &h->share.q, stage, rank, l->tokens));
    if (in_8_bits(l)) {
        add_tensor(&p, share_of(l, &h->share_bytes, stage, rank, 2 * l->tokens));
        add_tensor(&p, line_quant_scales(l, stage));
    } else {
        add_tensor(&p, share_of(l, &h->share.k, stage, rank, l->tokens));
        add_tensor(&p, share_of(l, &h->share.v, stage, rank, l->tokens));
    }
    return p;
}

/* The same where attention looks for it. */
static status received_parcel(struct line *l, int stage, int layer, struct parcel *p)
{
    struct line_span const one = { stage, stage + 1 };
    struct tensor kv[2];

    p->count = 0;
    if (!line_ends(l, stage, layer)) add_tensor(p, line_attn_rows(l, &l->q, one));
    TRY(line_kv_parts(l, stage, layer, kv));
    for (int i = 0; i < COUNT_OF(kv); i++) add_tensor(p, kv[i]);
    return ST_OK;
}

/* This rank's own share, which goes nowhere; scales are where they belong. */
static status keep_parcel(struct line *l, const struct parcel *from, struct parcel *to)
{
    for (int i = 0; i < from->count; i++)
        if (from->t[i].data != to->t[i].data)
            TRY(kern_copy(l->c.ctx, &(struct kern_copy){ .in = &from->t[i], .out = &to->t[i] }));
    return ST_OK;
}

static void list_parcel(struct line *l, const struct parcel *p, int peer, bool send)
{
    for (int i = 0; i < p->count; i++) line_add_xfer(&l->xfers, &p->t[i], peer, send);
}

static status spread_stage(struct line *l, int stage, int layer)
{
    int const me = l->c.comm->rank, owner = split_owner(&l->c.split, stage);
    struct parcel to, from;

    TRY(received_parcel(l, stage, layer, &to));
    if (owner != me) {
        list_parcel(l, &to, owner, false);
        return ST_OK;
    }
    for (int rank = 0; rank < ranks_of(l); rank++) {
        from = sent_parcel(l, stage, rank, layer);
        if (rank == me) TRY(keep_parcel(l, &from, &to));
        else list_parcel(l, &from, rank, true);
    }
    return ST_OK;
}

/* There and all: attention needs everything. */
static status spread_heads(struct line *l, int layer)
{
    l->xfers.count = 0;
    for (int stage = 0; stage <= l->levels; stage++)
        if (line_holds(l, stage)) TRY(spread_stage(l, stage, layer));
    TRY(line_post_xfers(l, layer));
    TRY(line_wait_xfers(l, layer));
    return line_dequantize_kv(l, layer);
}

static status end_spread(struct line *l, int layer)
{
    (void)l, (void)layer;
    return ST_OK;
}

static bool any_arrives(const struct line *l, int stage) { return line_holds(l, stage); }

/* ---- collect ---------------------------------------------------------------------------- */

static struct tensor target_share(const struct line *l, struct line_span s)
{
    return line_attn_rows(l, &l->heads.out, s);
}

/* The layer goes on where the results of all ranks come together. */
static status leave_for_owner(struct line *l, struct line_span run, int layer)
{
    (void)l, (void)run, (void)layer;
    return ST_OK;
}

static status collect_stage(struct line *l, int stage)
{
    int const me = l->c.comm->rank, owner = split_owner(&l->c.split, stage);
    struct line_span const one = { stage, stage + 1 };
    struct tensor const mine = line_attn_rows(l, &l->heads.out, one);

    if (owner != me) {
        line_add_xfer(&l->xfers, &mine, owner, true);
        return ST_OK;
    }
    for (int rank = 0; rank < ranks_of(l); rank++) {
        struct tensor to = share_of(l, &l->heads.share.q, stage, rank, l->tokens);
        if (rank == me) TRY(kern_copy(l->c.ctx, &(struct kern_copy){ .in = &mine, .out = &to }));
        else line_add_xfer(&l->xfers, &to, rank, false);
    }
    return ST_OK;
}

/* What came back of own stages, to the scratch's h. */
static status unite_heads(struct line *l, struct line_span run)
{
    int64_t const n = l->tokens, width = l->attn_shape.dim;

    for (int i = run.first; i < run.end; i++) {
        struct tensor const shares = shares_of(l, &l->heads.share.q, i, n);
        struct tensor const rows = tensor_slice(&l->scratch.h, line_scratch_row(l, i), n);
        struct tensor const in = tensor_as(&shares, DIMS(ranks_of(l), n, width));
        struct tensor out = tensor_as(&rows, DIMS(n, ranks_of(l), width));
        TRY(kern_permute01(l->c.ctx, &(struct kern_permute01){ .in = &in, .out = &out }));
    }
    return ST_OK;
}

static status finish_run(struct line *l, struct line_span run, int layer)
{
    TRY(unite_heads(l, run));
    return line_finish(l, run, layer);
}

static status collect_heads(struct line *l, int layer)
{
    l->xfers.count = 0;
    for (int stage = 0; stage <= l->levels; stage++)
        if (line_holds(l, stage) && !line_ends(l, stage, layer)) TRY(collect_stage(l, stage));
    TRY(line_post_xfers(l, layer));
    TRY(line_wait_xfers(l, layer));
    for (int i = 0; i < l->own_runs.count; i++) {
        struct line_span const run = line_rest(l, l->own_runs.run[i], layer);
        if (run.first == run.end) continue;
        track_begin(l->c.track, TRACK_COMPUTE, line_at(l, run.first, layer));
        status const st = finish_run(l, run, layer);
        track_end(l->c.track);
        TRY(st);
    }
    return ST_OK;
}

const struct line_exchange_ops line_exchange_heads = {
    .all_stages = true,
    .place = place_heads,
    .project_target = target_all_heads,
    .projected = divide_heads,
    .begin = spread_heads,
    .end = end_spread,
    .attn_target = target_share,
    .attended = leave_for_owner,
    .finish = collect_heads,
    .arrives = any_arrives,
};
