/* kv_state.c - a policy's memory on the host, and its calls in the order in which they must
 * come. */
#include "pipeline/cache/kv_state.h"

#include <stdlib.h>
#include <string.h>

static const struct kv_policy_ops *ops_of(const struct kv_state *s)
{
    return kv_policy_ops(&s->policy);
}

status kv_state_check(const struct kv_policy *p, const struct kv_state_shape *shape)
{
    const struct kv_policy_ops *const ops = kv_policy_ops(p);
    return ops->fits ? ops->fits(p, shape) : ST_OK;
}

status kv_state_open(struct kv_state *out, const struct kv_policy *p,
                     const struct kv_state_shape *shape)
{
    const struct kv_policy_ops *const ops = kv_policy_ops(p);
    int const layers = shape->layers;
    int64_t const tokens = shape->tokens, dim = shape->dim;

    *out = (struct kv_state){ 0 };
    TRY(kv_state_check(p, shape));
    *out = (struct kv_state){
        .policy = *p, .layers = layers, .tokens = tokens, .dim = dim, .heads = shape->heads
    };
    if (ops->choice_count) {
        out->choice_count = ops->choice_count(p, tokens);
        out->choice_layers = ops->first_layer_chooses ? 1 : layers;
        out->choice = calloc(1, kv_state_choice_bytes(out) + 1);
        if (!out->choice) return fail(ST_NOMEM, "cache: choices of %d layers", layers);
    }
    if (ops->observe) {
        out->note_count = ops->note_count ? ops->note_count(dim) : dim;
        out->note = calloc((size_t)layers * (size_t)out->note_count + 1, sizeof *out->note);
        if (!out->note) return fail(ST_NOMEM, "cache: notes of %d layers", layers);
    }
    if (ops->state_bytes) {
        out->own_bytes = ops->state_bytes(p, shape);
        out->own = calloc(1, out->own_bytes + 1);
        if (!out->own) return fail(ST_NOMEM, "cache: %zu bytes of state", out->own_bytes);
    }
    kv_state_reset(out);
    return ST_OK;
}

void kv_state_close(struct kv_state *s)
{
    free(s->choice);
    free(s->note);
    free(s->own);
    *s = (struct kv_state){ 0 };
}

size_t kv_state_note_bytes(const struct kv_state *s)
{
    return (size_t)s->layers * (size_t)s->note_count * sizeof *s->note;
}

size_t kv_state_choice_bytes(const struct kv_state *s)
{
    return (size_t)s->choice_layers * (size_t)s->choice_count * sizeof *s->choice;
}

void kv_state_take_choice(const struct kv_state *s, int64_t block, void *to)
{
    size_t const bytes = kv_state_choice_bytes(s);

    if (block > 0 && block == s->block && kv_state_chooses_any(s)) memcpy(to, s->choice, bytes);
    else memset(to, 0, bytes);
}

size_t kv_state_bytes(const struct kv_state *s)
{
    return kv_state_choice_bytes(s) + kv_state_note_bytes(s) + s->own_bytes;
}

void kv_state_reset(struct kv_state *s)
{
    s->block = 0;
    if (s->own) memset(s->own, 0, s->own_bytes);
    if (s->note) memset(s->note, 0, kv_state_note_bytes(s));
    if (ops_of(s)->reset) ops_of(s)->reset(s);
}

/* Does the layer choose in the first pass of the block that has entered? */
static bool chooses_in(const struct kv_state *s, int layer)
{
    return layer < s->choice_layers && ops_of(s)->chooses_now(s, layer);
}

bool kv_state_chooses_any(const struct kv_state *s)
{
    for (int layer = 0; layer < s->choice_layers; layer++)
        if (chooses_in(s, layer)) return true;
    return false;
}

/* ---- calls ------------------------------------------------------------------------------ */

status kv_room_place(struct kv_room *out, const struct kv_policy *p, int64_t tokens, int64_t dim,
                     enum dtype act, struct arena *a)
{
    const struct kv_policy_ops *const ops = kv_policy_ops(p);
    int64_t const rows = p->attention_frames * tokens;

    *out = (struct kv_room){ .host = out->host };
    if (!ops->enter && !ops->choose && !ops->settle) return ST_OK;
    TRY(tensor_place(&out->rows, a, act, DIMS(rows, dim)));
    TRY(tensor_place(&out->wide, a, DT_F32, DIMS((p->frames_per_block + 1) * tokens, dim)));
    TRY(tensor_place(&out->sums, a, DT_F32, DIMS(dim)));
    TRY(tensor_place(&out->score, a, DT_F32, DIMS(rows)));
    return tensor_place(&out->index, a, DT_F32, DIMS(rows));
}

status kv_enter(const struct kv_call *c, int64_t block)
{
    struct kv_state *const s = c->state;

    if (block <= s->block) return ST_OK;
    s->block = block;
    if (s->choice) memset(s->choice, 0, kv_state_choice_bytes(s));
    return ops_of(s)->enter ? ops_of(s)->enter(c, block) : ST_OK;
}

status kv_observe(const struct kv_call *c)
{
    return ops_of(c->state)->observe ? ops_of(c->state)->observe(c) : ST_OK;
}

static status settle_layer(const struct kv_call *c)
{
    TRY(ops_of(c->state)->take(c->state, c->layer));
    return ops_of(c->state)->settle ? ops_of(c->state)->settle(c) : ST_OK;
}

status kv_choose(const struct kv_call *c)
{
    if (!chooses_in(c->state, c->layer)) return ST_OK;
    TRY(ops_of(c->state)->choose(c));
    return settle_layer(c);
}

status kv_settle(const struct kv_call *c)
{
    struct kv_call one = *c;

    for (one.layer = 0; one.layer < c->state->choice_layers; one.layer++)
        if (chooses_in(c->state, one.layer)) TRY(settle_layer(&one));
    return ST_OK;
}

status kv_settle_taken(const struct kv_call *c, const void *choice)
{
    memcpy(c->state->choice, choice, kv_state_choice_bytes(c->state));
    return kv_settle(c);
}

status kv_replay_choice(struct kv_state *s, int64_t block, const void *choice)
{
    struct kv_call const c = { .state = s };

    TRY(kv_enter(&c, block));
    memcpy(s->choice, choice, kv_state_choice_bytes(s));
    for (int layer = 0; layer < s->choice_layers; layer++)
        if (chooses_in(s, layer)) TRY(ops_of(s)->take(s, layer));
    return ST_OK;
}
