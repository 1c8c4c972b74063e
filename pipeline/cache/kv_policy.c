#include "pipeline/cache/kv_policy.h"

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

status kv_policy_check(const struct kv_policy *p)
{
    int const b = p->frames_per_block, a = p->attention_frames;

    if (b < 1 || b > 64) return fail(ST_ARG, "frames per block: %d; 1 to 64 are allowed", b);
    if (p->levels < 1) return fail(ST_ARG, "levels: %d; at least 1", p->levels);

    int const window = p->kind == WINDOW_ROLLING ? p->levels : 1;
    int64_t const least = (int64_t)b * window + (p->kind == WINDOW_ROLLING ? b : 0);
    if (a < least || a > (KV_SPANS - 2) * b)
        return fail(ST_ARG,
                    "attention frames: %d; %lld to %d are allowed for %d levels of %d frames", a,
                    (long long)least, (KV_SPANS - 2) * b, p->levels, b);
    if (p->kind == WINDOW_ROLLING && p->sink_frames != b)
        return fail(ST_ARG, "sink frames: %d; a rolling window has a sink of one block, %d",
                    p->sink_frames, b);
    if (p->sink_frames < 0 || p->sink_frames > b || p->sink_frames > a - b)
        return fail(ST_ARG, "sink frames: %d; 0 to %d are allowed", p->sink_frames,
                    (int)min64(b, a - b));
    return ST_OK;
}

/* Frames from .. to-1 of the clip, cut at block borders, at their own positions. */
static void add_frames(struct kv_window *out, enum kv_source source, int b, int64_t from,
                       int64_t to)
{
    while (from < to) {
        int64_t const block = from / b, end = min64(to, (block + 1) * b);
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

static void add_sink(struct kv_window *out, int frames, int64_t position)
{
    if (frames)
        out->span[out->count++] =
            (struct kv_span){ .source = KV_CLEAN, .frames = frames, .position = position };
}

/* Block by block: clean history up to the block, cut to the attention span behind the sink. */
static void add_history(struct kv_window *out, const struct kv_policy *p, int64_t block)
{
    int const b = p->frames_per_block;
    int64_t const end = (block + 1) * b;

    if (end <= p->attention_frames) {
        add_frames(out, KV_CLEAN, b, 0, block * b);
        return;
    }
    add_sink(out, p->sink_frames, 0);
    add_frames(out, KV_CLEAN, b, end - p->attention_frames + p->sink_frames, block * b);
}

void kv_window_spans(struct kv_window *out, const struct kv_policy *p, int64_t first, int count)
{
    int const b = p->frames_per_block;

    out->count = 0;
    if (p->kind == WINDOW_BLOCK) {
        add_history(out, p, first);
    } else if (first > 0) {
        int64_t const room = max64(0, p->attention_frames - (int64_t)count * b - b);
        int64_t const recent = min64(room, (first - 1) * b);
        add_sink(out, b, first * b - recent - b);
        add_frames(out, KV_CLEAN, b, first * b - recent, first * b);
    }
    add_frames(out, KV_WINDOW, b, first * b, (first + count) * b);
}

void kv_clean_spans(struct kv_window *out, const struct kv_policy *p, int64_t block)
{
    int const b = p->frames_per_block;

    out->count = 0;
    if (p->kind == WINDOW_BLOCK) {
        add_history(out, p, block);
        add_frames(out, KV_CLEAN, b, block * b, (block + 1) * b);
        return;
    }
    add_frames(out, KV_CLEAN, b, max64(0, (block + 1) * b - p->attention_frames), (block + 1) * b);
}

/* Blocks from the oldest clean one but block 0 up to `newest`. */
static int span_of(const struct kv_window *l, int64_t newest)
{
    int64_t oldest = newest + 1;

    for (int i = 0; i < l->count; i++)
        if (l->span[i].source == KV_CLEAN && l->span[i].block > 0)
            oldest = min64(oldest, l->span[i].block);
    return (int)(newest + 1 - oldest);
}

int kv_lookback(const struct kv_policy *p, int first_stage, int end_stage, bool given)
{
    int64_t const far =
        1 << 20; /* a block deep in a clip, where every rule is in its steady form */
    struct kv_window l;
    int most = 1; /* the block that passes the clean stage needs its place */

    for (int stage = first_stage; stage < end_stage; stage++) {
        if (stage == p->levels) {
            kv_clean_spans(&l, p, far);
            most = (int)max64(most, span_of(&l, far));
            continue;
        }
        int const widest = p->kind == WINDOW_BLOCK ? 1 : p->levels;
        int const narrowest = p->kind == WINDOW_BLOCK || given ? 1 : p->levels - stage;
        for (int count = narrowest; count <= widest; count++) {
            kv_window_spans(&l, p, far, count);
            most = (int)max64(most, span_of(&l, far - 1));
        }
    }
    return most;
}
