/* unit_job.c - jobs and the clips they expand to, and broken jobs with what is said. */
#include "tests/support/least_job.h"
#include "tests/support/unit.h"

#include "base/strbuf.h"

/* Expand the first job of the text. */
static status expand(const char *text, struct job_file *f, struct clip_list *l)
{
    struct card const card = test_card();

    *l = (struct clip_list){ 0 };
    TRY(job_parse(f, text, strlen(text), "d/j.yaml"));
    return clip_expand(l, &f->job[0], &card, &(struct clip_options){ .model_id = "m" });
}

static const char *message(const char *text)
{
    struct job_file f;
    struct clip_list l;

    error_clear();
    expand(text, &f, &l);
    clip_free(&l);
    job_close(&f);
    return error_last()->msg;
}

/* Its first line is `want`; what else is wrong follows. */
static void expect_first(const char *got, const char *want)
{
    size_t const n = strlen(want);

    if (strncmp(got, want, n) != 0 || (got[n] && got[n] != '\n')) assert_string_equal(got, want);
}

static void the_least_job(void **state)
{
    struct job_file f;
    struct clip_list l;

    (void)state;
    assert_int_equal(expand(BASE, &f, &l), ST_OK);
    const struct job *const j = &f.job[0];
    assert_int_equal(f.jobs, 1);
    assert_string_equal(j->name, "a");
    assert_null(j->owner);
    assert_int_equal(j->priority, 50);
    assert_string_equal(j->model, "d/m.yaml");
    assert_int_equal(j->precision, CLIP_BF16);
    assert_true(clip_numerics_same(&j->numerics, &(struct clip_numerics){ { 0 } }));
    assert_string_equal(j->output.dir, "d/out");
    assert_int_equal(j->output.on_exists, JOB_SKIP);
    assert_int_equal(j->output.formats, 1);
    assert_string_equal(j->output.format[0].file, "clip.mp4");
    assert_string_equal(j->output.format[0].codec, "h264");
    assert_string_equal(j->output.format[0].preset, "medium");
    assert_string_equal(j->output.format[0].pix, "yuv420p");
    assert_int_equal(j->output.format[0].crf, 18);
    assert_int_equal(j->output.format[0].threads, 1);
    assert_null(j->output.latents);
    assert_null(j->output.preview);
    assert_null(j->labels);

    assert_int_equal(l.count, 1);
    const struct clip_spec *const c = &l.clip[0];
    assert_string_equal(c->name, "a");
    assert_int_equal(c->width, 832);
    assert_int_equal(c->height, 480);
    assert_int_equal(c->fps_num, 16);
    assert_int_equal(c->fps_den, 1);
    assert_int_equal(c->seed, 0);
    assert_int_equal(c->pictures, 160);
    assert_int_equal(c->blocks, 14); /* 13 blocks have 153 pictures, 14 have 165 */
    assert_int_equal(c->prompts, 1);
    assert_string_equal(c->prompt[0].text, "sea");
    assert_int_equal(c->prompt[0].block, 0);
    assert_int_equal(strlen(c->content_id), 16);
    assert_int_equal(strlen(c->task_id), 16);
    clip_free(&l);
    job_close(&f);
    job_close(&f);
}

static void the_full_job(void **state)
{
    static const char text[] =
        "render: 1\n"
        "name: harbour-dawn\n"
        "owner: lookdev\n"
        "priority: 60\n"
        "model: {path: /m/rf.yaml, precision: f32}\n"
        "clip: {size: 64x96, fps: 24000/1001, length: 4m, seed: 7}\n"
        "quantize: warn\n"
        "prompts:\n"
        "  - {at: 0s, text: \"a harbour, fog\"}\n"
        "  - {at: 45s, text: \"the sun rises over {place} {{x}}\", blend: 3s}\n"
        "sweep:\n"
        "  axes: {seed: {range: \"0-7\"}, place: {list: [Lisbon, \"Hong Kong\"]}}\n"
        "  combine: \"seed * place\"\n"
        "  max_clips: 100\n"
        "output:\n"
        "  dir: /out/harbour\n"
        "  name: \"{name}-{place}-s{seed}\"\n"
        "  on_exists: version\n"
        "  formats:\n"
        "    - {id: review, file: clip.mp4, codec: h264, crf: 20, preset: slow, pix: yuv444p, threads: 4}\n"
        "    - {file: master.mkv, codec: ffv1}\n"
        "    - {file: edit.mov, codec: prores, profile: lt}\n"
        "    - {file: edit4.mov, codec: prores, pix: yuv444p10, profile: 4444}\n"
        "    - {file: web.mkv, codec: av1}\n"
        "  latents: {file: latents.safetensors, dtype: f32}\n"
        "  preview: {file: contact.png, columns: 8}\n"
        "labels: {show: harbour, license: internal}\n";
    struct job_file f;
    struct clip_list l;

    (void)state;
    assert_int_equal(expand(text, &f, &l), ST_OK);
    const struct job *const j = &f.job[0];
    assert_string_equal(j->owner, "lookdev");
    assert_string_equal(j->model, "/m/rf.yaml");
    assert_int_equal(j->precision, CLIP_F32);
    assert_string_equal(j->output.dir, "/out/harbour");
    assert_int_equal(j->output.on_exists, JOB_VERSION);
    assert_int_equal(j->output.formats, 5);
    assert_int_equal(j->output.format[0].crf, 20);
    assert_int_equal(j->output.format[0].threads, 4);
    assert_string_equal(j->output.format[1].pix, "yuv444p10");
    assert_int_equal(j->output.format[1].crf, -1);
    assert_null(j->output.format[1].preset);
    assert_string_equal(j->output.format[2].profile, "lt");
    assert_string_equal(j->output.format[3].profile, "4444");
    assert_string_equal(j->output.format[4].preset, "8");
    assert_int_equal(j->output.format[4].crf, 30);
    assert_string_equal(j->output.latents_dtype, "f32");
    assert_int_equal(j->output.preview_columns, 8);
    assert_string_equal(tree_find(j->labels, "show")->text, "harbour");

    assert_int_equal(l.count, 16);
    const struct clip_spec *const c = &l.clip[3];
    assert_string_equal(c->name, "harbour-dawn-Hong-Kong-s1");
    assert_int_equal(c->seed, 1);
    assert_int_equal(c->pictures, 5754); /* 240 * 24000 / 1001 = 5754.2 */
    assert_int_equal(c->blocks, 480);
    assert_int_equal(c->values, 2);
    assert_string_equal(c->value[1].name, "place");
    assert_string_equal(c->value[1].value, "Hong Kong");
    assert_int_equal(c->prompts, 2);
    assert_string_equal(c->prompt[1].text, "the sun rises over Hong Kong {x}");
    assert_int_equal(c->prompt[1].block, 91); /* picture 1079 lies in block 90, 1077..1088 */
    assert_true(c->prompt[1].moved);
    assert_int_equal(c->prompt[1].blend, 6); /* 72 pictures */
    assert_string_equal(c->prompt[1].at, "45s");
    assert_string_equal(c->prompt[1].over, "3s");
    clip_free(&l);
    job_close(&f);
}

/* One picture is one block; a picture more than N blocks have takes N + 1. */
static void lengths(void **state)
{
    static const struct {
        const char *length;
        int64_t pictures, blocks;
    } rows[] = {
        { "1f", 1, 1 },    { "9f", 9, 1 },      { "10f", 10, 2 },
        { "21f", 21, 2 },  { "22f", 22, 3 },    { "0.0625s", 1, 1 },
        { "0.55s", 9, 1 }, { "2m", 1920, 161 }, { "24h", 1382400, 115201 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct job_file f;
        struct clip_list l;
        char *const text = str_format(HEAD TEXT "clip: {length: %s}\n", rows[i].length);
        assert_int_equal(expand(text, &f, &l), ST_OK);
        assert_int_equal(l.clip[0].pictures, rows[i].pictures);
        assert_int_equal(l.clip[0].blocks, rows[i].blocks);
        assert_true(clip_pictures(l.clip[0].blocks, 3) >= rows[i].pictures);
        assert_true(clip_pictures(l.clip[0].blocks - 1, 3) < rows[i].pictures);
        clip_free(&l);
        job_close(&f);
        free(text);
    }
    assert_int_equal(clip_first_picture(0, 3), 0);
    assert_int_equal(clip_first_picture(1, 3), 9);
    assert_int_equal(clip_first_picture(60, 3), 717);
    assert_int_equal(clip_first_picture(2, 1), 5);
}

/* The rule, said another way: block b has the last prompt whose time is not after
 * the block's first picture. */
static void prompts_in_force(void **state)
{
    struct job_file f;
    struct clip_list l;

    (void)state;
    for (int at = 1; at < 60; at++) {
        char *const text = str_format(HEAD "clip: {length: 100f}\nprompts: [{at: 0s, text: x}, "
                                           "{at: %df, text: y}]\n",
                                      at);
        assert_int_equal(expand(text, &f, &l), ST_OK);
        int64_t first = 0;
        while (clip_first_picture(first, 3) < at) first++;
        assert_int_equal(l.clip[0].prompt[1].block, first);
        assert_int_equal(l.clip[0].prompt[1].moved, clip_first_picture(first, 3) != at);
        clip_free(&l);
        job_close(&f);
        free(text);
    }
}

static void times_of_a_run(void **state)
{
    struct job_file f;
    struct clip_list l;

    (void)state;
    assert_int_equal(expand(BASE "run: {timeouts: {clip: 6h, stall: 1.5s}, grace: 120s}\n", &f, &l),
                     ST_OK);
    assert_false(f.job[0].run.given);
    assert_int_equal(l.clip[0].timeout_ms, 6 * 3600 * 1000);
    assert_int_equal(l.clip[0].stall_ms, 1500);
    assert_int_equal(l.clip[0].grace_ms, 120000);
    clip_free(&l);
    job_close(&f);
    assert_int_equal(expand(BASE, &f, &l), ST_OK);
    assert_int_equal(l.clip[0].timeout_ms + l.clip[0].stall_ms + l.clip[0].grace_ms, 0);
    clip_free(&l);
    job_close(&f);
}

static void several_jobs(void **state)
{
    static const char text[] = BASE "---\nrender: 1\nname: b\nmodel: n.yaml\n" TEXT CLIP;
    struct job_file f;

    (void)state;
    assert_int_equal(job_parse(&f, text, sizeof text - 1, "j.yaml"), ST_OK);
    assert_int_equal(f.jobs, 2);
    assert_string_equal(f.job[1].name, "b");
    assert_string_equal(f.job[1].model, "n.yaml");
    assert_string_equal(f.job[1].output.dir, "out");
    job_close(&f);
}

static void what_a_queue_is_told(void **state)
{
    static const char text[] = BASE
        "after: [first, {job: second-0a1b2c3d, when: any}]\n"
        "run: {max_worlds: 4, max_failed: 5%, retries: {error: 1, crash: 2, preempt: 3, backoff: 2m}}\n";
    struct job_file f;

    (void)state;
    assert_int_equal(job_parse(&f, text, sizeof text - 1, "j.yaml"), ST_OK);
    const struct job *const j = &f.job[0];
    assert_int_equal(j->afters, 2);
    assert_string_equal(j->after[0].job, "first");
    assert_false(j->after[0].any);
    assert_string_equal(j->after[1].job, "second-0a1b2c3d");
    assert_true(j->after[1].any);
    assert_true(j->run.given && j->run.max_failed_in_percent);
    assert_int_equal(j->run.max_worlds, 4);
    assert_int_equal(j->run.max_failed, 5);
    assert_int_equal(j->run.errors, 1);
    assert_int_equal(j->run.crashes, 2);
    assert_int_equal(j->run.preempts, 3);
    assert_int_equal(j->run.backoff.micros, 120000000);
    job_close(&f);
}

static void refused_keys(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "- a\n", "d/j.yaml:1:1: found a list; allowed: a map of keys" },
        { "name: a\n", "d/j.yaml:1:1: render is missing; allowed: render: 1" },
        { "render: 2\n", "d/j.yaml:1:9: render: found \"2\"; allowed: 1" },
        { "render: 1\nname: A\n",
          "d/j.yaml:2:7: name: found \"A\"; allowed: 1 to 64 characters a-z 0-9 -" },
        { "render: 1\nname: a\n",
          "d/j.yaml:1:1: model is missing; allowed: the path of a model card" },
        { HEAD TEXT, "d/j.yaml:1:1: clip is missing; allowed: a map such as {length: 30s}" },
        { HEAD CLIP,
          "d/j.yaml:1:1: found neither prompt nor prompts; allowed: exactly one of prompt and prompts" },
        { BASE "prompts: []\n",
          "d/j.yaml:1:1: found prompt and prompts; allowed: exactly one of prompt and prompts" },
        { BASE "clips: 1\n",
          "d/j.yaml:6:1: clips: unknown key (did you mean clip?); allowed: render, name, owner, "
          "priority, model, numerics, lora, window, prompt, prompts, start, quantize, long_prompts, clip, sweep, "
          "output, labels, run, after" },
        { BASE "priority: 101\n",
          "d/j.yaml:6:11: priority: found \"101\"; allowed: a whole number from 0 to 100" },
        { BASE "priority: -1\n",
          "d/j.yaml:6:11: priority: found \"-1\"; allowed: a whole number from 0 to 100" },
        { BASE "owner: ''\n",
          "d/j.yaml:6:8: owner: found nothing; allowed: text of 1 to 256 bytes" },
        { BASE "quantize: maybe\n",
          "d/j.yaml:6:11: quantize: found \"maybe\"; allowed: warn|error" },
        { BASE "after: []\n",
          "d/j.yaml:6:8: after: found a list; allowed: the name of a job, or a list of 1 to 64 "
          "such as [{job: plates, when: any}]" },
        { BASE "after: [{job: b, when: later}]\n",
          "d/j.yaml:6:24: after[0].when: found \"later\"; allowed: success|any" },
        { BASE "after: B\n", "d/j.yaml:6:8: after: found \"B\"; allowed: the name of a job" },
        { BASE "dataset: {layout: webdataset}\n",
          "d/j.yaml:6:1: dataset: not supported by this version; remove the key" },
        { BASE "extensions: []\n",
          "d/j.yaml:6:1: extensions: not supported by this version; remove the key" },
        { BASE "run: {retries: {error: -1}}\n",
          "d/j.yaml:6:24: run.retries.error: found \"-1\"; allowed: a whole number from 0 to 1000" },
        { BASE "run: {retries: {backoff: 20f}}\n",
          "d/j.yaml:6:26: run.retries.backoff: found \"20f\"; allowed: a time such as 30s" },
        { BASE "run: {max_failed: 101%}\n",
          "d/j.yaml:6:19: run.max_failed: found \"101%\"; allowed: a number of clips up to 200000, or a "
          "share such as 5%" },
        { BASE "run: {max_worlds: 0}\n",
          "d/j.yaml:6:19: run.max_worlds: found \"0\"; allowed: a whole number from 1 to 1000000" },
        { BASE "run: {grace: 601s}\n",
          "d/j.yaml:6:14: run.grace: found \"601s\"; allowed: a time from 1s to 600s" },
        { BASE "run: {grace: 0s}\n",
          "d/j.yaml:6:14: run.grace: found \"0s\"; allowed: a time from 1s to 600s" },
        { BASE "run: {timeouts: {clip: 0.5s}}\n",
          "d/j.yaml:6:24: run.timeouts.clip: found \"0.5s\"; allowed: a time from 1s to 24h" },
        { BASE "run: {timeouts: {stall: 20f}}\n",
          "d/j.yaml:6:25: run.timeouts.stall: found \"20f\"; allowed: a time such as 30s" },
        { BASE "run: {timeouts: {setup: 15m}}\n",
          "d/j.yaml:6:18: run.timeouts.setup: not supported by this version; remove the key; --deadline and --stall of `render` and `work` say so for a world" },
        { BASE "run: {gpus: 8}\n",
          "d/j.yaml:6:7: run.gpus: not supported by this version; remove the key" },
        { BASE "run: {gpu: 8}\n",
          "d/j.yaml:6:7: run.gpu: unknown key (did you mean gpus?); allowed: checkpoint, "
          "max_worlds, max_failed, retries, timeouts, grace" },
        { BASE "labels: [a]\n",
          "d/j.yaml:6:9: labels: found a list; allowed: a map of at most 64 texts" },
        { BASE "labels: {a: {b: c}}\n",
          "d/j.yaml:6:13: labels.a: found a map; allowed: text of 1 to 1024 bytes" },
        { BASE "labels: {a b: c}\n",
          "d/j.yaml:6:10: labels.a b: allowed as a label: 1 to 128 characters A-Z a-z 0-9 . _ -" },
        { "render: 1\nname: a\nmodel: {path: m, sha256: x}\n",
          "d/j.yaml:3:26: model.sha256: found \"x\"; allowed: the 64 digits 0-9 a-f that `rollmill check` prints of the model" },
        { "render: 1\nname: a\nmodel: {path: m, precision: fp8}\n",
          "d/j.yaml:3:29: model.precision: found \"fp8\"; allowed: bf16|f32" },
        { "render: 1\nname: a\nmodel: {precision: f32}\n", "d/j.yaml:3:8: model: path is missing" },
        { "render: 1\nname: a\nmodel: ~/m.yaml\n",
          "d/j.yaml:3:8: model: found \"~/m.yaml\"; ~ and $VARIABLES are not expanded here; allowed: the path in full" },
        { "render: 1\nname: a\nmodel: {path: $M/m.yaml}\n",
          "d/j.yaml:3:15: model.path: found \"$M/m.yaml\"; ~ and $VARIABLES are not expanded here; allowed: the path in full" },
        { BASE "sweep: {axes: {b: {file: ~/p.csv, field: t}}}\n",
          "d/j.yaml:6:26: sweep.axes.b.file: found \"~/p.csv\"; ~ and $VARIABLES are not expanded here; allowed: the path in full" },
        { "render: 1\nname: a\nmodel: []\n",
          "d/j.yaml:3:8: model: found a list; allowed: text of 1 to 4096 bytes" },
        { HEAD "prompt:\n" CLIP,
          "d/j.yaml:4:8: prompt: found nothing; allowed: text of 1 to 16384 bytes" },
        { HEAD "prompt: [a]\n" CLIP,
          "d/j.yaml:4:9: prompt: found a list; allowed: text of 1 to 16384 bytes" },
        { BASE "---\n" BASE,
          "d/j.yaml:8:7: name: found \"a\"; allowed: a name that no other job of the file has" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) expect_first(message(rows[i].text), rows[i].want);
}

static void refused_clips(void **state)
{
    static const char form[] =
        "; allowed: a time up to 24h such as 90s, 1.5m, 2h, or frames such as 1440f";
    static const struct {
        const char *clip, *want;
    } rows[] = {
        { "{}",
          "4:7: clip: length is missing; allowed: a time up to 24h such as 90s, 1.5m, 2h, or frames such as 1440f" },
        { "{length: 10s, size: 830x480}",
          "4:27: clip.size: found \"830x480\"; allowed: WIDTHxHEIGHT, multiples of 16 from 16 to 8192, such as 832x480" },
        { "{length: 10s, size: 832}",
          "4:27: clip.size: found \"832\"; allowed: WIDTHxHEIGHT, multiples of 16 from 16 to 8192, such as 832x480" },
        { "{length: 10s, fps: 23.976}",
          "4:26: clip.fps: found \"23.976\"; allowed: a rate such as 24 or 24000/1001, from 1, below 240" },
        { "{length: 10s, fps: 0}",
          "4:26: clip.fps: found \"0\"; allowed: a rate such as 24 or 24000/1001, from 1, below 240" },
        { "{length: 10s, fps: NaN}",
          "4:26: clip.fps: found \"NaN\"; allowed: a rate such as 24 or 24000/1001, from 1, below 240" },
        { "{length: 10s, seed: 0123}",
          "4:27: clip.seed: found \"0123\"; allowed: a whole number below 2^64, without leading zeros" },
        { "{length: 10s, seed: -1}",
          "4:27: clip.seed: found \"-1\"; allowed: a whole number below 2^64, without leading zeros" },
        { "{length: 10s, seed: 18446744073709551616}",
          "4:27: clip.seed: found \"18446744073709551616\"; allowed: a whole number below 2^64, without leading zeros" },
        { "{length: 10s, seed: 1e3}",
          "4:27: clip.seed: found \"1e3\"; allowed: a whole number below 2^64, without leading zeros" },
        { "{length: 10s, steps: 4}",
          "4:21: clip.steps: not supported by this version; remove the key; the model card has the steps" },
        { "{length: 10s, guidance: 3}",
          "4:21: clip.guidance: not supported by this version; remove the key; these models run without guidance" },
        { "{length: 10s, negative: x}",
          "4:21: clip.negative: not supported by this version; remove the key; these models run without guidance" },
        { "{lenght: 10s}",
          "4:8: clip.lenght: unknown key (did you mean length?); allowed: size, fps, length, seed" },
        { "10s", "4:7: clip: found \"10s\"; allowed: a map of keys" },
    };
    static const char *const lengths_refused[] = { "25h",      "0s",   "0.01s",
                                                   "10",       "nan",  "inf",
                                                   "-1s",      "1e9s", "99999999999999999999s",
                                                   "1382401f", "1 h" };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char *const text = str_format(HEAD "clip: %s\n" TEXT, rows[i].clip);
        char *const want = str_format("d/j.yaml:%s", rows[i].want);
        assert_string_equal(message(text), want);
        free(text);
        free(want);
    }
    for (int i = 0; i < COUNT_OF(lengths_refused); i++) {
        char *const text = str_format(HEAD "clip: {length: %s}\n" TEXT, lengths_refused[i]);
        const char *const got = message(text);
        assert_memory_equal(got, "d/j.yaml:4:16: clip.length: found \"", 35);
        assert_string_equal(got + strlen(got) - (sizeof form - 1 - 11), form + 11);
        free(text);
    }
}

static void refused_prompts(void **state)
{
    static const struct {
        const char *prompts, *want;
    } rows[] = {
        { "[]",
          "5:10: prompts: found a list; allowed: a list such as [{at: 0s, text: ...}, {at: 10s, text: ...}]" },
        { "sea",
          "5:10: prompts: found \"sea\"; allowed: a list such as [{at: 0s, text: ...}, {at: 10s, text: ...}]" },
        { "[sea]", "5:11: prompts[0]: found \"sea\"; allowed: a map of keys" },
        { "[{text: sea}]",
          "5:11: prompts[0]: at is missing; allowed: a time up to 24h such as 90s, 1.5m, 2h, or frames such as 1440f" },
        { "[{at: 0s}]", "5:11: prompts[0]: text is missing" },
        { "[{at: 0, text: sea}]",
          "5:16: prompts[0].at: found \"0\"; allowed: a time up to 24h such as 90s, 1.5m, 2h, or frames such as 1440f" },
        { "[{at: 1s, text: sea}]",
          "5:16: prompts[0].at: found \"1s\"; allowed: 0s for the first prompt" },
        { "[{at: 0s, text: sea, blend: 1s}]",
          "5:38: prompts[0].blend: found \"1s\"; allowed: no blend for the first prompt" },
        { "[{at: 0s, text: sea, guidance: 1}]",
          "5:31: prompts[0].guidance: unknown key; allowed: at, text, blend, change" },
        { "[{at: 0s, text: a, change: cut}]",
          "5:37: prompts[0].change: found \"cut\"; allowed: neither cut nor recache before the first prompt" },
        { "[{at: 0s, text: a}, {at: 5s, text: b, change: cut}]",
          "5:56: prompts[1].change: found \"cut\"; allowed: blend, for the model's window.policy has no "
          "rule for a cut; infinity-rope has" },
        { "[{at: 0s, text: a}, {at: 5s, text: b, change: recache}]",
          "5:56: prompts[1].change: found \"recache\"; allowed: blend, for only a block window without a "
          "policy has a recache (docs/policies.md)" },
        { "[{at: 0s, text: a}, {at: 5s, text: b}, {at: 4s, text: c}]",
          "5:54: prompts[2].at: found \"4s\", in block 6; allowed: after 81f, for prompts[1] has block 7" },
        { "[{at: 0s, text: a}, {at: 5s, text: b}, {at: 5.05s, text: c}]",
          "5:54: prompts[2].at: found \"5.05s\", in block 7; allowed: after 81f, for prompts[1] has block 7" },
        { "[{at: 0s, text: a}, {at: 0s, text: b}]",
          "5:35: prompts[1].at: found \"0s\", in block 0; allowed: after 0f, for prompts[0] has block 0" },
        { "[{at: 0s, text: a}, {at: 10s, text: b}]",
          "5:35: prompts[1].at: found \"10s\", after the last block begins; allowed: at most 153f" },
        { "[{at: 0s, text: a}, {at: 24h, text: b}]",
          "5:35: prompts[1].at: found \"24h\", after the last block begins; allowed: at most 153f" },
        { "[{at: 0s, text: a}, {at: 2s, text: b, blend: 3s}, {at: 4s, text: c}]",
          "5:55: prompts[1].blend: found 4 blocks of blend; allowed: at most 3, for then prompts[2] begins" },
        { "[{at: 0s, text: a}, {at: 45f, text: b}]\nquantize: error", "" },
        { "[{at: 0s, text: a}, {at: 44f, text: b}]\nquantize: error",
          "5:35: prompts[1].at: found \"44f\", inside a block; allowed with quantize: error: 33f or 45f" },
        { "[{at: 0s, text: a}, {at: 9s, text: 'to {place}'}]",
          "5:45: prompts[1].text: found \"{place}\"; allowed: {name}, {seed}, {index}" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char *const text = str_format(HEAD CLIP "prompts: %s\n", rows[i].prompts);
        char *const want = str_format("%s%s", rows[i].want[0] ? "d/j.yaml:" : "", rows[i].want);
        assert_string_equal(message(text), want);
        free(text);
        free(want);
    }
    assert_string_equal(
        message(HEAD CLIP "prompt: 'a {'\n"),
        "d/j.yaml:5:9: prompt: found \"{\"; allowed: {variable}, {number:05d}, and {{ or }} for a brace");
}

static void refused_outputs(void **state)
{
    static const struct {
        const char *output, *want;
    } rows[] = {
        { "{name: 'a b'}",
          "6:16: output.name: clip 0 would be called \"a b\"; allowed: 1 to 128 characters A-Z a-z 0-9 . _ -, no dot first" },
        { "{name: ../x}",
          "6:16: output.name: clip 0 would be called \"../x\"; allowed: 1 to 128 characters A-Z a-z 0-9 . _ -, no dot first" },
        { "{name: '{nam}'}",
          "6:16: output.name: found \"{nam}\"; allowed: {name}, {seed}, {index}" },
        { "{dir: ''}", "6:15: output.dir: found nothing; allowed: text of 1 to 4096 bytes" },
        { "{on_exists: overwrite}",
          "6:21: output.on_exists: found \"overwrite\"; allowed: skip|error|version" },
        { "{formats: []}",
          "6:19: output.formats: found a list; allowed: a list of 1 to 16 formats such as {file: clip.mp4, codec: h264}" },
        { "{formats: [{file: a.mp4}]}",
          "6:20: output.formats[0]: codec is missing; allowed: h264|ffv1|prores|av1" },
        { "{formats: [{codec: h264}]}", "6:20: output.formats[0]: file is missing" },
        { "{formats: [{file: a.mp4, codec: h265}]}",
          "6:41: output.formats[0].codec: found \"h265\"; allowed: h264|ffv1|prores|av1" },
        { "{formats: [{file: a/b.mp4, codec: h264}]}",
          "6:27: output.formats[0].file: found \"a/b.mp4\"; allowed: a file name of 1 to 128 characters A-Z a-z 0-9 . _ -, no dot first" },
        { "{formats: [{file: a.avi, codec: h264}]}",
          "6:27: output.formats[0].file: found \"a.avi\"; allowed: a name that ends in one of .mp4|mov|mkv for h264" },
        { "{formats: [{file: amp4, codec: h264}]}",
          "6:27: output.formats[0].file: found \"amp4\"; allowed: a name that ends in one of .mp4|mov|mkv for h264" },
        { "{formats: [{file: a.mp4, codec: ffv1}]}",
          "6:27: output.formats[0].file: found \"a.mp4\"; allowed: a name that ends in one of .mkv for ffv1" },
        { "{formats: [{file: a.mp4, codec: h264, crf: 52}]}",
          "6:52: output.formats[0].crf: found \"52\"; allowed: a whole number from 0 to 51" },
        { "{formats: [{file: a.mkv, codec: av1, crf: 0}]}",
          "6:51: output.formats[0].crf: found \"0\"; allowed: a whole number from 1 to 63" },
        { "{formats: [{file: a.mkv, codec: ffv1, crf: 1}]}",
          "6:47: output.formats[0].crf: ffv1 takes no crf; allowed: remove the key" },
        { "{formats: [{file: a.mkv, codec: ffv1, preset: fast}]}",
          "6:47: output.formats[0].preset: ffv1 takes no preset; allowed: remove the key" },
        { "{formats: [{file: a.mp4, codec: h264, preset: fats}]}",
          "6:55: output.formats[0].preset: found \"fats\"; allowed: ultrafast|superfast|veryfast|faster|fast|medium|slow|slower|veryslow|placebo" },
        { "{formats: [{file: a.mp4, codec: av1, pix: yuv444p}]}",
          "6:51: output.formats[0].pix: found \"yuv444p\"; allowed: yuv420p|yuv420p10" },
        { "{formats: [{file: a.mov, codec: prores, profile: 4444}]}",
          "6:58: output.formats[0].profile: found \"4444\"; allowed: proxy|lt|standard|hq with pix yuv422p10" },
        { "{formats: [{file: a.mov, codec: prores, pix: yuv444p10, profile: hq}]}",
          "6:74: output.formats[0].profile: found \"hq\"; allowed: 4444|4444xq with pix yuv444p10" },
        { "{formats: [{file: a.mp4, codec: h264, gop: 61s}]}",
          "6:52: output.formats[0].gop: found \"61s\"; allowed: a time up to 60s such as 2s, or frames such as 48f" },
        { "{formats: [{file: a.mp4, codec: h264, gop: 0f}]}",
          "6:52: output.formats[0].gop: found \"0f\"; allowed: a time up to 60s such as 2s, or frames such as 48f" },
        { "{formats: [{file: a.mkv, codec: av1, gop: 1f}]}",
          "6:51: output.formats[0].gop: found \"1f\"; allowed for av1: 2f or more" },
        { "{formats: [{file: a.mkv, codec: ffv1, gop: 1s}]}",
          "6:47: output.formats[0].gop: every frame of ffv1 is a key frame; allowed: remove the key" },
        { "{formats: [{file: a.mkv, codec: ffv1, encoder: nvenc}]}",
          "6:56: output.formats[0].encoder: found \"nvenc\"; allowed: cpu|auto" },
        { "{formats: [{file: a.mp4, codec: h264, encoder: gpu}]}",
          "6:56: output.formats[0].encoder: found \"gpu\"; allowed: cpu|nvenc|auto" },
        { "{formats: [{file: a.mp4, codec: h264, encoder: nvenc, pix: yuv422p}]}",
          "6:68: output.formats[0].pix: found \"yuv422p\"; allowed: yuv420p|yuv444p" },
        { "{formats: [{file: a.mp4, codec: h264}, {file: a.mp4, codec: h264}]}",
          "6:55: output.formats[1].file: found \"a.mp4\", which another file of the clip is called; allowed: a name of its own" },
        { "{formats: [{file: Clip.mp4, codec: h264}, {file: clip.mp4, codec: h264}]}",
          "6:58: output.formats[1].file: found \"clip.mp4\", which another file of the clip is called but for its case; allowed: a name of its own" },
        { "{dir: ~}",
          "6:15: output.dir: found \"~\"; ~ and $VARIABLES are not expanded here; allowed: the path in full" },
        { "{dir: ~/clips}",
          "6:15: output.dir: found \"~/clips\"; ~ and $VARIABLES are not expanded here; allowed: the path in full" },
        { "{dir: $HOME/clips}",
          "6:15: output.dir: found \"$HOME/clips\"; ~ and $VARIABLES are not expanded here; allowed: the path in full" },
        { "{dir: '/data/clips-${USER}'}",
          "6:15: output.dir: found \"/data/clips-${USER}\"; ~ and $VARIABLES are not expanded here; allowed: the path in full" },
        { "{formats: [{file: a.mp4, codec: h264, threads: 0}]}",
          "6:56: output.formats[0].threads: found \"0\"; allowed: a whole number from 1 to 64" },
        { "{latents: {file: l.npy}}",
          "6:26: output.latents.file: found \"l.npy\"; allowed: a file name that ends in .safetensors" },
        { "{latents: {file: l.safetensors, dtype: fp8}}",
          "6:48: output.latents.dtype: found \"fp8\"; allowed: bf16|f32" },
        { "{latents: l.safetensors}",
          "6:19: output.latents: found \"l.safetensors\"; allowed: a map of keys" },
        { "{preview: {file: p.jpg}}",
          "6:26: output.preview.file: found \"p.jpg\"; allowed: a file name that ends in .png" },
        { "{preview: {file: p.png, columns: 0}}",
          "6:42: output.preview.columns: found \"0\"; allowed: a whole number from 1 to 32" },
        { "{preview: {columns: 4}}", "6:19: output.preview: file is missing" },
        { "{colour: {range: pc}}", "6:26: output.colour.range: found \"pc\"; allowed: tv" },
        { "{colour: {transfer: pq}}",
          "6:29: output.colour.transfer: found \"pq\"; allowed: bt709|srgb" },
        { "{colour: {gamma: 2}}",
          "6:19: output.colour.gamma: unknown key; allowed: matrix, primaries, transfer, range" },
        { "{embeddings: {file: e.npy}}",
          "6:29: output.embeddings.file: found \"e.npy\"; allowed: a file name that ends in .safetensors" },
        { "{latents: {file: e.safetensors}, embeddings: {file: e.safetensors}}",
          "6:61: output.embeddings.file: found \"e.safetensors\", which another file of the clip is called; allowed: a name of its own" },
        { "{metadata: full}",
          "6:10: output.metadata: not supported by this version; remove the key; clip.json is always written in full" },
        { "{format: []}",
          "6:10: output.format: unknown key (did you mean formats?); allowed: dir, name, on_exists, formats, latents, preview, colour, embeddings, extendable" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char *const text = str_format(BASE "output: %s\n", rows[i].output);
        char *const want = str_format("d/j.yaml:%s", rows[i].want);
        assert_string_equal(message(text), want);
        free(text);
        free(want);
    }
}

#define DIGITS     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"
#define DIGITS_CUT "0123456789abcdef0123456789abcdef01234567..."

/* The files that it pins, others, and what is no pin. */
static void pinned_models(void **state)
{
    static const char text[] = "render: 1\nname: a\nmodel: {path: m.yaml, sha256: %s}\n" TEXT CLIP;
    static const struct {
        const char *pin, *want;
    } rows[] = {
        { DIGITS "f", "" },
        { DIGITS "0", "d/j.yaml:3:31: model.sha256: found \"" DIGITS_CUT
                      "\"; the files of d/m.yaml are " DIGITS "f" },
        { DIGITS "F", "d/j.yaml:3:31: model.sha256: found \"" DIGITS_CUT
                      "\"; allowed: the 64 digits 0-9 a-f that `rollmill check` prints of the "
                      "model" },
        { "m", "d/j.yaml:3:31: model.sha256: found \"m\"; allowed: the 64 digits 0-9 a-f that "
               "`rollmill check` prints of the model" },
    };
    struct card const card = test_card();

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char *const job = str_format(text, rows[i].pin);
        struct clip_options const files = { .model_id = DIGITS "f" }, none = { 0 };
        struct job_file f;
        struct clip_list l = { 0 };
        error_clear();
        status st = job_parse(&f, job, strlen(job), "d/j.yaml");
        if (st == ST_OK) st = clip_expand(&l, &f.job[0], &card, &files);
        assert_int_equal(st, rows[i].want[0] ? ST_FORMAT : ST_OK);
        assert_string_equal(error_last()->msg, rows[i].want);
        clip_free(&l);
        if (f.jobs) assert_int_equal(clip_expand(&l, &f.job[0], &card, &none), ST_OK);
        clip_free(&l);
        job_close(&f);
        free(job);
    }
}

/* In pictures, rounded down; 0 for what stands without it. */
static void key_frames(void **state)
{
    static const struct {
        const char *fps, *gop;
        int want;
    } rows[] = {
        { "16", "1s", 0 },          { "16", "16f", 0 },        { "16", "2s", 32 },
        { "16", "0.01s", 1 },       { "16", "60s", 960 },      { "24000/1001", "1s", 0 },
        { "24000/1001", "2s", 47 }, { "24000/1001", "1f", 1 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char *const text = str_format(HEAD TEXT "clip: {length: 1s, fps: %s}\noutput: {formats: "
                                                "[{file: a.mp4, codec: h264, gop: %s}]}\n",
                                      rows[i].fps, rows[i].gop);
        struct job_file f;
        struct clip_list l;
        assert_int_equal(expand(text, &f, &l), ST_OK);
        assert_int_equal(l.clip[0].format[0].gop, rows[i].want);
        clip_free(&l);
        job_close(&f);
        free(text);
    }
}

static void refused_sizes(void **state)
{
    (void)state;
    assert_string_equal(
        message(HEAD TEXT "clip: {length: 1s, size: 64x48}\n"
                          "output: {formats: [{file: a.mkv, codec: ffv1}, {file: b.mkv, "
                          "codec: av1}]}\n"),
        "d/j.yaml:6:48: output.formats[1]: found av1 with clip.size 64x48; allowed: av1 "
        "from 64x64 on");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_least_job),   cmocka_unit_test(the_full_job),
        cmocka_unit_test(lengths),         cmocka_unit_test(prompts_in_force),
        cmocka_unit_test(several_jobs),    cmocka_unit_test(what_a_queue_is_told),
        cmocka_unit_test(refused_keys),    cmocka_unit_test(refused_clips),
        cmocka_unit_test(refused_prompts), cmocka_unit_test(refused_outputs),
        cmocka_unit_test(key_frames),      cmocka_unit_test(refused_sizes),
        cmocka_unit_test(pinned_models),   cmocka_unit_test(times_of_a_run),
    };
    return cmocka_run_group_tests_name("unit_job", tests, NULL, NULL);
}
