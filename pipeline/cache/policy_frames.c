/* policy_frames.c - what the policies share: spans of whole frames, and how far back they reach. */
#include "pipeline/cache/cache_internal.h"

void frames_add(struct kv_window *out, enum kv_source source, int frames_per_block, int64_t from,
                int64_t to, int64_t position)
{
    int const b = frames_per_block;

    while (from < to) {
        int64_t const block = from / b, next = (block + 1) * b, end = to < next ? to : next;
        out->span[out->count++] = (struct kv_span){
            .source = source,
            .block = block,
            .frame = (int)(from - block * b),
            .frames = (int)(end - from),
            .position = position,
        };
        position += end - from;
        from = end;
    }
}

static int64_t fold_position(int frames, int64_t position)
{
    int64_t const at = position % frames;
    return position / frames % 2 ? frames - 1 - at : at;
}

/* A span to each step forwards within a block, or to one frame. */
void frames_add_walk(const struct kv_policy *p, int frames, int64_t from, int64_t to,
                     struct kv_window *out)
{
    int const b = p->frames_per_block;

    while (from < to) {
        int64_t const frame = fold_position(frames, from);
        int64_t end = from + 1;
        while (end < to && fold_position(frames, end) == frame + end - from &&
               (frame + end - from) % b)
            end++;
        frames_add(out, KV_CLEAN, b, frame, frame + end - from, from);
        from = end;
    }
}

int64_t frames_first_full(const struct kv_policy *p)
{
    return p->attention_frames / p->frames_per_block;
}

int64_t frames_oldest(const struct kv_policy *p, int64_t block)
{
    return (block + 1) * p->frames_per_block - p->attention_frames;
}

void frames_add_history(const struct kv_policy *p, const struct kv_pass *pass,
                        int64_t sink_position, struct kv_window *out)
{
    int const b = p->frames_per_block, sink = p->sink_frames;
    int64_t const begin = pass->first * b, oldest = frames_oldest(p, pass->first);
    int64_t const from = pass->sink_block * b;

    if (oldest <= 0) {
        frames_add(out, KV_CLEAN, b, 0, begin, 0);
        return;
    }
    frames_add(out, KV_CLEAN, b, from, from + sink, sink_position);
    frames_add(out, KV_CLEAN, b, oldest + sink, begin, oldest + sink);
}

void frames_add_own(const struct kv_policy *p, const struct kv_pass *pass, enum kv_source source,
                    int64_t jump, struct kv_window *out)
{
    int const b = p->frames_per_block;
    int64_t const begin = pass->first * b;

    frames_add(out, source, b, begin, begin + pass->count * b, begin + jump);
}

int frames_sink_blocks(const struct kv_policy *p)
{
    return (p->sink_frames + p->frames_per_block - 1) / p->frames_per_block;
}

/* Blocks from the oldest clean one behind the bank up to `newest`. */
static int reach_back(int bank, const struct kv_window *w, int64_t newest)
{
    int64_t oldest = newest + 1;

    for (int i = 0; i < w->count; i++) {
        const struct kv_span *const s = &w->span[i];
        if (s->source == KV_CLEAN && s->block >= bank && s->block < oldest) oldest = s->block;
    }
    return (int)(newest + 1 - oldest);
}

/* The window over a stage's block has all younger levels in it: deep in a clip at least the
 * levels from this stage on. Behind given blocks it may be alone. */
int frames_look_back(const struct kv_policy_ops *ops, const struct kv_policy *p, int stage,
                     bool given)
{
    bool const joint = kv_window_is_joint(p->kind);
    int const bank = ops->bank && ops->bank(p) > 1 ? ops->bank(p) : 1;
    int const last = joint ? p->levels : 1;
    struct kv_pass pass = { .first = FRAMES_DEEP, .count = given || !joint ? 1 : last - stage };
    int most = 0;

    if (stage == p->levels) {
        struct kv_window w = { .count = 0 };
        pass.count = 1;
        ops->spans(p, &pass, KV_CLEAN, &w);
        return reach_back(bank, &w, FRAMES_DEEP);
    }
    for (; pass.count <= last; pass.count++) {
        struct kv_window w = { .count = 0 };
        ops->spans(p, &pass, KV_WINDOW, &w);
        int const n = reach_back(bank, &w, FRAMES_DEEP - 1);
        if (n > most) most = n;
    }
    return most;
}

status frames_check(const struct kv_policy *p, int64_t least)
{
    int const b = p->frames_per_block, a = p->attention_frames;

    if (a >= least && a <= (KV_SPANS - 2) * b) return ST_OK;
    return fail(ST_ARG, "attention frames: %d; %lld to %d are allowed for %d levels of %d frames",
                a, (long long)least, (KV_SPANS - 2) * b, p->levels, b);
}

status frames_check_sink(const struct kv_policy *p, int least)
{
    int const most = p->attention_frames - p->frames_per_block;

    TRY(frames_check(p, p->frames_per_block));
    if (p->sink_frames >= least && p->sink_frames <= most) return ST_OK;
    return fail(ST_ARG, "sink frames: %d; %d to %d are allowed", p->sink_frames, least, most);
}
