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

#include <stdint.h>
#include <stdio.h>

enum { B = 3 }; /* of all cases here */

typedef void spoil_spans(struct kv_window *w, const struct kv_policy *p,
                         const struct kv_pass *pass);
typedef void spoil_recache(struct kv_recache *r, const struct kv_policy *p, int64_t block);
typedef bool spoil_average(const struct kv_call *c, const struct average *a); /* true: left out */

static struct mistake {
    const char *name, *folder;
    spoil_spans *spans;
    spoil_average *average;
    spoil_recache *recache;
    bool forgets_cut;                                           /* in clean passes */
    bool ranks_backwards, of_all_heads, of_last_layer, unroped; /* scores before a block */
    bool all_dynamic;                                           /* heads */
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
void __real_rope_angles(float *, int, int64_t, int);
void __wrap_rope_angles(float *, int, int64_t, int);

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

status __wrap_average_add(const struct kv_call *c, struct average *a, const struct tensor *x,
                          double alpha)
{
    return planted.average && planted.average(c, a) ? ST_OK : __real_average_add(c, a, x, alpha);
}

void __wrap_kv_recache_find(struct kv_recache *out, const struct kv_policy *p, int64_t block)
{
    __real_kv_recache_find(out, p, block);
    if (planted.recache) planted.recache(out, p, block);
}

static bool scores; /* a block enters, and nothing is chosen yet */

status __wrap_kv_enter(const struct kv_call *c, int64_t block)
{
    scores = true;
    status const st = __real_kv_enter(c, block);
    scores = false;
    return st;
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
    bool const other = planted.of_last_layer && scores;
    return __real_kv_cache_get(c, block, other ? c->shape.layers - 1 : layer, k, v);
}

bool __wrap_kv_head_is_static(const struct kv_profile *p, int layer, int head)
{
    if (scores ? planted.of_all_heads : planted.all_dynamic) return false;
    return __real_kv_head_is_static(p, layer, head);
}

void __wrap_rope_angles(float *out, int pairs, int64_t first, int count)
{
    __real_rope_angles(out, pairs, planted.unroped && scores ? 0 : first, count);
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
    spoil_walk(w, p->sink_frames, B, true);
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

static const struct mistake mistakes[] = {
    { "nothing", "deep-forcing-limit", .spans = NULL },
    { "deep forcing: the sink is not moved", "deep-forcing-limit", .spans = leave_sink },
    { "deep forcing: no gap behind the sink", "deep-forcing-limit", .spans = close_gap },
    { "rolling sink: the walk is a block ahead", "rolling-sink", .spans = shift_walk },
    { "rolling sink: the walk begins anew", "rolling-sink", .spans = repeat_walk },
    { "infinity-rope: no cut in the clean pass", "infinity-rope", .forgets_cut = true },
    { "infinity-rope: a flush leaves a frame", "infinity-rope", .spans = flush_more },
    { "infinity-rope: the sink is not moved", "infinity-rope", .spans = leave_sink },
    { "memrope: values of the long memory", "memrope", .average = long_values },
    { "memrope: no memories", "memrope", .spans = skip_memories },
    { "recache: a block less", "longlive-switch-relative", .recache = recache_less },
    { "recache: the sink is not moved", "longlive-switch-relative", .recache = recache_sink_stays },
    { "recache: no sink", "longlive-switch-relative", .recache = recache_without_sink },
    { "ema sink: at its own positions", "ema-sink", .spans = average_at_zero },
    { "ema sink: keys alone", "ema-sink", .average = is_values },
    { "relax forcing: the sink is not moved", "relax-forcing", .spans = leave_sink },
    { "echo forcing: the walk is a block ahead", "echo-forcing", .spans = shift_sink_walk },
    { "forcing-kv: the most alike are kept", "forcing-kv", .ranks_backwards = true },
    { "forcing-kv: scores of keys not roped", "forcing-kv", .unroped = true },
    { "forcing-kv: scores of all heads", "forcing-kv", .of_all_heads = true },
    { "forcing-kv: scores of another layer", "forcing-kv", .of_last_layer = true },
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
        if ((st == ST_OK) != (i == 0)) print_error("%s: taken\n", mistakes[i].name);
        assert_int_equal(st == ST_OK, i == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(each_is_found) };
    return cmocka_run_group_tests_name("line_mistakes", tests, NULL, NULL);
}
