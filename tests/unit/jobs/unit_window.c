/* unit_window.c - a job's window over a card's: what becomes of it, what is refused, and ids. */
#include "tests/support/unit.h"

#include "base/strbuf.h"
#include "jobs/spec/spec_internal.h"
#include "tests/support/least_job.h"

/* What a job's window makes of the card's. */
static const char *changed_window(const char *window, struct card *c)
{
    char *const text = str_format(BASE "window: %s\n", window);
    struct job_file f;

    error_clear();
    if (job_parse(&f, text, strlen(text), "d/j.yaml") == ST_OK) {
        status const st = window_change(f.job[0].window, c);
        assert_int_equal(st == ST_OK, !error_last()->msg[0]);
    }
    job_close(&f);
    free(text);
    return error_last()->msg;
}

static void windows(void **state)
{
    struct card c = test_card();

    (void)state;
    assert_string_equal(changed_window("{attention_frames: 15}", &c), "");
    assert_int_equal(c.window, WINDOW_ROLLING);
    assert_int_equal(c.attention_frames, 15);
    assert_int_equal(c.sink_frames, 3);
    assert_string_equal(
        changed_window("{kind: block, attention_frames: 12, sink_frames: 4, policy: "
                       "deep-forcing, budget_frames: 9}",
                       &c),
        "");
    assert_int_equal(c.window, WINDOW_BLOCK);
    assert_int_equal(c.rule, KV_DEEP_FORCING);
    assert_true(c.key[KV_KEY_budget_frames] == 9 && c.key[KV_KEY_max_reuse] == 7);
    assert_string_equal(changed_window("{max_reuse: 2}", &c), ""); /* the policy stays */
    assert_true(c.key[KV_KEY_budget_frames] == 9 && c.key[KV_KEY_max_reuse] == 2);
    assert_string_equal(changed_window("{policy: echo-forcing}", &c), ""); /* its own numbers */
    assert_true(c.key[KV_KEY_max_reuse] == 8 && c.key[KV_KEY_budget_frames] == 0);
    assert_string_equal(
        changed_window("{policy: usual, sink_frames: 3, sink_positions: moving}", &c), "");
    assert_int_equal(c.rule, KV_USUAL);
    assert_int_equal(c.sink, KV_SINK_MOVING);
    assert_true(c.key[KV_KEY_max_reuse] == 0);
}

static void refused_windows(void **state)
{
    static const struct {
        const char *window, *want;
    } rows[] = {
        { "12", "d/j.yaml:6:9: window: found \"12\"; allowed: a map of keys" },
        { "{kinds: block}",
          "d/j.yaml:6:10: window.kinds: unknown key (did you mean kind?); allowed: "
          "kind, attention_frames, sink_frames, sink_policy, sink_positions, policy, " },
        { "{policy: deep}",
          "d/j.yaml:6:18: window.policy: found \"deep\"; allowed: usual|deep-sink|" },
        { "{policy: lol, jitter: 1}",
          "d/j.yaml:6:31: window.jitter: found \"1\"; allowed: a number from 0 to 0.99" },
        { "{policy: lol, jitter_seed: 0.5}",
          "d/j.yaml:6:36: window.jitter_seed: found \"0.5\"; allowed: a whole number from 0 to 65535" },
        { "{kind: block, policy: deep-sink, jitter: 0.8}",
          "d/j.yaml:6:42: window.jitter: jitter is no key of the policy deep-sink" },
        { "{kind: block, policy: forcing-kv}",
          "d/j.yaml:6:9: window: static_heads is missing: the policy forcing-kv needs it" },
        { "{kind: block, static_heads: [[]]}",
          "d/j.yaml:6:23: window.static_heads: static_heads is no key of the policy usual" },
        { "{kind: block, policy: forcing-kv, static_heads: []}",
          "d/j.yaml:6:57: window.static_heads: found a list; allowed: a list of each layer's heads, "
          "1 to 64 of them: [[], [1, 2]]" },
        { "{kind: block, policy: forcing-kv, static_heads: [1]}",
          "d/j.yaml:6:58: window.static_heads[0]: found \"1\"; allowed: a list of heads" },
        { "{kind: block, policy: forcing-kv, static_heads: [[], [1, 52]]}",
          "d/j.yaml:6:66: window.static_heads[1][1]: found \"52\"; allowed: a whole number from 0 to "
          "51" },
        { "{attention_frames: 7}",
          "d/j.yaml:6:28: window.attention_frames: found \"7\"; allowed: a "
          "multiple of 3, 9 to 90 for these steps and this sink" },
        { "{kind: block, sink_frames: 5}",
          "d/j.yaml:6:36: window.sink_frames: found \"5\"; allowed: "
          "0, or 3, the clip's first block" },
        { "{policy: memrope}", "d/j.yaml:6:18: window.policy: found \"memrope\"; allowed: in a "
                               "rolling window: rolling-sink, ema-sink and lol, all experimental" },
        { "{kind: block, policy: memrope, gate: 3}",
          "d/j.yaml:6:40: window.gate: gate is no key of the policy memrope" },
        { "{kind: block, policy: memrope, adaptive: 2}",
          "d/j.yaml:6:50: window.adaptive: found \"2\"; allowed: a whole number from 0 to 1" },
        { "{renew_sink: 1}",
          "d/j.yaml:6:22: window.renew_sink: found \"1\"; allowed: 0 in a rolling "
          "window, or without a sink" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct card c = test_card();
        const char *const got = changed_window(rows[i].window, &c);
        if (strncmp(got, rows[i].want, strlen(rows[i].want)) != 0)
            assert_string_equal(got, rows[i].want);
    }
    struct card c = test_card(); /* what is wrong may be the card's */
    c.attention_frames = 6;
    assert_string_equal(
        changed_window("{sink_frames: 3}", &c),
        "d/j.yaml:6:9: window: the card has attention_frames: 6; allowed: a multiple "
        "of 3, 9 to 90 for these steps and this sink");
    c = test_card();
    c.window = WINDOW_BLOCK;
    c.first_steps = 1;
    assert_string_equal(
        changed_window("{kind: rolling}", &c),
        "d/j.yaml:6:16: window.kind: found \"rolling\"; allowed: block, for the card "
        "has first_block_steps");
}

/* The clips' id of a job with such a window, by the card. */
static void id_of(const char *window, char id[CLIP_ID])
{
    char *const text = str_format(BASE "%s%s\n", window[0] ? "window: " : "", window);
    struct card c = test_card();
    struct job_file f;
    struct clip_list l;

    assert_int_equal(job_parse(&f, text, strlen(text), "d/j.yaml"), ST_OK);
    if (f.job[0].window) assert_int_equal(window_change(f.job[0].window, &c), ST_OK);
    assert_int_equal(clip_expand(&l, &f.job[0], &c, &(struct clip_options){ .model_id = "m" }),
                     ST_OK);
    memcpy(id, l.clip[0].content_id, CLIP_ID);
    clip_free(&l);
    job_close(&f);
    free(text);
}

static void windows_in_ids(void **state)
{
    static const char *const windows[] = {
        "",
        "{attention_frames: 15}",
        "{kind: block}",
        "{kind: block, renew_sink: 1}",
        "{kind: block, sink_positions: moving}",
        "{kind: block, policy: ema-sink}",
        "{kind: block, policy: ema-sink, ema_alpha: 0.5}",
    };
    char id[COUNT_OF(windows)][CLIP_ID], same[CLIP_ID];

    (void)state;
    for (int i = 0; i < COUNT_OF(windows); i++) {
        id_of(windows[i], id[i]);
        for (int k = 0; k < i; k++) assert_string_not_equal(id[i], id[k]);
    }
    id_of("{kind: rolling, attention_frames: 21, sink_frames: 3, policy: usual}", same);
    assert_string_equal(same, id[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(windows),
                                        cmocka_unit_test(refused_windows),
                                        cmocka_unit_test(windows_in_ids) };
    return cmocka_run_group_tests_name("unit_window", tests, NULL, NULL);
}
