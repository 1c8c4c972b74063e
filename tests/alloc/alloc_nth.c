/*
 * alloc_nth.c - every reader of untrusted files, with the n-th allocation failing,
 * for every n until none fails any more.
 *
 * The reader must say ST_NOMEM, or do without the memory and succeed, and leave
 * nothing behind (the leak checker of MODE=asan looks). Linked so that malloc and
 * its kin go through here; what libraries allocate themselves never fails.
 */
#include "tests/support/unit.h"

#include "jobs/spec/clip.h"
#include "jobs/spec/spec_json.h"
#include "pipeline/text/clean/text_clean.h"
#include "pipeline/weights/weights.h"

static long left; /* allocations that still succeed; negative: all do */
static bool refused;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

static bool allowed(void)
{
    if (left < 0) return true;
    if (left-- > 0) return true;
    left = -1; /* one failure, then memory is back */
    refused = true;
    return false;
}

void *__wrap_malloc(size_t n) { return allowed() ? __real_malloc(n) : NULL; }
void *__wrap_calloc(size_t n, size_t size) { return allowed() ? __real_calloc(n, size) : NULL; }
void *__wrap_realloc(void *p, size_t n) { return allowed() ? __real_realloc(p, n) : NULL; }
char *__wrap_strdup(const char *s) { return allowed() ? __real_strdup(s) : NULL; }
char *__wrap_strndup(const char *s, size_t n) { return allowed() ? __real_strndup(s, n) : NULL; }

static const char job_text[] =
    "render: 1\n"
    "name: harbour\n"
    "model: card.yaml\n"
    "clip: {size: 832x480, fps: 16, length: 30s, seed: 7}\n"
    "prompts:\n"
    "  - {at: 0s, text: \"a harbour before sunrise, {place}\"}\n"
    "  - {at: 12s, text: \"the sun rises\", blend: 3s}\n"
    "sweep:\n"
    "  axes: {seed: {range: \"0-2\"}, place: {list: [Lisbon, \"Hong Kong\"]}}\n"
    "  combine: \"seed * place\"\n"
    "output:\n"
    "  dir: out/harbour\n"
    "  name: \"{name}-{place}-s{seed}\"\n"
    "  formats: [{file: clip.mp4, codec: h264, crf: 18}]\n"
    "  preview: {file: contact.png, columns: 6}\n"
    "labels: {show: harbour}\n";

static const char card_text[] = "card: 1\n"
                                "name: tiny\n"
                                "family: wan2.1-t2v\n"
                                "weights: w.pt\n"
                                "config: config.json\n"
                                "text: {encoder: t5.pth, tokenizer: spiece.model}\n"
                                "vae: vae.pth\n"
                                "steps: [1000, 800, 600, 400, 200]\n"
                                "warp: true\n"
                                "shift: 5\n"
                                "frames_per_block: 3\n"
                                "window: {kind: rolling, attention_frames: 21, sink_frames: 3}\n"
                                "license: none\n";

static char ids[6][CLIP_ID]; /* of the job's clips, when nothing failed */

static status read_job(void)
{
    struct card const card = { .name = "tiny",
                               .path = (char *)"card.yaml",
                               .step = { 1000, 500 },
                               .steps = 2,
                               .frames_per_block = 3,
                               .attention_frames = 21 };
    struct job_file f;
    struct clip_list clips;

    TRY(job_parse(&f, job_text, sizeof job_text - 1, "j.yaml"));
    status const st =
        clip_expand(&clips, &f.job[0], &card, &(struct clip_options){ .model_id = "m" });
    if (st == ST_OK) {
        assert_int_equal(clips.count, 6);
        if (!ids[0][0])
            for (int i = 0; i < clips.count; i++) memcpy(ids[i], clips.clip[i].task_id, CLIP_ID);
        for (int i = 0; i < clips.count; i++) assert_string_equal(clips.clip[i].task_id, ids[i]);
        clip_free(&clips);
    }
    job_close(&f);
    return st;
}

static status read_card(void)
{
    struct card c;
    struct model_spec m;

    TRY(card_parse(&c, card_text, sizeof card_text - 1, "c.yaml"));
    assert_int_equal(c.steps, 5);
    status const st = card_spec(&m, &c);
    card_close(&c);
    if (st == ST_OK) model_spec_free(&m);
    return st;
}

/* To JSON and back. */
static status read_spec(void)
{
    static struct clip_prompt prompt = { .text = (char *)"sea", .at = "0s", .over = "0s" };
    struct clip_spec const clip = { .job = (char *)"a",
                                    .name = (char *)"a",
                                    .width = 16,
                                    .height = 16,
                                    .fps_num = 1,
                                    .fps_den = 1,
                                    .pictures = 1,
                                    .blocks = 1,
                                    .frames_per_block = 1,
                                    .prompt = &prompt,
                                    .prompts = 1 };
    struct strbuf json = { 0 };
    struct clip_spec back;
    status st = clip_spec_to_json(&json, &clip);

    if (st == ST_OK) st = clip_spec_from_json(&back, json.s, json.len);
    if (st == ST_OK) clip_spec_free(&back);
    strbuf_free(&json);
    return st;
}

/* Whatever memory is missing, a prompt is clean or an error, never a part of itself. */
static status read_prompts(void)
{
    static const struct {
        const char *in, *want;
    } table[] = {
        { "a harbour before sunrise, with seventy boats and more than sixty-four code points",
          "a harbour before sunrise, with seventy boats and more than sixty-four code points" },
        { "cafÃ© Ã\302\240 la carteâ€¦ â€œvueâ€\302\235", "café à la carte… \"vue\"" },
        { "a cafe\314\201 &amp; sea\nsails", "a café & sea sails" },
    };
    status st = ST_OK;

    for (int i = 0; i < COUNT_OF(table) && st == ST_OK; i++) {
        char *out = NULL;
        st = text_clean(table[i].in, strlen(table[i].in), &out);
        if (st != ST_OK) break;
        assert_string_equal(out, table[i].want);
        free(out);
    }
    return st;
}

static status read_weights(const char *path)
{
    struct weights *w;
    const void *data;
    status st = ST_OK;

    TRY(weights_open(&w, path, NULL));
    assert_true(weights_count(w) > 0);
    for (int i = 0; i < weights_count(w) && st == ST_OK; i++) st = weights_fetch(w, i, &data);
    weights_close(&w);
    assert_null(w);
    return st;
}

#define MODEL "tests/golden/rolling-short/model/"
static status read_safetensors(void)
{
    return read_weights(MODEL "diffusion_pytorch_model.safetensors");
}
static status read_torch(void)
{
    return read_weights("tests/golden/rolling-5-step/model/rolling_forcing_dmd.pt");
}

/* Returns how many allocations the reader makes. */
static long exhaust(status (*reader)(void))
{
    assert_int_equal(reader(), ST_OK);
    for (long n = 0;; n++) {
        error_clear();
        refused = false;
        left = n;
        status const st = reader();
        left = -1;
        if (!refused) {
            assert_int_equal(st, ST_OK);
            return n;
        }
        if (st != ST_OK && st != ST_NOMEM)
            print_error("allocation %ld: %s: %s\n", n, status_name(st), error_last()->msg);
        assert_true(st == ST_OK || st == ST_NOMEM);
        if (st != ST_OK) assert_true(error_last()->msg[0]);
    }
}

#define EXHAUST(reader)                                                                            \
    static void reader##_exhausted(void **state)                                                   \
    {                                                                                              \
        (void)state;                                                                               \
        long const n = exhaust(reader);                                                            \
        print_message("%s: %ld allocations\n", #reader, n);                                        \
        assert_true(n > 2);                                                                        \
    }
EXHAUST(read_job)
EXHAUST(read_card)
EXHAUST(read_spec)
EXHAUST(read_safetensors)
EXHAUST(read_torch)
EXHAUST(read_prompts)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_job_exhausted),   cmocka_unit_test(read_card_exhausted),
        cmocka_unit_test(read_spec_exhausted),  cmocka_unit_test(read_safetensors_exhausted),
        cmocka_unit_test(read_torch_exhausted), cmocka_unit_test(read_prompts_exhausted),
    };

    left = -1;
    return cmocka_run_group_tests_name("alloc_nth", tests, NULL, NULL);
}
