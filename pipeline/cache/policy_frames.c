/* policy_frames.c - what the policies share: spans of whole frames, and how far back they reach. */
#include "pipeline/cache/cache_internal.h"

void frames_add(struct kv_window *out, enum kv_source source, int frames_per_block, int64_t from,
                int64_t to)
{
    int const b = frames_per_block;

    while (from < to) {
        int64_t const block = from / b, next = (block + 1) * b, end = to < next ? to : next;
        out->span[out->count++] = (struct kv_span){
            .source = source,
            .block = block,
            .frame = (int)(from - block * b),
            .frames = (int)(end - from),
            .position = from,
        };
        from = end;
    }
}

void frames_add_sink(struct kv_window *out, int frames, int64_t position)
{
    if (frames)
        out->span[out->count++] =
            (struct kv_span){ .source = KV_CLEAN, .frames = frames, .position = position };
}

int frames_lookback(const struct kv_window *w, int64_t newest)
{
    int64_t oldest = newest + 1;

    for (int i = 0; i < w->count; i++) {
        const struct kv_span *const s = &w->span[i];
        if (s->source == KV_CLEAN && s->block > 0 && s->block < oldest) oldest = s->block;
    }
    return (int)(newest + 1 - oldest);
}

status frames_check(const struct kv_policy *p, int64_t least)
{
    int const b = p->frames_per_block, a = p->attention_frames;

    if (a >= least && a <= (KV_SPANS - 2) * b) return ST_OK;
    return fail(ST_ARG, "attention frames: %d; %lld to %d are allowed for %d levels of %d frames",
                a, (long long)least, (KV_SPANS - 2) * b, p->levels, b);
}
