/* unit_spec.c - clips and models as JSON and back, and what is said of broken ones. */
#include "tests/support/unit.h"

#include "jobs/spec/clip.h"
#include "jobs/spec/spec_json.h"

#include <jansson.h>

#define T(text) ((char *)(text)) /* borrowed, and never freed */

static struct clip_spec full_clip(void)
{
    static struct clip_prompt prompt[] = {
        { .text = T("a harbour, fog"), .at = "0s", .over = "0s" },
        { .block = 91,
          .blend = 6,
          .text = T("\"sun\"\n"),
          .at = "45s",
          .over = "3s",
          .moved = true },
        { .block = 200, .text = T("night"), .at = "1m40s", .over = "0s", .change = CLIP_RECACHE },
    };
    static struct clip_pair value[] = { { T("seed"), T("1") }, { T("place"), T("Hong Kong") } };
    static struct clip_pair label[] = { { T("show"), T("harbour") } };
    static struct clip_format format[] = {
        { T("clip.mp4"), T("h264"), T("yuv444p"), T("slow"), NULL, 20, 4, CLIP_ENCODER_NVENC, 48 },
        { T("edit.mov"), T("prores"), T("yuv422p10"), NULL, T("lt"), -1, 1, CLIP_ENCODER_CPU, 0 },
    };

    return (struct clip_spec){ .job = T("harbour-dawn"),
                               .owner = T("lookdev"),
                               .index = 3,
                               .name = T("harbour-dawn-3"),
                               .dir = T("/out/harbour-dawn-3"),
                               .priority = 60,
                               .precision = CLIP_F32,
                               .width = 64,
                               .height = 96,
                               .fps_num = 24000,
                               .fps_den = 1001,
                               .numerics = { { 2, 1, 4 } },
                               .seed = UINT64_MAX,
                               .pictures = 5754,
                               .blocks = 480,
                               .frames_per_block = 3,
                               .prompt = prompt,
                               .prompts = COUNT_OF(prompt),
                               .value = value,
                               .values = COUNT_OF(value),
                               .label = label,
                               .labels = COUNT_OF(label),
                               .format = format,
                               .formats = COUNT_OF(format),
                               .transfer = CLIP_SRGB,
                               .timeout_ms = 3600000,
                               .stall_ms = 300000,
                               .grace_ms = 120000,
                               .latents = T("l.safetensors"),
                               .latents_dtype = T("f32"),
                               .embeddings = T("e.safetensors"),
                               .embeddings_dtype = T("bf16"),
                               .preview = T("contact.png"),
                               .preview_columns = 8,
                               .content_id = "0123456789abcdef",
                               .task_id = "fedcba9876543210",
                               .model_id = "m" };
}

/* As little as a clip can say. */
static struct clip_spec least_clip(void)
{
    static struct clip_prompt prompt = { .text = T(""), .at = "0s", .over = "0s" };

    return (struct clip_spec){ .job = T("a"),
                               .name = T("a"),
                               .width = 16,
                               .height = 16,
                               .fps_num = 1,
                               .fps_den = 1,
                               .pictures = 1,
                               .blocks = 1,
                               .frames_per_block = 1,
                               .prompt = &prompt,
                               .prompts = 1 };
}

static struct model_spec full_model(void)
{
    return (struct model_spec){ .name = T("tiny"),
                                .family = T("wan2.1-t2v"),
                                .license = T("none"),
                                .card = T("m/tiny.yaml"),
                                .weights = T("m/w.pt"),
                                .outer_key = T("generator_ema"),
                                .config = T("m/config.json"),
                                .encoder = T("m/e.pth"),
                                .tokenizer = T("m/t.model"),
                                .vae = T("m/v.pth"),
                                .step = { 1000, 1000 / 3.0 },
                                .steps = 2,
                                .shift = 0.1,
                                .frames_per_block = 3,
                                .window = WINDOW_BLOCK,
                                .attention_frames = 21,
                                .sink_frames = 3,
                                .sink = KV_SINK_MOVING,
                                .id = "00ff" };
}

static void same_text(const char *a, const char *b)
{
    assert_int_equal(!a, !b);
    if (a) assert_string_equal(a, b);
}

static void same_pairs(const struct clip_pair *a, int count, const struct clip_pair *b, int others)
{
    assert_int_equal(count, others);
    for (int i = 0; i < count; i++) {
        same_text(a[i].name, b[i].name);
        same_text(a[i].value, b[i].value);
    }
}

static void same_prompts(const struct clip_spec *a, const struct clip_spec *b)
{
    assert_int_equal(a->prompts, b->prompts);
    for (int i = 0; i < a->prompts; i++) {
        const struct clip_prompt *const p = &a->prompt[i], *const q = &b->prompt[i];
        assert_int_equal(p->block, q->block);
        assert_int_equal(p->blend, q->blend);
        same_text(p->text, q->text);
        same_text(p->at, q->at);
        same_text(p->over, q->over);
        assert_int_equal(p->moved, q->moved);
        assert_int_equal(p->change, q->change);
    }
}

static void same_formats(const struct clip_spec *a, const struct clip_spec *b)
{
    assert_int_equal(a->formats, b->formats);
    for (int i = 0; i < a->formats; i++) {
        const struct clip_format *const f = &a->format[i], *const g = &b->format[i];
        same_text(f->file, g->file);
        same_text(f->codec, g->codec);
        same_text(f->pix, g->pix);
        same_text(f->preset, g->preset);
        same_text(f->profile, g->profile);
        assert_int_equal(f->crf, g->crf);
        assert_int_equal(f->threads, g->threads);
        assert_int_equal(f->encoder, g->encoder);
        assert_int_equal(f->gop, g->gop);
    }
}

static void same_clip(const struct clip_spec *a, const struct clip_spec *b)
{
    same_text(a->job, b->job);
    same_text(a->owner, b->owner);
    assert_int_equal(a->index, b->index);
    same_text(a->name, b->name);
    same_text(a->dir, b->dir);
    assert_int_equal(a->priority, b->priority);
    assert_int_equal(a->precision, b->precision);
    assert_true(clip_numerics_same(&a->numerics, &b->numerics));
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    assert_int_equal(a->fps_num, b->fps_num);
    assert_int_equal(a->fps_den, b->fps_den);
    assert_true(a->seed == b->seed);
    assert_int_equal(a->pictures, b->pictures);
    assert_int_equal(a->blocks, b->blocks);
    assert_int_equal(a->frames_per_block, b->frames_per_block);
    same_prompts(a, b);
    same_pairs(a->value, a->values, b->value, b->values);
    same_pairs(a->label, a->labels, b->label, b->labels);
    same_formats(a, b);
    assert_int_equal(a->transfer, b->transfer);
    assert_int_equal(a->timeout_ms, b->timeout_ms);
    assert_int_equal(a->stall_ms, b->stall_ms);
    assert_int_equal(a->grace_ms, b->grace_ms);
    same_text(a->latents, b->latents);
    same_text(a->latents_dtype, b->latents_dtype);
    same_text(a->embeddings, b->embeddings);
    same_text(a->embeddings_dtype, b->embeddings_dtype);
    same_text(a->preview, b->preview);
    assert_int_equal(a->preview_columns, b->preview_columns);
    same_text(a->content_id, b->content_id);
    same_text(a->task_id, b->task_id);
    same_text(a->model_id, b->model_id);
}

static void clips_come_back(void **state)
{
    struct clip_spec const clips[] = { full_clip(), least_clip() };

    (void)state;
    for (int i = 0; i < COUNT_OF(clips); i++) {
        struct strbuf t = { 0 }, again = { 0 };
        struct clip_spec back;
        assert_int_equal(clip_spec_to_json(&t, &clips[i]), ST_OK);
        assert_null(strchr(t.s, '\n'));
        assert_int_equal(clip_spec_from_json(&back, t.s, t.len), ST_OK);
        same_clip(&clips[i], &back);
        assert_int_equal(clip_spec_to_json(&again, &back), ST_OK);
        assert_string_equal(t.s, again.s);
        clip_spec_free(&back);
        clip_spec_free(&back);
        strbuf_free(&t);
        strbuf_free(&again);
    }
}

/* What stands for a model holds its files' bytes, not where and when they lie on a machine. */
static void asked_for_alike(void **state)
{
    char path[] = "a.pt";
    struct model_file ours[] = { { .path = path, .identity = "here", .sum = "1f" } };
    struct model_file theirs[] = { { .path = path, .identity = "there", .sum = "1f" } };
    struct model_spec here = full_model(), there = full_model();
    struct strbuf t[3] = { { 0 } };

    (void)state;
    here.file = ours;
    there.file = theirs;
    here.files = there.files = 1;
    assert_int_equal(model_spec_asked_json(&t[0], &here), ST_OK);
    assert_int_equal(model_spec_asked_json(&t[1], &there), ST_OK);
    theirs[0].sum[1] = 'e';
    assert_int_equal(model_spec_asked_json(&t[2], &there), ST_OK);
    assert_string_equal(t[0].s, t[1].s);
    assert_string_not_equal(t[0].s, t[2].s);
    for (int i = 0; i < COUNT_OF(t); i++) strbuf_free(&t[i]);
}

static void models_come_back(void **state)
{
    struct model_spec models[] = { full_model(), full_model(), full_model() };

    (void)state;
    models[1].license = models[1].outer_key = NULL;
    models[1].window = WINDOW_ROLLING;
    models[1].warp = true;
    models[0].first_steps = 1;
    models[0].first_step[0] = 1000;
    models[1].step[1] = 500;
    models[2].window = WINDOW_BLOCK;
    models[2].rule = KV_FORCING_KV;
    models[2].keys = KV_KEYS_COUNT;
    kv_keys_usual(models[2].rule, models[2].key);
    models[2].profile = (struct kv_profile){ 3, { 0, 9, (double)((UINT64_C(1) << KV_HEADS) - 1) } };
    for (int i = 0; i < COUNT_OF(models); i++) {
        const struct model_spec *const a = &models[i];
        struct strbuf t = { 0 };
        struct model_spec b;
        assert_int_equal(model_spec_to_json(&t, a), ST_OK);
        assert_int_equal(model_spec_from_json(&b, t.s, t.len), ST_OK);
        same_text(a->name, b.name);
        same_text(a->family, b.family);
        same_text(a->license, b.license);
        same_text(a->card, b.card);
        same_text(a->weights, b.weights);
        same_text(a->outer_key, b.outer_key);
        same_text(a->config, b.config);
        same_text(a->encoder, b.encoder);
        same_text(a->tokenizer, b.tokenizer);
        same_text(a->vae, b.vae);
        assert_memory_equal(a->step, b.step, sizeof b.step);
        assert_int_equal(a->steps, b.steps);
        assert_int_equal(a->warp, b.warp);
        assert_int_equal(a->first_steps, b.first_steps);
        assert_true(a->first_step[0] == b.first_step[0]);
        assert_true(a->shift == b.shift);
        assert_int_equal(a->frames_per_block, b.frames_per_block);
        assert_int_equal(a->window, b.window);
        assert_int_equal(a->attention_frames, b.attention_frames);
        assert_int_equal(a->sink_frames, b.sink_frames);
        assert_int_equal(a->sink, b.sink);
        assert_int_equal(a->rule, b.rule);
        assert_true(kv_profile_same(&a->profile, &b.profile));
        same_text(a->id, b.id);
        model_spec_free(&b);
        strbuf_free(&t);
    }
}

/* What is said of a spec with another value at `key`; NULL: without the key. */
static const char *said(bool model, const char *key, const char *value)
{
    struct clip_spec const clip = full_clip();
    struct model_spec const m = full_model();
    struct clip_spec c;
    struct model_spec n;
    struct strbuf t = { 0 };
    status st;

    assert_int_equal(model ? model_spec_to_json(&t, &m) : clip_spec_to_json(&t, &clip), ST_OK);
    json_t *const o = json_loads(t.s, 0, NULL);
    if (value) {
        json_t *const v = json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(v);
        json_object_set_new(o, key, v);
    } else json_object_del(o, key);
    char *const text = json_dumps(o, 0);
    error_clear();
    if (model) st = model_spec_from_json(&n, text, strlen(text));
    else st = clip_spec_from_json(&c, text, strlen(text));
    if (st == ST_OK && model) model_spec_free(&n);
    if (st == ST_OK && !model) clip_spec_free(&c);
    json_decref(o);
    free(text);
    strbuf_free(&t);
    return error_last()->msg;
}

#define PROMPT(block, blend)                                                                       \
    "{\"block\": " block ", \"blend\": " blend                                                     \
    ", \"text\": \"x\", \"at\": \"\", \"over\": \"\", \"moved\": false, \"change\": \"blend\"}"
#define FORMAT(file)                                                                               \
    "{\"file\": \"" file "\", \"codec\": \"h264\", \"pix\": \"yuv420p\", \"crf\": 1, "             \
    "\"threads\": 1, \"encoder\": \"cpu\", \"gop\": 0}"
#define FOUR(x) x ", " x ", " x ", " x

static void refused_clips(void **state)
{
    static const struct {
        const char *key, *value, *want;
    } rows[] = {
        { "job", NULL, "job: missing" },
        { "job", "7", "job: not a text" },
        { "job", "\"\"", "job: not a text" },
        { "job", "\"a\\u0000b\"", "job: not a text" },
        { "owner", "[]", "owner: not a text" },
        { "index", "-1", "index: not a whole number from 0 to 2147483647" },
        { "index", "9223372036854775807", "index: not a whole number from 0 to 2147483647" },
        { "index", "1.5", "index: not a whole number from 0 to 2147483647" },
        { "name", "\"../a\"", "name: not the name of a file: A-Z a-z 0-9 . _ -, no dot first" },
        { "dir", "{}", "dir: not a text" },
        { "priority", "101", "priority: not a whole number from 0 to 100" },
        { "precision", "\"fp8\"", "precision: none of bf16|f32" },
        { "precision", "1", "precision: none of bf16|f32" },
        { "wire", "\"fp16\"", "wire: none of any|act|fp8" },
        { "determinism", "\"\"", "determinism: none of any|strict|batch" },
        { "kernels", "2", "kernels: none of any|1|2|3|4" },
        { "width", "8208", "width: not a whole number from 16 to 8192" },
        { "width", "17", "width: not a multiple of 16" },
        { "height", "24", "height: not a multiple of 16" },
        { "fps_den", "0", "fps_den: not a whole number from 1 to 2147483647" },
        { "fps_num", "240240", "fps_num: not 1 to below 240 pictures a second" },
        { "fps_num", "1000", "fps_num: not 1 to below 240 pictures a second" },
        { "seed", "7", "seed: not the text of a whole number below 2^64" },
        { "seed", "\"18446744073709551616\"", "seed: not the text of a whole number below 2^64" },
        { "pictures", "0", "pictures: not a whole number from 1 to 20736000" },
        { "pictures", "5758", "pictures: more than its blocks have" },
        { "blocks", "-480", "blocks: not a whole number from 1 to 5184001" },
        { "frames_per_block", "17", "frames_per_block: not a whole number from 1 to 16" },
        { "prompt", "[]", "prompt: not a list of 1 to 5184001" },
        { "prompt", "{}", "prompt: not a list of 1 to 5184001" },
        { "prompt", "[7]", "prompt[0].not an object" },
        { "prompt", "[{\"block\": 0}]", "prompt[0].blend: missing" },
        { "prompt", "[" PROMPT("1", "0") "]", "prompt[0]: not from block 0 on, without a blend" },
        { "prompt", "[" PROMPT("0", "0") ", " PROMPT("0", "0") "]",
          "prompt[1].block: not behind the one before and its blend" },
        { "prompt", "[" PROMPT("0", "0") ", " PROMPT("1", "2") ", " PROMPT("2", "0") "]",
          "prompt[2].block: not behind the one before and its blend" },
        { "prompt",
          "[" PROMPT("0", "0") ", {\"block\": 1, \"blend\": 1, \"text\": \"x\", \"at\": \"\", "
                               "\"over\": \"\", \"moved\": false, \"change\": \"cut\"}]",
          "prompt[1].change: cut: not of the first, nor with a blend" },
        { "prompt",
          "[{\"block\": 0, \"blend\": 0, \"text\": \"x\", \"at\": \"\", "
          "\"over\": \"\", \"moved\": false, \"change\": \"recache\"}]",
          "prompt[0].change: recache: not of the first, nor with a blend" },
        { "prompt", "[" PROMPT("0", "0") ", " PROMPT("480", "0") "]",
          "prompt[1].block: not below blocks, 480" },
        { "prompt", "[" PROMPT("0", "-1") "]",
          "prompt[0].blend: not a whole number from 0 to 5184001" },
        { "value", "[{\"name\": \"a\", \"value\": null}]", "value[0].value: not a text" },
        { "label", "[{\"name\": \"a\"}]", "label[0].value: missing" },
        { "format", "[" FOUR(FOUR(FORMAT("a.mp4"))) ", " FORMAT("b.mp4") "]",
          "format: not a list of 0 to 16" },
        { "format", "[" FORMAT("a/../b.mp4") "]",
          "format[0].file: not the name of a file: A-Z a-z 0-9 . _ -, no dot first" },
        { "format", "[" FORMAT("a.mp4") ", " FORMAT("a.mp4") "]",
          "format[1].file: a.mp4 is another file of the clip" },
        { "format", "[" FORMAT("clip.json") "]",
          "format[0].file: clip.json is another file of the clip" },
        { "latents", "null", "latents_dtype: not bf16 or f32, as goes with latents" },
        { "latents_dtype", "\"f16\"", "latents_dtype: not bf16 or f32, as goes with latents" },
        { "embeddings", "null", "embeddings_dtype: not bf16 or f32, as goes with embeddings" },
        { "preview", "null", "preview_columns: not what goes with preview" },
        { "preview_columns", "33", "preview_columns: not a whole number from 0 to 32" },
        { "content_id", "\"0123456789abcdef0\"", "content_id: not a text of at most 16 bytes" },
        { "task_id", "null", "task_id: not a text of at most 16 bytes" },
        { "guidance", "7", "guidance: unknown key" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char *const want = str_format("clip: %s", rows[i].want);
        assert_string_equal(said(false, rows[i].key, rows[i].value), want);
        free(want);
    }
}

static void refused_models(void **state)
{
    static const struct {
        const char *key, *value, *want;
    } rows[] = {
        { "vae", NULL, "vae: missing" },
        { "weights", "\"\"", "weights: not a text" },
        { "family", "\"wan2.2\"", "family: not wan2.1-t2v" },
        { "step", "[]", "step: not a list of 1 to 16" },
        { "step", "[\"1000\"]", "step: not a number" },
        { "step", "[1000, 1000]", "step[1]: not falling from 1000 to above 0" },
        { "step", "[999]", "step[0]: not falling from 1000 to above 0" },
        { "step", "[1000, 0]", "step[1]: not falling from 1000 to above 0" },
        { "step", "[" FOUR(FOUR("1000")) ", 1]", "step: not a list of 1 to 16" },
        { "warp", "1", "warp: neither true nor false" },
        { "warp", "true", "step[1]: not a whole number, with warp" },
        { "first_step", "[900]", "first_step[0]: not falling from 1000 to above 0" },
        { "first_step", "[1000, 1000]", "first_step[1]: not falling from 1000 to above 0" },
        { "shift", "0", "shift: not a number from 0.01 to 100" },
        { "window", "\"ring\"", "window: none of rolling|block" },
        { "frames_per_block", "0", "frames_per_block: not a whole number from 1 to 16" },
        { "attention_frames", "20", "attention_frames, sink_frames: not whole blocks" },
        { "sink_frames", "-3", "sink_frames: not a whole number from 0 to 4096" },
        { "static_heads", "[1]", "static_heads: not what goes with the policy usual" },
        { "sink_positions", "\"here\"", "sink_positions: none of usual|fixed|moving" },
        { "lora", "\"x\"", "lora: not a list of 0 to 16" },
        { "loras", "[]", "loras: unknown key" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char *const want = str_format("model: %s", rows[i].want);
        assert_string_equal(said(true, rows[i].key, rows[i].value), want);
        free(want);
    }
}

static void refused_texts(void **state)
{
    static const char *const texts[] = {
        "",
        "[]",
        "{\"index\": 1, \"index\": 2}",
        "{\"index\": 99999999999999999999}",
        "{\"shift\": 1e999}",
        "{\"a\\u0000\": 1}",
        "{\"job\": \"\xff\"}",
        "{} {}",
    };
    struct clip_spec c;
    struct model_spec m;

    (void)state;
    for (int i = 0; i < COUNT_OF(texts); i++) {
        assert_int_equal(clip_spec_from_json(&c, texts[i], strlen(texts[i])), ST_FORMAT);
        assert_int_equal(model_spec_from_json(&m, texts[i], strlen(texts[i])), ST_FORMAT);
    }
}

/* A text that is no UTF-8 is refused before it goes anywhere. */
static void refused_bytes(void **state)
{
    struct clip_spec c = full_clip();
    struct strbuf t = { 0 };

    (void)state;
    c.dir = T("/out/\xff");
    assert_int_equal(clip_spec_to_json(&t, &c), ST_FORMAT);
    assert_string_equal(error_last()->msg, "clip: dir: not UTF-8");
    strbuf_free(&t);
}

/* What a card says, as the renderer sees it. */
static void cards_become_models(void **state)
{
    struct card c;
    struct model_spec m;

    (void)state;
    assert_int_equal(card_load(&c, "models/rolling-forcing-1.3b.yaml"), ST_OK);
    assert_int_equal(card_spec(&m, &c), ST_OK);
    assert_string_equal(m.name, c.name);
    assert_string_equal(m.family, "wan2.1-t2v");
    assert_string_equal(m.license, c.license);
    assert_string_equal(m.card, "models/rolling-forcing-1.3b.yaml");
    assert_string_equal(m.weights, c.weights);
    assert_string_equal(m.outer_key, "generator_ema");
    assert_string_equal(m.config, c.config);
    assert_string_equal(m.encoder, c.encoder);
    assert_string_equal(m.tokenizer, c.tokenizer);
    assert_string_equal(m.vae, c.vae);
    assert_memory_equal(m.step, c.step, sizeof m.step);
    assert_int_equal(m.steps, c.steps);
    assert_int_equal(m.warp, c.warp);
    assert_true(m.shift == c.shift);
    assert_int_equal(m.frames_per_block, 3);
    assert_int_equal(m.window, WINDOW_ROLLING);
    assert_int_equal(m.attention_frames, c.attention_frames);
    assert_int_equal(m.sink_frames, c.sink_frames);
    assert_string_equal(m.id, "");
    card_close(&c);
    model_spec_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clips_come_back), cmocka_unit_test(models_come_back),
        cmocka_unit_test(asked_for_alike), cmocka_unit_test(refused_clips),
        cmocka_unit_test(refused_models),  cmocka_unit_test(refused_texts),
        cmocka_unit_test(refused_bytes),   cmocka_unit_test(cards_become_models),
    };
    return cmocka_run_group_tests_name("unit_spec", tests, NULL, NULL);
}
