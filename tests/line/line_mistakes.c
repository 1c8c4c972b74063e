/*
 * line_mistakes.c - rules got wrong in the ways in which they are easily got wrong: each mistake is
 * planted in what a policy says, a recorded clip rendered with it, and verify must find it.
 *
 * The linker puts the functions below in the place of what the line and the policies call
 * (--wrap). Mistakes in a rule's numbers: cli_mistakes.sh.
 */
#include "tests/support/unit.h"

#include "cmd/cmd.h"
#include "pipeline/cache/cache_internal.h"
#include "pipeline/dit/rope.h"
#include "pipeline/line/line_internal.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum { B = 3 }; /* of all cases here */

typedef void spoil_spans(struct kv_window *w, const struct kv_policy *p,
                         const struct kv_pass *pass);
typedef void spoil_recache(struct kv_recache *r, const struct kv_policy *p, int64_t block);
typedef bool spoil_average(const struct kv_call *c, const struct average *a); /* true: left out */
typedef status spoil_choice(const struct kv_call *c); /* after it was made */

static struct mistake {
    const char *name, *folder;
    spoil_spans *spans;
    spoil_average *average;
    spoil_recache *recache;
    bool forgets_cut;                                           /* in clean passes */
    bool ranks_backwards, of_all_heads, of_last_layer, unroped; /* scores before a block */
    bool all_dynamic;                                           /* heads */
    spoil_choice *choice;
    bool roped, shorter, moved; /* keys that are scored, their distances, those chosen */
    bool unobserved;            /* clean passes */
    bool backwards, each_pass;  /* averages: of frames, times */
    bool early;                 /* frames that leave first */
    bool causal;                /* a recache */
    bool each_layer;            /* chooses */
    bool alike;                 /* bases of heads */
} planted;

/* ---- in their places --------------------------------------------------------------------- */

void __real_kv_window_spans(struct kv_window *, const struct kv_policy *, const struct kv_pass *);
void __real_kv_clean_spans(struct kv_window *, const struct kv_policy *, const struct kv_pass *);
status __real_average_add(const struct kv_call *, struct average *, const struct tensor *, double);
void __real_kv_recache_find(struct kv_recache *, const struct kv_policy *, int64_t);
void __wrap_kv_window_spans(struct kv_window *, const struct kv_policy *, const struct kv_pass *);
void __wrap_kv_clean_spans(struct kv_window *, const struct kv_policy *, const struct kv_pass *);
status __wrap_average_add(const struct kv_call *, struct average *, const struct tensor *, double);
void __wrap_kv_recache_find(struct kv_recache *, const struct kv_policy *, int64_t);
status __real_kv_enter(const struct kv_call *, int64_t);
status __wrap_kv_enter(const struct kv_call *, int64_t);
status __real_rank_best(const float *, int64_t, int64_t, int32_t *);
status __wrap_rank_best(const float *, int64_t, int64_t, int32_t *);
status __real_kv_cache_get(const struct kv_cache *, int64_t, int, struct tensor *, struct tensor *);
status __wrap_kv_cache_get(const struct kv_cache *, int64_t, int, struct tensor *, struct tensor *);
bool __real_kv_head_is_static(const struct kv_profile *, int, int);
bool __wrap_kv_head_is_static(const struct kv_profile *, int, int);
double __real_rope_jittered_base(double, uint32_t, int);
double __wrap_rope_jittered_base(double, uint32_t, int);
void __real_rope_angles(float *, int, int64_t, int);
void __wrap_rope_angles(float *, int, int64_t, int);
status __real_kv_choose(const struct kv_call *);
status __wrap_kv_choose(const struct kv_call *);
status __real_kv_observe(const struct kv_call *);
status __wrap_kv_observe(const struct kv_call *);
void __real_frames_add(struct kv_window *, enum kv_source, int, int64_t, int64_t, int64_t);
void __wrap_frames_add(struct kv_window *, enum kv_source, int, int64_t, int64_t, int64_t);
status __real_line_upload_angles(struct line *);
status __wrap_line_upload_angles(struct line *);

void __wrap_kv_window_spans(struct kv_window *out, const struct kv_policy *p,
                            const struct kv_pass *pass)
{
    __real_kv_window_spans(out, p, pass);
    if (planted.spans) planted.spans(out, p, pass);
}

void __wrap_kv_clean_spans(struct kv_window *out, const struct kv_policy *p,
                           const struct kv_pass *pass)
{
    struct kv_pass other = *pass;

    if (planted.forgets_cut) other.cut = false;
    __real_kv_clean_spans(out, p, &other);
    if (planted.spans) planted.spans(out, p, pass);
}

/* Frames in the other order: the last of those that leave into the first of the sink. */
static status add_backwards(const struct kv_call *c, struct average *a, const struct tensor *x,
                            double alpha)
{
    int64_t const frame = x->dim[0] / B;

    for (int f = 0; f < B; f++) {
        struct tensor const from = tensor_slice(x, (B - 1 - f) * frame, frame);
        struct average to = { .wide = tensor_slice(&a->wide, f * frame, frame),
                              .act = tensor_slice(&a->act, f * frame, frame) };
        TRY(__real_average_add(c, &to, &from, alpha));
    }
    return ST_OK;
}

status __wrap_average_add(const struct kv_call *c, struct average *a, const struct tensor *x,
                          double alpha)
{
    if (planted.average && planted.average(c, a)) return ST_OK;
    if (planted.backwards) return add_backwards(c, a, x, alpha);
    for (int i = 0; planted.each_pass && i < 4; i++) TRY(__real_average_add(c, a, x, alpha));
    return __real_average_add(c, a, x, alpha);
}

void __wrap_kv_recache_find(struct kv_recache *out, const struct kv_policy *p, int64_t block)
{
    __real_kv_recache_find(out, p, block);
    if (planted.recache) planted.recache(out, p, block);
}

static bool scores; /* a block enters or is in its first pass, and nothing is chosen yet */
static const struct kv_call *choosing; /* the call in which that is */

/* The last layer's rows once more, by its own scores. */
static status choose_for_last(const struct kv_call *c, int64_t block)
{
    struct tensor kv[2];
    static char kept[2][1 << 16];
    int64_t const rows = c->cache->shape.kept;

    kv_cache_kept(c->cache, 1, 0, rows, &kv[0], &kv[1]);
    for (int i = 0; i < 2; i++) {
        assert_true(tensor_bytes(&kv[i]) <= sizeof kept[i]);
        memcpy(kept[i], kv[i].data, tensor_bytes(&kv[i]));
    }
    c->state->block = block - 1;
    planted.of_last_layer = scores = true;
    status const st = __real_kv_enter(c, block);
    planted.of_last_layer = scores = false;
    for (int i = 0; i < 2; i++) memcpy(kv[i].data, kept[i], tensor_bytes(&kv[i]));
    return st;
}

status __wrap_kv_enter(const struct kv_call *c, int64_t block)
{
    int64_t const before = c->state->block;

    scores = true;
    status const st = __real_kv_enter(c, block);
    scores = false;
    if (st == ST_OK && planted.each_layer && c->state->block != before)
        return choose_for_last(c, block);
    return st;
}

/* Roped for the score as they should be; those that are kept, to where the recent begin. */
static status rope_moved(void *arg, const struct tensor *x, int64_t position, struct tensor *out)
{
    int64_t const moved = choosing->state->block * B - 3;

    (void)arg;
    return choosing->rope(choosing->arg, x, scores ? position : moved, out);
}

status __wrap_kv_choose(const struct kv_call *c)
{
    struct kv_call other = *c;

    choosing = c;
    scores = true;
    if (planted.moved) other.rope = rope_moved;
    status const st = __real_kv_choose(&other);
    scores = false;
    return st == ST_OK && planted.choice ? planted.choice(c) : st;
}

status __wrap_kv_observe(const struct kv_call *c)
{
    return planted.unobserved ? ST_OK : __real_kv_observe(c);
}

void __wrap_frames_add(struct kv_window *out, enum kv_source source, int b, int64_t from,
                       int64_t to, int64_t position)
{
    int64_t const less = planted.early && scores && from == 5 && to == 8 ? 2 : 0;
    __real_frames_add(out, source, b, from - less, to - less, position);
}

/* In a recache the pass of a block: without the keys of later ones. */
status __wrap_line_upload_angles(struct line *l)
{
    struct kv_window *const w = &l->stage[l->levels].keys;
    int kept = 0;

    for (int i = 0; planted.causal && i < w->count; i++)
        if (w->span[i].block <= l->place[l->levels].block) w->span[kept++] = w->span[i];
    if (planted.causal) w->count = kept;
    return __real_line_upload_angles(l);
}

double __wrap_rope_jittered_base(double sigma, uint32_t seed, int head)
{
    return __real_rope_jittered_base(sigma, seed, planted.alike ? 0 : head);
}

status __wrap_rank_best(const float *score, int64_t count, int64_t best, int32_t *out)
{
    float other[1024];

    scores = false;
    if (!planted.ranks_backwards || count > COUNT_OF(other))
        return __real_rank_best(score, count, best, out);
    for (int64_t i = 0; i < count; i++) other[i] = -score[i];
    return __real_rank_best(other, count, best, out);
}

status __wrap_kv_cache_get(const struct kv_cache *c, int64_t block, int layer, struct tensor *k,
                           struct tensor *v)
{
    static float room[1 << 16];
    bool const other = planted.of_last_layer && scores;

    TRY(__real_kv_cache_get(c, block, other ? c->shape.layers - 1 : layer, k, v));
    if (!planted.roped || !scores || !choosing) return ST_OK;
    struct tensor roped = *k;
    roped.data = room;
    assert_true(tensor_bytes(k) <= sizeof room);
    TRY(choosing->rope(choosing->arg, k, block * B, &roped));
    *k = roped;
    return ST_OK;
}

bool __wrap_kv_head_is_static(const struct kv_profile *p, int layer, int head)
{
    if (scores ? planted.of_all_heads : planted.all_dynamic) return false;
    return __real_kv_head_is_static(p, layer, head);
}

void __wrap_rope_angles(float *out, int pairs, int64_t first, int count)
{
    bool const shorter = planted.shorter && scores && first > 0;
    __real_rope_angles(out, pairs, planted.unroped && scores ? 0 : first - shorter, count);
}

/* ---- mistakes ---------------------------------------------------------------------------- */

static int64_t frame_of(const struct kv_span *s) { return s->block * B + s->frame; }

static bool is_sink(const struct kv_policy *p, const struct kv_span *s)
{
    return s->source == KV_CLEAN && frame_of(s) < p->sink_frames;
}

/* A frame that stands where it never was. */
static bool is_moved(const struct kv_span *s)
{
    return s->source != KV_KEPT && frame_of(s) != s->position;
}

static void leave_sink(struct kv_window *w, const struct kv_policy *p, const struct kv_pass *pass)
{
    (void)pass;
    for (int i = 0; i < w->count; i++)
        if (is_sink(p, &w->span[i])) w->span[i].position = frame_of(&w->span[i]);
}

/* To where the frames behind it begin, as it may seem right. */
static void close_gap(struct kv_window *w, const struct kv_policy *p, const struct kv_pass *pass)
{
    (void)pass;
    for (int i = 0; i < w->count; i++)
        if (is_sink(p, &w->span[i]) && is_moved(&w->span[i])) w->span[i].position += B;
}

static void spoil_walk(struct kv_window *w, int frames, int64_t shift, bool mirrored)
{
    for (int i = 0; i < w->count; i++) {
        struct kv_span *const s = &w->span[i];
        if (s->source != KV_CLEAN || s->position < frames || frame_of(s) == s->position) continue;
        int64_t const at = s->position + shift, in = at % frames;
        int64_t const frame = mirrored && at / frames % 2 ? frames - 1 - in : in;
        s->block = frame / B;
        s->frame = (int)(frame % B);
        if (s->frame + s->frames > B) s->frame = B - s->frames;
    }
}

static void shift_walk(struct kv_window *w, const struct kv_policy *p, const struct kv_pass *pass)
{
    (void)pass;
    spoil_walk(w, kv_whole(p, KV_KEY_replay_frames), B, true);
}

static void repeat_walk(struct kv_window *w, const struct kv_policy *p, const struct kv_pass *pass)
{
    (void)pass;
    spoil_walk(w, kv_whole(p, KV_KEY_replay_frames), 0, false);
}

static void shift_sink_walk(struct kv_window *w, const struct kv_policy *p,
                            const struct kv_pass *pass)
{
    (void)pass;
    spoil_walk(w, p->sink_frames, 2 * B, true);
}

/* A change of prompt leaves the sink and one frame: the scenes begin at blocks 4 and 8. */
static void flush_more(struct kv_window *w, const struct kv_policy *p, const struct kv_pass *pass)
{
    (void)p;
    if (pass->first % 4) return;
    for (int i = 0; i < w->count; i++) {
        struct kv_span *const s = &w->span[i];
        if (s->source != KV_CLEAN || s->block != pass->first - 1) continue;
        s->frame++, s->position++, s->frames--;
    }
}

/* The memories never come to be seen: the frames before them stand in their place. */
static void skip_memories(struct kv_window *w, const struct kv_policy *p,
                          const struct kv_pass *pass)
{
    (void)p, (void)pass;
    for (int i = 0; i < w->count; i++)
        if (w->span[i].source == KV_KEPT) w->span[i] = w->span[--w->count];
}

static bool is_values(const struct kv_call *c, const struct average *a)
{
    uintptr_t const at = (uintptr_t)a->wide.data, from = (uintptr_t)c->cache->wide_v.data;
    return at >= from && at < from + tensor_bytes(&c->cache->wide_v);
}

/* Rows of the first frame of a layer's own. */
static bool is_first_frame(const struct kv_call *c, const struct average *a)
{
    const struct tensor *const all = is_values(c, a) ? &c->cache->wide_v : &c->cache->wide_k;
    int64_t const bytes = (int64_t)((uintptr_t)a->wide.data - (uintptr_t)all->data);
    int64_t const row = bytes / (c->state->dim * (int64_t)sizeof(float));

    return row % c->cache->shape.kept < c->state->tokens;
}

static bool long_values(const struct kv_call *c, const struct average *a)
{
    return is_values(c, a) && is_first_frame(c, a);
}

/* Layer 0 sees one frame more. */
static void more_in_first_layer(struct kv_window *w, const struct kv_policy *p,
                                const struct kv_pass *pass)
{
    if (pass->layer || pass->first <= kv_whole(p, KV_KEY_first_split_block)) return;
    struct kv_span const own = w->span[--w->count];
    frames_add(w, KV_CLEAN, B, own.block * B - 2, own.block * B - 1, own.block * B - 2);
    w->span[w->count++] = own;
}

/* Of the averaged sink, K alone shows least; its positions more. */
static void average_at_zero(struct kv_window *w, const struct kv_policy *p,
                            const struct kv_pass *pass)
{
    (void)p, (void)pass;
    for (int i = 0; i < w->count; i++)
        if (w->span[i].source == KV_KEPT) w->span[i].position = 0;
}

/* The oldest block goes by the old prompt. */
static void recache_less(struct kv_recache *r, const struct kv_policy *p, int64_t block)
{
    (void)p, (void)block;
    r->first++;
}

/* Of the keys of the recache itself. */
static void recache_sink_stays(struct kv_recache *r, const struct kv_policy *p, int64_t block)
{
    (void)block;
    leave_sink(&r->keys, p, NULL);
}

static void recache_without_sink(struct kv_recache *r, const struct kv_policy *p, int64_t block)
{
    (void)block;
    while (r->keys.count && is_sink(p, &r->keys.span[0])) {
        r->keys.count--;
        for (int i = 0; i < r->keys.count; i++) r->keys.span[i] = r->keys.span[i + 1];
    }
}

/* What is noted of the block's first pass instead, or too. */
static status note_first_pass(const struct kv_call *c) { return __real_kv_observe(c); }

/* The newest frame between sink and tail as history. */
static status take_newest(const struct kv_call *c)
{
    if (kv_state_chooses_any(c->state))
        kv_state_choice(c->state, 0)[0] = (int32_t)(c->state->block * B - 2);
    return ST_OK;
}

/* A turn of a row's keys by so many rows and columns of the picture. */
static void turn_place(float *row, int64_t dim, int heads, int rows, int columns)
{
    struct rope_split const s = rope_split_of((int)(dim / heads));

    for (int h = 0; h < heads; h++)
        for (int i = 0; i < s.row + s.col; i++) {
            bool const by_row = i < s.row;
            int const pairs = by_row ? s.row : s.col, nth = by_row ? i : i - s.row;
            double const w = pow(10000, -(double)nth / pairs) * (by_row ? rows : columns);
            float *const x = row + h * (dim / heads) + 2 * (s.time + i);
            float const re = x[0], im = x[1];
            x[0] = (float)((double)re * cos(w) - (double)im * sin(w));
            x[1] = (float)((double)re * sin(w) + (double)im * cos(w));
        }
}

/* Chosen tokens at their own places of the picture: roped by what these differ by from where they
 * then stand, of 3 x 4 tokens. */
static status keep_place(const struct kv_call *c)
{
    const struct kv_policy_ops *const ops = kv_policy_ops(&c->state->policy);
    int64_t const n = c->state->tokens, rows = c->state->choice_count;
    struct tensor k, v;
    double frame;
    int64_t token;

    if (!ops->chooses_now(c->state, c->layer)) return ST_OK;
    kv_cache_kept(c->cache, c->layer, 0, rows, &k, &v);
    for (int64_t i = 0; i < rows; i++) {
        ops->kept_source(c->state, c->layer, i, &frame, &token);
        turn_place((float *)k.data + i * c->state->dim, c->state->dim, c->state->heads,
                   (int)(token / 4 - i % n / 4), (int)(token % 4 - i % n % 4));
    }
    return ST_OK;
}

static const struct mistake mistakes[] = {
    { "nothing", "deep-forcing-limit", .spans = NULL },
    { "deep forcing: the sink is not moved", "deep-forcing-limit", .spans = leave_sink },
    { "deep forcing: no gap behind the sink", "deep-forcing-limit", .spans = close_gap },
    { "deep forcing: chosen tokens moved", "deep-forcing-limit", .moved = true },
    { "deep forcing: noted in first passes", "deep-forcing-limit", .unobserved = true,
      .choice = note_first_pass },
    { "deep forcing: scores of keys not roped", "deep-forcing-limit", .unroped = true },
    { "deep sink: it is not moved", "deep-sink", .spans = leave_sink },
    { "deep sink: no gap behind it", "deep-sink", .spans = close_gap },
    { "rolling sink: the walk is a block ahead", "rolling-sink", .spans = shift_walk },
    { "rolling sink: the walk begins anew", "rolling-sink", .spans = repeat_walk },
    { "infinity-rope: no cut in the clean pass", "infinity-rope", .forgets_cut = true },
    { "infinity-rope: a flush leaves a frame", "infinity-rope", .spans = flush_more },
    { "infinity-rope: the sink is not moved", "infinity-rope", .spans = leave_sink },
    { "memrope: values of the long memory", "memrope", .average = long_values },
    { "memrope: the first memory too early", "memrope", .early = true },
    { "memrope: no memories", "memrope", .spans = skip_memories },
    { "recache: a block less", "longlive-switch-relative", .recache = recache_less },
    { "recache: the sink is not moved", "longlive-switch-relative", .recache = recache_sink_stays },
    { "recache: no sink", "longlive-switch-relative", .recache = recache_without_sink },
    { "recache: earlier blocks alone", "longlive-switch-relative", .causal = true },
    { "ema sink: frames backwards", "ema-sink", .backwards = true },
    { "ema sink: in each pass", "ema-sink", .each_pass = true },
    { "ema sink: at its own positions", "ema-sink", .spans = average_at_zero },
    { "ema sink: keys alone", "ema-sink", .average = is_values },
    { "relax forcing: the sink is not moved", "relax-forcing", .spans = leave_sink },
    { "relax forcing: the newest candidate", "relax-forcing", .choice = take_newest },
    { "relax forcing: scores of roped keys", "relax-forcing", .roped = true },
    { "echo forcing: the walk of rolling sink", "echo-forcing", .spans = shift_sink_walk },
    { "echo forcing: a distance less", "echo-forcing", .shorter = true },
    { "echo forcing: noted in all passes", "echo-forcing", .choice = note_first_pass },
    { "echo forcing: tokens in their places", "echo-forcing", .choice = keep_place },
    { "lol: one base for all heads", "lol", .alike = true },
    { "recache: no sink at its own positions", "switch-absolute", .recache = recache_without_sink },
    { "forcing-kv: the most alike are kept", "forcing-kv", .ranks_backwards = true },
    { "forcing-kv: scores of keys not roped", "forcing-kv", .unroped = true },
    { "forcing-kv: scores of all heads", "forcing-kv", .of_all_heads = true },
    { "forcing-kv: scores of another layer", "forcing-kv", .of_last_layer = true },
    { "forcing-kv: each layer by itself", "forcing-kv", .each_layer = true },
    { "forcing-kv: static heads see it too", "forcing-kv", .all_dynamic = true },
    { "forcing-kv: no dynamic part", "forcing-kv", .spans = skip_memories },
    { "forcing-kv: a frame more in the first layer", "forcing-kv", .spans = more_in_first_layer },
};

static void each_is_found(void **state)
{
    (void)state;
    for (int i = 0; i < COUNT_OF(mistakes); i++) {
        char folder[64], backend[] = "--backend", cpu[] = "cpu", verify[] = "verify";
        char *argv[] = { verify, backend, cpu, folder, NULL };
        snprintf(folder, sizeof folder, "tests/golden/%s", mistakes[i].folder);
        planted = mistakes[i];
        status const st = cmd_verify(4, argv);
        if (st != (i ? ST_MISMATCH : ST_OK)) print_error("%s: taken\n", mistakes[i].name);
        assert_int_equal(st, i ? ST_MISMATCH : ST_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_is_found) };
    return cmocka_run_group_tests_name("line_mistakes", tests, NULL, NULL);
}
