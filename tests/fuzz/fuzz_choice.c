/* fuzz_choice.c - any numbers as what a cache policy chose for the blocks of an attempt: a choice
 * that is taken is one of rows that there are. */
#include "tests/fuzz/fuzz.h"

#include "pipeline/cache/kv_state.h"

#include <stdlib.h>
#include <string.h>

enum { TOKENS = 4, BLOCKS = 64, MOST = 64 };

static struct kv_policy const policies[] = {
    { WINDOW_BLOCK,
      4,
      3,
      12,
      3,
      KV_SINK_USUAL,
      KV_DEEP_FORCING,
      { [KV_KEY_budget_frames] = 9, [KV_KEY_recent_frames] = 4, [KV_KEY_max_reuse] = 2 },
      { 0 } },
    { WINDOW_BLOCK,
      4,
      3,
      12,
      3,
      KV_SINK_USUAL,
      KV_ECHO_FORCING,
      { [KV_KEY_compressed_frames] = 3,
        [KV_KEY_recent_frames] = 3,
        [KV_KEY_history_frames] = 9,
        [KV_KEY_calibration_frames] = 9,
        [KV_KEY_score_offsets] = 5,
        [KV_KEY_max_reuse] = 2,
        [KV_KEY_amplitude_term] = 1,
        [KV_KEY_gate] = 3 },
      { 0 } },
    { WINDOW_BLOCK,
      4,
      3,
      7,
      2,
      KV_SINK_USUAL,
      KV_RELAX_FORCING,
      { [KV_KEY_reservoir_frames] = 12,
        [KV_KEY_history_frames] = 1,
        [KV_KEY_tail_frames] = 1,
        [KV_KEY_candidates] = 4,
        [KV_KEY_redundancy] = 2 },
      { 0 } },
};

/* A byte is the step from one number to the next, so that some are right; 255: any number. */
static size_t make_choice(int32_t *out, int64_t count, int64_t least, const uint8_t *data,
                          size_t size)
{
    size_t used = 0;
    int64_t at = least - 1;

    for (int64_t i = 0; i < count; i++) {
        uint8_t const step = used < size ? data[used++] : 1;
        int32_t any;
        at += step;
        out[i] = (int32_t)at;
        if (step != 255 || size - used < sizeof any) continue;
        memcpy(&any, data + used, sizeof any);
        used += sizeof any;
        out[i] = any;
    }
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int32_t choice[MOST];
    struct kv_state s;

    if (size < 1) return 0;
    const struct kv_policy *const p = &policies[data[0] % COUNT_OF(policies)];
    if (kv_policy_check(p) != ST_OK) abort();
    if (kv_state_open(&s, p, &(struct kv_state_shape){ 2, TOKENS, 8, 2 }) != ST_OK) abort();
    if (s.choice_layers * s.choice_count > MOST) abort();
    data++, size--;
    for (int64_t block = 0; block < BLOCKS && size; block++) {
        for (int layer = 0; layer < s.choice_layers; layer++) {
            bool const relax = p->rule == KV_RELAX_FORCING;
            size_t const used = make_choice(choice + layer * s.choice_count, s.choice_count,
                                            relax ? 3 * block - 7 : 0, data, size);
            data += used, size -= used;
        }
        if (kv_replay_choice(&s, block, choice) != ST_OK) break;
    }
    kv_state_close(&s);
    error_clear();
    return 0;
}
