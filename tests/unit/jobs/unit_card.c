/* unit_card.c - model cards: those of models/, and broken ones with what is said. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "jobs/spec/card.h"
#include "jobs/spec/clip_spec.h"
#include <stdio.h>
#include <unistd.h>

#define HEAD  "card: 1\nname: a\nfamily: wan2.1-t2v\n"
#define FILES "weights: w.pt\nconfig: c.json\ntext: {encoder: e, tokenizer: /t}\nvae: v\n"
#define STEPS "steps: [1000, 750, 500, 250]\nwarp: true\nshift: 5\nframes_per_block: 3\n"
#define TAIL  "license: x\n"
#define ROLL  "window: {kind: rolling, attention_frames: 21, sink_frames: 3}\n"

static const char *message(const char *text)
{
    struct card c;

    error_clear();
    if (card_parse(&c, text, strlen(text), "m/c.yaml") == ST_OK) card_close(&c);
    assert_null(c.tree);
    return error_last()->msg;
}

/* Its first line is `want`; what else is wrong follows. */
static void expect_first(const char *got, const char *want)
{
    size_t const n = strlen(want);

    if (strncmp(got, want, n) != 0 || (got[n] && got[n] != '\n')) assert_string_equal(got, want);
}

static void a_card(void **state)
{
    static const char text[] =
        HEAD FILES "outer_key: ema\n" STEPS ROLL TAIL "size: 96x48\ncontext_noise: 0\n";
    struct card c;

    (void)state;
    assert_int_equal(card_parse(&c, text, sizeof text - 1, "m/c.yaml"), ST_OK);
    assert_string_equal(c.name, "a");
    assert_string_equal(c.path, "m/c.yaml");
    assert_string_equal(c.weights, "m/w.pt");
    assert_string_equal(c.outer_key, "ema");
    assert_string_equal(c.config, "m/c.json");
    assert_string_equal(c.encoder, "m/e");
    assert_string_equal(c.tokenizer, "/t");
    assert_string_equal(c.vae, "m/v");
    assert_int_equal(c.steps, 4);
    assert_true(c.step[0] == 1000 && c.step[3] == 250);
    assert_true(c.warp);
    assert_true(c.shift == 5);
    assert_int_equal(c.frames_per_block, 3);
    assert_int_equal(c.window, WINDOW_ROLLING);
    assert_int_equal(c.attention_frames, 21);
    assert_int_equal(c.sink_frames, 3);
    assert_string_equal(c.license, "x");
    assert_string_equal(card_family_name(c.family), "wan2.1-t2v");
    assert_string_equal(kv_window_name(c.window), "rolling");
    card_close(&c);
    card_close(&c);
}

/* What the releases' own settings say. */
static void the_models(void **state)
{
    static const struct {
        const char *path, *outer_key;
        int steps;
        double last;
        bool warp;
        enum window_kind window;
        int attention, sink;
        int frames, shift, first_steps, loras; /* 0: 3, 5, none, none */
        bool image, video;
        enum kv_rule rule;
    } rows[] = {
        { "models/rolling-forcing-1.3b.yaml", "generator_ema", 5, 200, true, WINDOW_ROLLING, 21, 3,
          .video = true },
        { "models/causal-forcing-longvideo-1.3b.yaml", "generator_ema", 4, 250, true,
          WINDOW_ROLLING, 21, 3, .video = true },
        { "models/longlive-1.3b.yaml", "generator", 4, 250, true, WINDOW_BLOCK, 12, 3, .loras = 1 },
        { "models/causvid-1.3b.yaml", "generator", 3, 522, false, WINDOW_BLOCK, 21, 0, .shift = 8,
          .video = true },
        { "models/causal-forcing-chunkwise-1.3b.yaml", "generator", 4, 250, true, WINDOW_BLOCK, 21,
          0, .frames = 3 },
        { "models/causal-forcing-framewise-4-step-1.3b.yaml", "generator_ema", 4, 250, true,
          WINDOW_BLOCK, 21, 0, .frames = 1, .image = true, .video = true },
        { "models/causal-forcing-framewise-2-step-1.3b.yaml", "generator_ema", 2, 500, true,
          WINDOW_BLOCK, 21, 0, .frames = 1, .first_steps = 4, .image = true, .video = true },
        { "models/causal-forcing-framewise-1-step-1.3b.yaml", "generator_ema", 1, 1000, true,
          WINDOW_BLOCK, 21, 0, .frames = 1, .first_steps = 4, .image = true, .video = true },
        { "models/self-forcing-1.3b.yaml", "generator_ema", 4, 250, true, WINDOW_BLOCK, 21, 0,
          .frames = 3 },
        { "models/reward-forcing-1.3b.yaml", NULL, 4, 250, true, WINDOW_BLOCK, 9, 3,
          .rule = KV_EMA_SINK },
        { "models/infinite-forcing-1.3b.yaml", NULL, 4, 250, true, WINDOW_BLOCK, 6, 1,
          .rule = KV_INFINITY_ROPE },
        { "models/streamdiffusionv2-t2v-1.3b.yaml", "generator", 4, 250, false, WINDOW_BLOCK, 21, 0,
          .shift = 8 },
        { "models/krea-realtime-14b.yaml", NULL, 4, 625, false, WINDOW_BLOCK, 6, 0, .frames = 3 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct card c;
        assert_int_equal(card_load(&c, rows[i].path), ST_OK);
        assert_int_equal(c.steps, rows[i].steps);
        assert_true(c.step[c.steps - 1] == rows[i].last);
        assert_int_equal(c.warp, rows[i].warp);
        assert_true(c.shift == (rows[i].shift ? rows[i].shift : 5));
        assert_int_equal(c.frames_per_block, rows[i].frames ? rows[i].frames : 3);
        assert_int_equal(c.first_steps, rows[i].first_steps);
        assert_int_equal(c.loras, rows[i].loras);
        assert_int_equal((c.starts & 1u << CLIP_START_IMAGE) != 0, rows[i].image);
        assert_int_equal((c.starts & 1u << CLIP_START_VIDEO) != 0, rows[i].video);
        assert_int_equal((c.starts & 1u << CLIP_START_LATENTS) != 0, rows[i].video);
        assert_int_equal((c.starts & 1u << CLIP_START_CLIP) != 0, rows[i].video);
        assert_int_equal(c.window, rows[i].window);
        assert_int_equal(c.rule, rows[i].rule);
        assert_int_equal(c.attention_frames, rows[i].attention);
        assert_int_equal(c.sink_frames, rows[i].sink);
        if (rows[i].outer_key) assert_string_equal(c.outer_key, rows[i].outer_key);
        else assert_null(c.outer_key);
        card_close(&c);
    }
}

/* A sink may be left out, and where it stands be said. */
static void sinks(void **state)
{
    static const struct {
        const char *window;
        int frames;
        enum kv_sink sink;
    } rows[] = {
        { "{kind: rolling, attention_frames: 21, sink_frames: 0}", 0, KV_SINK_USUAL },
        { "{kind: rolling, attention_frames: 15, sink_frames: 0}", 0, KV_SINK_USUAL },
        { "{kind: rolling, attention_frames: 21, sink_frames: 3, sink_positions: fixed}", 3,
          KV_SINK_FIXED },
        { "{kind: block, attention_frames: 12, sink_frames: 3, sink_positions: moving}", 3,
          KV_SINK_MOVING },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char text[2048];
        struct card c;
        struct model_spec m;
        int const n =
            snprintf(text, sizeof text, HEAD FILES STEPS "window: %s\n" TAIL, rows[i].window);
        assert_int_equal(card_parse(&c, text, (size_t)n, "m/c.yaml"), ST_OK);
        assert_int_equal(card_spec(&m, &c), ST_OK);
        assert_int_equal(m.sink_frames, rows[i].frames);
        assert_int_equal(m.sink, rows[i].sink);
        card_close(&c);
        model_spec_free(&m);
    }
}

/* Every policy by its name, at what was published for it, with its own keys. */
static void policies(void **state)
{
    static const struct {
        const char *window;
        enum kv_rule rule;
        enum kv_key key;
        double value;
    } rows[] = {
        { "attention_frames: 21, sink_frames: 10, policy: deep-sink", KV_DEEP_SINK, 0, 0 },
        { "attention_frames: 21, sink_frames: 10, policy: deep-forcing, max_reuse: 2",
          KV_DEEP_FORCING, KV_KEY_max_reuse, 2 },
        { "attention_frames: 9, sink_frames: 3, policy: ema-sink", KV_EMA_SINK, KV_KEY_ema_alpha,
          0.999 },
        { "attention_frames: 21, sink_frames: 0, policy: rolling-sink", KV_ROLLING_SINK,
          KV_KEY_replay_frames, 18 },
        { "attention_frames: 6, sink_frames: 1, policy: infinity-rope", KV_INFINITY_ROPE,
          KV_KEY_cut_position, 45 },
        { "attention_frames: 12, sink_frames: 3, policy: memrope, adaptive: 1", KV_MEMROPE,
          KV_KEY_adaptive, 1 },
        { "attention_frames: 7, sink_frames: 2, policy: relax-forcing, redundancy: 1.5",
          KV_RELAX_FORCING, KV_KEY_redundancy, 1.5 },
        { "attention_frames: 21, sink_frames: 12, policy: echo-forcing, gate: 0", KV_ECHO_FORCING,
          KV_KEY_gate, 0 },
        { "attention_frames: 6, sink_frames: 1, policy: forcing-kv, static_heads: [[], [0, 3]]",
          KV_FORCING_KV, KV_KEY_first_split_block, 2 },
        { "attention_frames: 12, sink_frames: 3, policy: lol", KV_LOL, KV_KEY_jitter, 0.8 },
    };

    (void)state;
    assert_int_equal(COUNT_OF(rows), KV_RULES - 1);
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char text[2048];
        struct card c;
        int const n = snprintf(text, sizeof text,
                               HEAD FILES STEPS "window: {kind: block, %s}\n" TAIL, rows[i].window);
        assert_int_equal(card_parse(&c, text, (size_t)n, "m/c.yaml"), ST_OK);
        assert_int_equal(c.rule, rows[i].rule);
        assert_true(c.key[rows[i].key] == rows[i].value);
        assert_int_equal(c.profile.layers, rows[i].rule == KV_FORCING_KV ? 2 : 0);
        assert_true(c.profile.static_heads[1] == (c.profile.layers ? 9 : 0)); /* 1 and 8 */
        card_close(&c);
    }
}

/* A clip's first block may have steps of its own. */
static void first_steps(void **state)
{
    static const char text[] =
        HEAD FILES "steps: [1000]\nfirst_block_steps: [1000, 750, 500, 250]\nwarp: true\nshift: 5\n"
                   "frames_per_block: 1\n"
                   "window: {kind: block, attention_frames: 21, sink_frames: 0}\n" TAIL;
    struct card c;
    struct model_spec m;

    (void)state;
    assert_int_equal(card_parse(&c, text, sizeof text - 1, "m/c.yaml"), ST_OK);
    assert_int_equal(card_spec(&m, &c), ST_OK);
    assert_int_equal(m.steps, 1);
    assert_int_equal(m.first_steps, 4);
    assert_true(m.first_step[0] == 1000 && m.first_step[3] == 250);
    card_close(&c);
    model_spec_free(&m);
}

static void refused_cards(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "", "m/c.yaml:1:1: found nothing" },
        { "name: a\n", "m/c.yaml:1:1: card is missing; allowed: card: 1" },
        { "card: 2\n", "m/c.yaml:1:7: card: found \"2\"; allowed: 1" },
        { "card: 1\nname: a b\n",
          "m/c.yaml:2:7: name: found \"a b\"; allowed: a file name of 1 to 128 "
          "characters A-Z a-z 0-9 . _ -, no dot first" },
        { "card: 1\nname: a\nfamily: wan2.2\n",
          "m/c.yaml:3:9: family: found \"wan2.2\"; allowed: wan2.1-t2v" },
        { HEAD, "m/c.yaml:1:1: weights is missing" },
        { HEAD "weights: $HOME/w.pt\n",
          "m/c.yaml:4:10: weights: found \"$HOME/w.pt\"; ~ and $VARIABLES are not expanded here; "
          "allowed: the path in full" },
        { HEAD "weight: w\n",
          "m/c.yaml:4:1: weight: unknown key (did you mean weights?); allowed: card, name, family, "
          "weights, outer_key, config, text, vae, steps, first_block_steps, warp, shift, "
          "frames_per_block, window, size, starts, context_noise, license, lora" },
        { HEAD FILES STEPS ROLL TAIL "size: 100x96\n",
          "m/c.yaml:14:7: size: found \"100x96\"; allowed: WIDTHxHEIGHT, multiples of 16 from 16 to "
          "8192, such as 832x480" },
        { HEAD "weights: w\nconfig: c\ntext: {encoder: e}\n",
          "m/c.yaml:6:7: text: tokenizer is missing" },
        { HEAD "weights: w\nconfig: c\ntext: {encoder: e, tokeniser: t}\n",
          "m/c.yaml:6:20: text.tokeniser: unknown key (did you mean tokenizer?); allowed: encoder, "
          "tokenizer" },
        { HEAD FILES STEPS ROLL TAIL "lora: x\n",
          "m/c.yaml:14:7: lora: found \"x\"; allowed: a list of at most 16 LoRAs such as {file: "
          "style.safetensors}" },
        { HEAD FILES STEPS ROLL TAIL "---\ncard: 1\n",
          "m/c.yaml:15:1: found a second document; allowed: one card" },
        { HEAD FILES STEPS ROLL TAIL "context_noise: 100\n",
          "m/c.yaml:14:16: context_noise: found \"100\"; allowed: 0" },
        { HEAD FILES STEPS
          "window: {kind: block, attention_frames: 9, sink_frames: 3, sink_policy: "
          "ema}\n" TAIL,
          "m/c.yaml:12:73: window.sink_policy: found \"ema\"; allowed: fixed" },
        { HEAD FILES STEPS "window: {kind: rolling, attention_frames: 21, sink_frames: 6}\n" TAIL,
          "m/c.yaml:12:60: window.sink_frames: found \"6\"; allowed: 0, or 3, the clip's first block" },
        { HEAD FILES STEPS "window: {kind: rolling, attention_frames: 21, sink_frames: 0, "
                           "sink_positions: here}\n" TAIL,
          "m/c.yaml:12:79: window.sink_positions: found \"here\"; allowed: fixed|moving" },
        { HEAD FILES STEPS "window: {kind: rolling, attention_frames: 9, sink_frames: 0}\n" TAIL,
          "m/c.yaml:12:43: window.attention_frames: found \"9\"; allowed: a multiple of 3, 12 to 90 "
          "for these steps and this sink" },
        { HEAD FILES STEPS "window: {kind: rolling, attention_frames: 12, sink_frames: 3}\n" TAIL,
          "m/c.yaml:12:43: window.attention_frames: found \"12\"; allowed: a multiple of 3, 15 to 90 "
          "for these steps and this sink" },
        { HEAD FILES STEPS "window: {kind: rolling, attention_frames: 93, sink_frames: 3}\n" TAIL,
          "m/c.yaml:12:43: window.attention_frames: found \"93\"; allowed: a multiple of 3, 15 to 90 "
          "for these steps and this sink" },
        { HEAD FILES STEPS "window: {kind: block, attention_frames: 7, sink_frames: 3}\n" TAIL,
          "m/c.yaml:12:41: window.attention_frames: found \"7\"; allowed: a multiple of 3, 6 to 90 "
          "for these steps and this sink" },
        { HEAD FILES STEPS "window: {kind: block, attention_frames: 4, sink_frames: 2, policy: "
                           "relax-forcing}\n" TAIL,
          "m/c.yaml:12:41: window.attention_frames: found \"4\"; allowed: 5 to 90 for these steps and "
          "this sink" },
        { HEAD FILES STEPS "window: {kind: block, attention_frames: 7, sink_frames: 2, policy: "
                           "relax-forcing, candidates: 65}\n" TAIL,
          "m/c.yaml:12:95: window.candidates: found \"65\"; allowed: a whole number from 1 to 64" },
        { HEAD FILES STEPS "window: {kind: block, attention_frames: 7, sink_frames: 2, policy: "
                           "relax-forcing, gate: 3}\n" TAIL,
          "m/c.yaml:12:83: window.gate: gate is no key of the policy relax-forcing" },
        { HEAD FILES STEPS "window: {kind: spiral, attention_frames: 21, sink_frames: 3}\n" TAIL,
          "m/c.yaml:12:16: window.kind: found \"spiral\"; allowed: rolling|block" },
        { HEAD FILES "steps: []\nwarp: true\nshift: 5\nframes_per_block: 3\n" ROLL TAIL,
          "m/c.yaml:8:8: steps: found a list; allowed: a list of 1 to 16 steps, such as [1000, 750, "
          "500, 250]" },
        { HEAD FILES "steps: [1000, 0]\nwarp: true\nshift: 5\nframes_per_block: 3\n" ROLL TAIL,
          "m/c.yaml:8:15: steps[1]: found \"0\"; allowed: a number above 0, at most 1000" },
        { HEAD FILES "steps: [1000, nan]\nwarp: true\nshift: 5\nframes_per_block: 3\n" ROLL TAIL,
          "m/c.yaml:8:15: steps[1]: found \"nan\"; allowed: a number above 0, at most 1000" },
        { HEAD FILES "steps: [700, 500]\nwarp: true\nshift: 5\nframes_per_block: 3\n" ROLL TAIL,
          "m/c.yaml:8:9: steps[0]: found \"700\"; allowed: 1000 as the first step, for a block begins "
          "as pure noise" },
        { HEAD FILES
          "steps: [1000, 500, 500]\nwarp: true\nshift: 5\nframes_per_block: 3\n" ROLL TAIL,
          "m/c.yaml:8:20: steps[2]: found \"500\"; allowed: a step below the one before it" },
        { HEAD FILES "steps: [1000, 937.5]\nwarp: true\nshift: 5\nframes_per_block: 3\n" ROLL TAIL,
          "m/c.yaml:8:15: steps[1]: found \"937.5\"; allowed: a whole number, for warp takes it as a "
          "place in the schedule" },
        { HEAD FILES STEPS "first_block_steps: [1000, 250]\n" ROLL TAIL,
          "m/c.yaml:12:20: first_block_steps: found a list; allowed: no such key with a rolling "
          "window, in which a block takes a step in every tick" },
        { HEAD FILES STEPS "first_block_steps: [1000, 1000]\n" ROLL TAIL,
          "m/c.yaml:12:27: first_block_steps[1]: found \"1000\"; allowed: a step below the one before "
          "it" },
        { HEAD FILES "steps: [1000]\nwarp: on\n", "m/c.yaml:9:7: warp: found \"on\"; allowed: "
                                                  "false|true" },
        { HEAD FILES "steps: [1000]\nwarp: true\nshift: -1\n",
          "m/c.yaml:10:8: shift: found \"-1\"; allowed: a number from 0.01 to 100" },
        { HEAD FILES "steps: [1000]\nwarp: true\nshift: 0\n",
          "m/c.yaml:10:8: shift: found \"0\"; allowed: a number from 0.01 to 100" },
        { HEAD FILES "steps: [1000]\nwarp: true\nshift: 1\nframes_per_block: 17\n",
          "m/c.yaml:11:19: frames_per_block: found \"17\"; allowed: a whole number from 1 to 16" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) expect_first(message(rows[i].text), rows[i].want);
    struct card c;
    assert_int_equal(card_load(&c, "/nowhere/c.yaml"), ST_FORMAT);
    assert_string_equal(error_last()->msg, "/nowhere/c.yaml: No such file or directory");
    char *const big = malloc(CARD_BYTES + 1);
    memset(big, ' ', CARD_BYTES + 1);
    assert_int_equal(card_parse(&c, big, CARD_BYTES + 1, "c"), ST_FORMAT);
    assert_string_equal(error_last()->msg, "c: found 65537 bytes; allowed: 65536");
    free(big);
}

/* A file of `size` zero bytes with one other byte at `at`. */
static void sparse(const char *path, off_t size, off_t at)
{
    FILE *const f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    fputc(1, f);
    fclose(f);
    assert_int_equal(truncate(path, size), 0);
}

static void fingerprints(void **state)
{
    static const char text[] =
        HEAD "weights: w\nconfig: c\ntext: {encoder: e, tokenizer: t}\nvae: v\n" STEPS ROLL TAIL;
    struct file_hash_rule const sampled = { .whole = false }, whole = { .whole = true };
    off_t const mib = 1 << 20, big = 200 * mib;
    char dir[] = "/tmp/unit_card.XXXXXX", id[4][DIGEST_HEX];
    struct card c;

    (void)state;
    assert_non_null(mkdtemp(dir));
    char *const path = path_join(dir, "card.yaml"), *const weights = path_join(dir, "w");
    assert_int_equal(file_write(path, text, sizeof text - 1), ST_OK);
    assert_int_equal(card_load(&c, path), ST_OK);
    assert_int_equal(card_check_files(&c, "text.encoder"), ST_FORMAT);
    assert_null(strstr(error_last()->msg, "text.encoder"));
    assert_int_equal(card_check_files(&c, NULL), ST_FORMAT);
    char *const want = str_format("%s: weights: %s: No such file or directory\n"
                                  "%s: config: %s/c: No such file or directory\n"
                                  "%s: text.encoder: %s/e: No such file or directory\n"
                                  "%s: text.tokenizer: %s/t: No such file or directory\n"
                                  "%s: vae: %s/v: No such file or directory",
                                  path, weights, path, dir, path, dir, path, dir, path, dir);
    assert_string_equal(error_last()->msg, want);
    assert_int_equal(card_fingerprint(&c, &sampled, id[0]), ST_FORMAT);

    const char *const others[] = { c.config, c.encoder, c.tokenizer, c.vae };
    for (int i = 0; i < COUNT_OF(others); i++)
        assert_int_equal(file_write(others[i], "xx", (size_t)(1 + i % 2)), ST_OK);
    sparse(weights, 10, 3);
    assert_int_equal(card_check_files(&c, NULL), ST_OK);
    assert_int_equal(card_fingerprint(&c, &sampled, id[0]), ST_OK);
    assert_int_equal(strlen(id[0]), 64);
    sparse(weights, 10, 4);
    assert_int_equal(card_fingerprint(&c, &sampled, id[1]), ST_OK);
    assert_string_not_equal(id[0], id[1]);

    sparse(weights, big, big - 1);
    assert_int_equal(card_fingerprint(&c, &sampled, id[0]), ST_OK);
    sparse(weights, big, 0);
    assert_int_equal(card_fingerprint(&c, &sampled, id[1]), ST_OK);
    sparse(weights, big, (big - mib) / 63);
    assert_int_equal(card_fingerprint(&c, &sampled, id[2]), ST_OK);
    sparse(weights, big + 1, 0);
    assert_int_equal(card_fingerprint(&c, &sampled, id[3]), ST_OK);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++) assert_string_not_equal(id[i], id[k]);

    /* Between two samples: seen by the hash of all bytes alone. */
    for (int i = 0; i < 2; i++) {
        sparse(weights, big, 2 * mib + i);
        assert_int_equal(card_fingerprint(&c, &sampled, id[i]), ST_OK);
        assert_int_equal(card_fingerprint(&c, &whole, id[2 + i]), ST_OK);
    }
    assert_string_equal(id[0], id[1]);
    assert_string_not_equal(id[2], id[3]);
    assert_string_not_equal(id[0], id[2]);
    sparse(weights, 10, 3);
    assert_int_equal(card_fingerprint(&c, &sampled, id[0]), ST_OK);
    assert_int_equal(card_fingerprint(&c, &whole, id[1]), ST_OK);
    assert_string_equal(id[0], id[1]);

    card_close(&c);
    assert_int_equal(dir_remove(dir), ST_OK);
    free(want);
    free(weights);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_card),       cmocka_unit_test(the_models),
        cmocka_unit_test(sinks),        cmocka_unit_test(policies),
        cmocka_unit_test(first_steps),  cmocka_unit_test(refused_cards),
        cmocka_unit_test(fingerprints),
    };
    return cmocka_run_group_tests_name("unit_card", tests, NULL, NULL);
}
