/* unit_ids.c - a clip's content id and task id: what changes them, and what does not. */
#include "tests/support/least_job.h"
#include "tests/support/unit.h"

#include "base/strbuf.h"

static char *content_by(const char *text, const char *model_id, const struct card *card,
                        char **task)
{
    struct job_file f;
    struct clip_list l;

    assert_int_equal(job_parse(&f, text, strlen(text), "j"), ST_OK);
    assert_int_equal(
        clip_expand(&l, &f.job[0], card, &(struct clip_options){ .model_id = model_id }), ST_OK);
    char *const content = str_format("%s", l.clip[0].content_id);
    *task = str_format("%s", l.clip[0].task_id);
    clip_free(&l);
    job_close(&f);
    return content;
}

static char *content_of(const char *text, const char *model_id, char **task)
{
    struct card const card = test_card();
    return content_by(text, model_id, &card, task);
}

#define FORMATS(more) BASE "output: {formats: [{" more "}]}\n"
#define PROMPTS(more) HEAD CLIP "prompts: [{at: 0s, text: sea}, {" more "}]\n"

/* What changes the pictures changes both ids, what changes the files the task's only,
 * and the rest neither. */
static void ids(void **state)
{
    static const struct {
        const char *text, *model_id;
        bool content, task; /* equal to those of the plain job */
    } rows[] = {
        { BASE, "m", true, true },
        { "render: 1\nname: b\nmodel: {path: /else.yaml}\npriority: 3\nowner: me\n" TEXT CLIP
          "labels: {a: b}\noutput: {dir: x, on_exists: error, name: y}\n",
          "m", true, true },
        { BASE "output: {formats: [{file: clip.mp4, codec: h264, crf: 18, preset: medium}]}\n", "m",
          true, true },
        { HEAD TEXT "clip: {length: 160f}\n", "m", true, true },
        { HEAD "prompts: [{at: 0s, text: sea}]\n" CLIP, "m", true, true },
        { BASE "output: {formats: [{file: clip.mp4, codec: h264, crf: 19}]}\n", "m", true, false },
        { BASE "output: {formats: [{file: clip.mp4, codec: h264, gop: 1s}]}\n", "m", true, true },
        { BASE "output: {formats: [{file: clip.mp4, codec: h264, gop: 16f}]}\n", "m", true, true },
        { BASE "output: {formats: [{file: clip.mp4, codec: h264, gop: 2s}]}\n", "m", true, false },
        { BASE "output: {colour: {transfer: srgb}}\n", "m", true, false },
        { BASE "output: {colour: {matrix: bt709, primaries: bt709, transfer: bt709, range: tv}}\n",
          "m", true, true },
        { BASE "run: {timeouts: {clip: 6h, stall: 5m}, grace: 2m}\n", "m", true, true },
        { BASE "output: {embeddings: {file: l.safetensors}}\n", "m", true, false },
        { BASE "run: {checkpoint: 3s, max_worlds: 2, retries: {error: 1}}\n", "m", true, true },
        { BASE "after: b\nquantize: error\nlong_prompts: error\n", "m", true, true },
        { FORMATS("file: clip.mp4, codec: h264, id: a"), "m", true, true },
        { FORMATS("file: clip.mp4, codec: h264, crf: 19"), "m", true, false },
        { FORMATS("file: a.mp4, codec: h264"), "m", true, false },
        { FORMATS("file: clip.mkv, codec: ffv1"), "m", true, false },
        { FORMATS("file: clip.mp4, codec: h264, preset: slow"), "m", true, false },
        { FORMATS("file: clip.mp4, codec: h264, pix: yuv444p"), "m", true, false },
        { FORMATS("file: clip.mp4, codec: h264, threads: 2"), "m", true, false },
        { FORMATS("file: clip.mp4, codec: h264, encoder: nvenc"), "m", true, false },
        { FORMATS("file: clip.mov, codec: prores, profile: lt"), "m", true, false },
        { BASE "output: {latents: {file: l.safetensors}}\n", "m", true, false },
        { BASE "output: {preview: {file: l.png}}\n", "m", true, false },
        { HEAD TEXT "clip: {length: 160f, fps: 15}\n", "m", true, false },
        { BASE "output: {preview: {file: l.png, columns: 3}}\n", "m", true, false },
        { BASE "numerics: {}\n", "m", true, true },
        { BASE "numerics: {wire: act}\n", "m", false, false },
        { BASE "numerics: {wire: fp8}\n", "m", false, false },
        { BASE "numerics: {determinism: strict}\n", "m", false, false },
        { BASE "numerics: {determinism: batch}\n", "m", false, false },
        { BASE "numerics: {kernels: 2}\n", "m", false, false },
        { PROMPTS("at: 5s, text: fog"), "m", false, false },
        { BASE "start: {latents: tests/unit/jobs/unit_job.c, force: true}\n", "m", false, false },
        { BASE, "n", false, false },
        { HEAD TEXT "clip: {length: 10s, seed: 1}\n", "m", false, false },
        { HEAD TEXT "clip: {length: 10s, size: 480x832}\n", "m", false, false },
        { HEAD TEXT "clip: {length: 9.9s}\n", "m", false, false },
        { HEAD "prompt: Sea\n" CLIP, "m", false, false },
        { "render: 1\nname: a\nmodel: {path: m, precision: f32}\n" TEXT CLIP, "m", false, false },
    };
    char *task, *content = content_of(BASE, "m", &task);

    (void)state;
    assert_string_equal(content, "6c80cb7d09f006e1");
    assert_string_equal(task, "e47ba0259b388a8c");
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char *other_task, *const other = content_of(rows[i].text, rows[i].model_id, &other_task);
        assert_int_equal(!strcmp(content, other), rows[i].content);
        assert_int_equal(!strcmp(task, other_task), rows[i].task);
        free(other);
        free(other_task);
    }
    free(content);
    free(task);
    content = content_of(BASE, NULL, &task);
    assert_string_equal(content, "");
    assert_string_equal(task, "");
    free(content);
    free(task);
}

/* Different asks, different contents; no two of them alike, nor like what asks for nothing. */
static void ids_of_numerics(void **state)
{
    static const char *const asks[] = {
        "{}",
        "{wire: act}",
        "{wire: fp8}",
        "{determinism: strict}",
        "{determinism: batch}",
        "{kernels: 1}",
        "{kernels: 2}",
        "{kernels: 3}",
        "{kernels: 4}",
        "{wire: act, determinism: strict}",
        "{wire: act, determinism: batch, kernels: 4}",
    };
    char *content[COUNT_OF(asks)], *task[COUNT_OF(asks)];

    (void)state;
    for (int i = 0; i < COUNT_OF(asks); i++) {
        char *const text = str_format(BASE "numerics: %s\n", asks[i]);
        content[i] = content_of(text, "m", &task[i]);
        free(text);
        for (int k = 0; k < i; k++) {
            assert_string_not_equal(content[i], content[k]);
            assert_string_not_equal(task[i], task[k]);
        }
    }
    for (int i = 0; i < COUNT_OF(asks); i++) {
        free(content[i]);
        free(task[i]);
    }
}

enum { CARDS = 14 };

/* Each differs from the usual one, or from the one before, in one number. */
static void fill_cards(struct card card[CARDS])
{
    int cards = 0;

    for (int i = 0; i < CARDS; i++) card[i] = test_card();
    card[cards++].outer_key = "generator_ema";
    card[cards++].step[1] = 501;
    card[cards++].steps = 1;
    card[cards].first_steps = 1;
    card[cards++].first_step[0] = 1000;
    card[cards++].warp = false;
    card[cards++].shift = 6;
    card[cards++].window = WINDOW_BLOCK;
    card[cards++].attention_frames = 18;
    card[cards++].sink_frames = 0;
    card[cards++].sink = KV_SINK_FIXED;
    card[cards].window = WINDOW_BLOCK;
    card[cards++].rule = KV_EMA_SINK;
    card[cards] = card[cards - 1];
    card[cards++].key[KV_KEY_ema_alpha] = 0.5;
    card[cards].window = WINDOW_BLOCK;
    card[cards].rule = KV_FORCING_KV;
    card[cards++].profile = (struct kv_profile){ 2, { 0, 1 } };
    card[cards] = card[cards - 1];
    card[cards++].profile.static_heads[1] = 2;
    assert_int_equal(cards, CARDS);
}

/* Each of a card's numbers is in the content, those that its policy has too. */
static void ids_of_cards(void **state)
{
    struct card const usual = test_card();
    struct card card[CARDS];
    char *task, *content = content_by(BASE, "m", &usual, &task);

    (void)state;
    fill_cards(card);
    for (int i = 0; i < CARDS; i++) {
        char *other_task, *const other = content_by(BASE, "m", &card[i], &other_task);
        assert_string_not_equal(other, content);
        assert_string_not_equal(other_task, task);
        free(task);
        free(content);
        content = other, task = other_task; /* the last two differ in one number alone */
    }
    free(task);
    free(content);
}

/* A clip that is made longer has the ids of a job that asks for as much, whatever its card. */
static void ids_of_longer_clips(void **state)
{
    static const char shorter[] = HEAD TEXT "clip: {length: 5s}\n";
    struct card card[CARDS];

    (void)state;
    fill_cards(card);
    for (int i = 0; i < CARDS; i++) {
        char *task, *const content = content_by(BASE, "m", &card[i], &task);
        struct model_spec model;
        struct job_file f;
        struct clip_list l;
        ok(card_spec(&model, &card[i]));
        ok(job_parse(&f, shorter, strlen(shorter), "j"));
        ok(clip_expand(&l, &f.job[0], &card[i], &(struct clip_options){ .model_id = "m" }));
        assert_string_not_equal(l.clip[0].content_id, content);
        ok(clip_lengthen(&l.clip[0], &model, 160));
        assert_string_equal(l.clip[0].content_id, content);
        assert_string_equal(l.clip[0].task_id, task);
        clip_free(&l);
        job_close(&f);
        model_spec_free(&model);
        free(content);
        free(task);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),
        cmocka_unit_test(ids_of_numerics),
        cmocka_unit_test(ids_of_cards),
        cmocka_unit_test(ids_of_longer_clips),
    };
    return cmocka_run_group_tests_name("unit_ids", tests, NULL, NULL);
}
