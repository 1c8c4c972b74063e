/* unit_work_list.c - job files as a work source: order, groups, what is skipped and refused. */
#include "tests/support/unit.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "cmd/render/render_internal.h"
#include "kernels/pixels.h"
#include "pipeline/engine/workload.h"

#include <stdio.h>
#include <unistd.h>

static char root[] = "/tmp/work-list.XXXXXX";

#define CARD(name, window)                                                                         \
    "card: 1\nname: " name "\nfamily: wan2.1-t2v\nweights: w\nconfig: c.json\n"                    \
    "text: {encoder: e, tokenizer: t}\nvae: v\nsteps: [1000, 500]\nwarp: true\nshift: 5\n"         \
    "frames_per_block: 3\nwindow: " window "\nlicense: none\n"
#define JOB(name, more)                                                                            \
    "render: 1\nname: " name "\nprompt: sea\nmodel: one.yaml\noutput: {dir: out}\n" more "\n"
#define CLIP "clip: {size: 64x96, length: 2s}\n"

static char *path_of(const char *name) { return str_format("%s/%s", root, name); }

static void write_file(const char *name, const char *text)
{
    char *const path = path_of(name);
    FILE *const f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    free(path);
}

static int make_folder(void **state)
{
    static const char *const files[] = { "w", "e", "t", "v" };

    (void)state;
    if (!mkdtemp(root)) return -1;
    for (int i = 0; i < COUNT_OF(files); i++) write_file(files[i], files[i]);
    write_file("c.json", "{\"model_type\": \"t2v\", \"dim\": 12, \"ffn_dim\": 8, \"num_heads\": 1, "
                         "\"num_layers\": 1, \"freq_dim\": 4, \"in_dim\": 16, \"out_dim\": 16, "
                         "\"text_len\": 7, \"text_dim\": 4, \"patch_size\": [1, 2, 2]}\n");
    write_file("one.yaml", CARD("one", "{kind: rolling, attention_frames: 21, sink_frames: 3}"));
    write_file("two.yaml", CARD("two", "{kind: block, attention_frames: 12, sink_frames: 3}"));
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    return dir_remove(root) == ST_OK ? 0 : -1;
}

/* The list of these jobs, each a file's text. */
static struct work_list_options options;

static status open_jobs(struct work_list **l, const char *const *jobs, int count)
{
    char *paths[8] = { NULL };
    struct work_job work[8] = { { NULL, NULL } };
    status st;

    for (int i = 0; i < count; i++) {
        char *const name = str_format("job-%d.yaml", i);
        write_file(name, jobs[i]);
        paths[i] = path_of(name);
        work[i].path = paths[i];
        free(name);
    }
    st = work_list_open(l, work, count, &options);
    for (int i = 0; i < count; i++) free(paths[i]);
    return st;
}

static enum work_next next_of(const struct work_source *s, const struct work_item *group,
                              struct work_item *out)
{
    enum work_next what;

    assert_int_equal(s->ops->next(s->arg, group, 0, out, &what), ST_OK);
    return what;
}

static void expect_clip(const struct work_source *s, const struct work_item *group,
                        const char *name, struct work_item *out)
{
    assert_int_equal(next_of(s, group, out), WORK_CLIP);
    assert_string_equal(out->clip->name, name);
}

/* Two models' clips by priority, those of one size apart: three groups. */
static void groups_by_priority(void **state)
{
    static const char *const jobs[] = {
        JOB("low", "priority: 10\n" CLIP),
        "render: 1\nname: other\nprompt: sea\nmodel: two.yaml\noutput: {dir: out}\npriority: 60\n" CLIP,
        JOB("high", "priority: 90\n" CLIP "sweep: {axes: {seed: {range: 0-1}}}\n"),
        JOB("wide", "priority: 50\nclip: {size: 96x64, length: 2s}\n"),
        JOB("same", "priority: 60\n" CLIP),
    };
    struct work_list *l;
    struct work_item first, item, other;

    (void)state;
    assert_int_equal(open_jobs(&l, jobs, COUNT_OF(jobs)), ST_OK);
    struct work_source const s = work_list_source(l);
    assert_int_equal(work_list_counts(l).clips, 6);
    expect_clip(&s, NULL, "high-00000", &first);
    expect_clip(&s, &first, "high-00001", &item);
    expect_clip(&s, &first, "same", &item);
    assert_true(work_same_group(&first, &item));
    struct model_spec edited = *item.model;
    edited.sink = KV_SINK_FIXED;
    item.model = &edited;
    assert_false(work_same_group(&first, &item));
    edited.sink = KV_SINK_USUAL;
    assert_true(work_same_group(&first, &item));
    edited.rule = KV_EMA_SINK;
    assert_false(work_same_group(&first, &item));
    edited.rule = KV_USUAL;
    edited.key[KV_KEY_ema_alpha] = 0.5;
    assert_false(work_same_group(&first, &item));
    expect_clip(&s, &first, "low", &item);
    assert_int_equal(next_of(&s, &first, &item), WORK_OTHER);

    expect_clip(&s, NULL, "other", &other);
    assert_false(work_same_group(&first, &other));
    assert_string_equal(other.model->name, "two");
    assert_int_equal(next_of(&s, &other, &item), WORK_OTHER);
    expect_clip(&s, NULL, "wide", &item);
    assert_false(work_same_group(&first, &item));
    assert_int_equal(next_of(&s, &item, &other), WORK_END);
    assert_int_equal(next_of(&s, NULL, &other), WORK_END);
    work_list_close(&l);
    work_list_close(&l);
}

/* Clips that ask for other numerics are a group of their own; an option that says something else
 * than a job is refused where the job says it. */
static void asked_numerics(void **state)
{
    static const char *const jobs[] = {
        JOB("a", CLIP),
        JOB("b", CLIP "numerics: {wire: fp8}\n"),
        JOB("c", CLIP "numerics: {wire: act}\n"),
        JOB("d", CLIP "numerics: {wire: fp8}\n"),
    };
    struct clip_numerics const fp8 = { { [CLIP_WIRE] = 2 } };
    struct work_list *l;
    struct work_item a, b, item;

    (void)state;
    assert_int_equal(open_jobs(&l, jobs, COUNT_OF(jobs)), ST_OK);
    struct work_source s = work_list_source(l);
    expect_clip(&s, NULL, "a", &a);
    assert_int_equal(next_of(&s, &a, &item), WORK_OTHER);
    expect_clip(&s, NULL, "b", &b);
    expect_clip(&s, &b, "d", &item);
    assert_int_equal(next_of(&s, &b, &item), WORK_OTHER);
    expect_clip(&s, NULL, "c", &item);
    assert_int_equal(next_of(&s, NULL, &item), WORK_END);
    work_list_close(&l);

    options.given = fp8;
    assert_int_equal(open_jobs(&l, jobs, 2), ST_OK);
    work_list_close(&l);
    assert_int_equal(open_jobs(&l, jobs, 3), ST_FORMAT);
    options.given = (struct clip_numerics){ { 0 } };
    assert_non_null(strstr(error_last()->msg, "job-2.yaml:7:18: numerics.wire: found act, and "
                                              "--wire fp8 was given; allowed: one of the two"));
}

/* A card that was edited in between is another model. */
static void edited_cards(void **state)
{
    struct model_spec a = { .card = (char *)"c.yaml", .step = { 1000, 500 }, .steps = 2 }, b = a;
    struct clip_spec const clip = { .width = 64, .height = 96 };
    struct work_item const x = { .clip = &clip, .model = &a }, y = { .clip = &clip, .model = &b };

    (void)state;
    assert_true(work_same_group(&x, &y));
    b.step[1] = 501;
    assert_false(work_same_group(&x, &y));
    b = a;
    b.outer_key = (char *)"generator_ema";
    assert_false(work_same_group(&x, &y));
}

/* What a group's clips need, all of them counted, the others not. */
static void outlook(void **state)
{
    static const char *const jobs[] = {
        JOB("a", CLIP "sweep: {axes: {seed: {range: 0-2}}}\n"),
        "render: 1\nname: b\nmodel: one.yaml\nclip: {size: 64x96, length: 5s}\n"
        "prompts: [{at: 0s, text: sea}, {at: 1s, text: fog, blend: 2s}]\noutput: {dir: out, "
        "formats: [{file: a.mkv, codec: ffv1}, {file: b.mp4, codec: h264}]}\n",
        JOB("c", "clip: {size: 96x64, length: 2s}\n"),
    };
    struct work_list *l;
    struct work_item first;
    struct work_outlook o;

    (void)state;
    assert_int_equal(open_jobs(&l, jobs, COUNT_OF(jobs)), ST_OK);
    struct work_source const s = work_list_source(l);
    expect_clip(&s, NULL, "a-00000", &first);
    assert_int_equal(s.ops->outlook(s.arg, &first, &o), ST_OK);
    assert_int_equal(o.clips, 4);
    assert_int_equal(o.blocks, 3 * 3 + 7);
    assert_int_equal(o.texts, 2);
    assert_int_equal(o.mixes, 3);
    assert_int_equal(o.tokens, 2 * 7);
    assert_int_equal(o.formats, 1u << PIX_YUV420P | 1u << PIX_YUV444P10);
    assert_false(o.more);
    assert_int_equal(workload_contexts(&o), 2 + 3);
    o.more = true;
    assert_int_equal(workload_contexts(&o), 0);
    work_list_close(&l);
}

/* A clip is whole: its folder, ids and model; and what became of it is counted. */
static void done_and_failed(void **state)
{
    static const char *const jobs[] = { JOB("x", CLIP "sweep: {axes: {seed: {range: 0-2}}}\n") };
    struct work_list *l;
    struct work_item item[3];

    (void)state;
    assert_int_equal(open_jobs(&l, jobs, 1), ST_OK);
    struct work_source const s = work_list_source(l);
    for (int i = 0; i < 3; i++) assert_int_equal(next_of(&s, NULL, &item[i]), WORK_CLIP);
    char *const dir = path_of("out/x-00001");
    assert_string_equal(item[1].clip->dir, dir);
    assert_int_equal(strlen(item[1].clip->task_id), 16);
    assert_int_equal(strlen(item[1].model->id), 64);
    assert_string_equal(item[1].model->id, item[1].clip->model_id);
    s.ops->done(s.arg, item[0].ticket);
    s.ops->failed(s.arg, item[2].ticket, ST_IO, "the disk is full");
    s.ops->done(s.arg, item[1].ticket);
    struct work_counts const n = work_list_counts(l);
    assert_int_equal(n.clips, 3);
    assert_int_equal(n.done, 2);
    assert_int_equal(n.failed, 1);
    struct work_failure const f = work_list_failure(l, 0);
    assert_string_equal(f.clip->name, "x-00002");
    assert_int_equal(f.st, ST_IO);
    assert_string_equal(f.why, "the disk is full");
    free(dir);
    work_list_close(&l);
}

/* Stand where a finished clip would: with this task in its record, and a file of five bytes. */
static void finish_clip(const char *name, const char *task_id)
{
    char *const dir = str_format("%s/out/%s", root, name);
    char *const record = str_format("out/%s/clip.json", name);
    char *const file = str_format("out/%s/clip.mp4", name);
    char hex[DIGEST_HEX];

    assert_int_equal(digest_bytes("video", 5, hex), ST_OK);
    char *const text =
        str_format("{\"identity\": {\"task_id\": \"%s\", \"numerics_id\": \"abc\"}, \"files\": "
                   "[{\"name\": \"clip.mp4\", \"bytes\": 5, \"sha256\": \"%s\"}]}\n",
                   task_id, hex);
    assert_int_equal(dir_make(dir), ST_OK);
    write_file(record, text);
    write_file(file, "video");
    free(dir);
    free(record);
    free(file);
    free(text);
}

static void skipped(void **state)
{
    static const char *const jobs[] = { JOB("k", CLIP "sweep: {axes: {seed: {range: 0-1}}}\n") };
    static const char *const version[] = {
        "render: 1\nname: v\nprompt: sea\nmodel: one.yaml\n" CLIP
        "output: {dir: out, name: k-00000, on_exists: version}\n"
    };
    static const char *const error[] = { "render: 1\nname: v\nprompt: sea\nmodel: one.yaml\n" CLIP
                                         "output: {dir: out, name: k-00000, on_exists: error}\n" };
    struct work_list *l;
    struct work_item item;

    (void)state;
    assert_int_equal(open_jobs(&l, jobs, 1), ST_OK);
    struct work_source s = work_list_source(l);
    expect_clip(&s, NULL, "k-00000", &item);
    finish_clip("k-00000", item.clip->task_id);
    work_list_close(&l);

    assert_int_equal(open_jobs(&l, jobs, 1), ST_OK);
    s = work_list_source(l);
    assert_int_equal(work_list_counts(l).skipped, 1);
    assert_int_equal(work_list_counts(l).clips, 1);
    expect_clip(&s, NULL, "k-00001", &item);
    work_list_close(&l);

    assert_int_equal(open_jobs(&l, version, 1), ST_OK);
    s = work_list_source(l);
    assert_int_equal(next_of(&s, NULL, &item), WORK_CLIP);
    assert_non_null(strstr(item.clip->dir, "/out/k-00000-v2"));
    work_list_close(&l);

    assert_int_equal(open_jobs(&l, error, 1), ST_FORMAT);
    assert_null(l);
    assert_non_null(strstr(error_last()->msg, "out/k-00000: already exists, and output."));

    work_list_close(&l);
    finish_clip("k-00001", "another");
    assert_int_equal(open_jobs(&l, jobs, 1), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "out/k-00001: exists and is not this clip"));
}

/* A finished clip that has lost a file, or had it changed, is set aside and made again. */
static void damaged(void **state)
{
    static const char *const jobs[] = { JOB("d", CLIP) };
    static const struct {
        const char *text; /* of its file; NULL: none */
        bool verify, again;
    } cases[] = {
        { "video", false, false },    { "", false, true },        { NULL, false, true },
        { "vid\x05o", false, false }, { "vid\x05o", true, true }, { "video", true, false }
    };
    struct work_list *l;
    struct work_item item;
    int aside = 0;

    (void)state;
    assert_int_equal(open_jobs(&l, jobs, 1), ST_OK);
    struct work_source s = work_list_source(l);
    expect_clip(&s, NULL, "d", &item);
    char *const task = str_format("%s", item.clip->task_id);
    work_list_close(&l);
    for (int i = 0; i < COUNT_OF(cases); i++) {
        finish_clip("d", task);
        write_file("out/d/clip.mp4", cases[i].text ? cases[i].text : "");
        char *const file = path_of("out/d/clip.mp4"), *const dir = path_of("out/d");
        if (!cases[i].text) assert_int_equal(dir_remove(file), ST_OK);
        options.verify = cases[i].verify;
        assert_int_equal(open_jobs(&l, jobs, 1), ST_OK);
        options.verify = false;
        assert_int_equal(work_list_counts(l).skipped, !cases[i].again);
        s = work_list_source(l);
        assert_true(path_exists(dir));
        if (cases[i].again) {
            char *const kept = str_format("%s.damaged-%d", dir, ++aside);
            expect_clip(&s, NULL, "d", &item);
            assert_false(path_exists(dir));
            assert_true(path_exists(kept));
            free(kept);
        } else assert_int_equal(next_of(&s, NULL, &item), WORK_END);
        work_list_close(&l);
        free(file);
        free(dir);
    }
    free(task);
}

/* Two lists of one folder, as two renders have them: no clip is handed over twice; what appears
 * meanwhile is skipped if it is this clip, and refused if not; versions get a name each. */
static void claimed(void **state)
{
    static const char *const jobs[] = { JOB("c", CLIP "sweep: {axes: {seed: {range: 0-3}}}\n") };
    static const char *const version[] = { "render: 1\nname: w\nprompt: sea\nmodel: one.yaml\n" CLIP
                                           "output: {dir: out, name: w, on_exists: version}\n" };
    struct work_list *a, *b;
    struct work_item x, y;

    (void)state;
    assert_int_equal(open_jobs(&a, jobs, 1), ST_OK);
    struct work_source const first = work_list_source(a);
    for (int i = 0; i < 3; i++) assert_int_equal(next_of(&first, NULL, &x), WORK_CLIP);
    char *const task = str_format("%s", x.clip->task_id);
    work_list_close(&a);
    assert_int_equal(open_jobs(&a, jobs, 1), ST_OK);
    assert_int_equal(open_jobs(&b, jobs, 1), ST_OK);
    struct work_source const of_a = work_list_source(a), of_b = work_list_source(b);
    expect_clip(&of_a, NULL, "c-00000", &x);
    char *const claim = path_of("out/.attempts/c-00000.claim");
    assert_true(path_exists(claim));
    expect_clip(&of_b, NULL, "c-00001", &y);
    struct work_failure const f = work_list_failure(b, 0);
    assert_string_equal(f.clip->name, "c-00000");
    assert_non_null(strstr(f.why, "in work by process "));
    finish_clip("c-00002", task);
    finish_clip("c-00003", "another");
    of_a.ops->done(of_a.arg, x.ticket);
    assert_false(path_exists(claim));
    assert_int_equal(next_of(&of_a, NULL, &x), WORK_END);
    assert_int_equal(work_list_counts(a).skipped, 1);
    assert_int_equal(work_list_counts(a).failed, 2);
    assert_non_null(strstr(work_list_failure(a, 1).why, "exists and is not this clip"));
    work_list_close(&b);
    work_list_close(&a);

    assert_int_equal(open_jobs(&a, version, 1), ST_OK);
    assert_int_equal(open_jobs(&b, version, 1), ST_OK);
    struct work_source const v_a = work_list_source(a), v_b = work_list_source(b);
    assert_int_equal(next_of(&v_a, NULL, &x), WORK_CLIP);
    assert_int_equal(next_of(&v_b, NULL, &y), WORK_CLIP);
    assert_non_null(strstr(x.clip->dir, "/out/w"));
    assert_non_null(strstr(y.clip->dir, "/out/w-v2"));
    work_list_close(&b);
    work_list_close(&a);
    free(claim);
    free(task);
}

/* One bad job among good ones ends all, and so do two clips in one folder. */
static void refused(void **state)
{
    static const char *const bad[] = { JOB("m", CLIP), JOB("n", "clip: {lenght: 2s}\n"),
                                       JOB("o", CLIP) };
    static const char *const twice[] = { JOB("p", CLIP), JOB("p", CLIP) };
    static const char *const cased[] = {
        "render: 1\nname: r\nprompt: sea\nmodel: one.yaml\noutput: {dir: out, name: Rome}\n" CLIP,
        "render: 1\nname: s\nprompt: sea\nmodel: one.yaml\noutput: {dir: out, name: rome}\n" CLIP
    };
    static const char *const none[] = { JOB("q", CLIP "labels: {a: b}\n") };
    struct work_list *l;
    struct work_item item;

    (void)state;
    assert_int_equal(open_jobs(&l, bad, COUNT_OF(bad)), ST_FORMAT);
    assert_null(l);
    assert_non_null(strstr(error_last()->msg, "job-1.yaml:6:8: clip.lenght: unknown key"));
    assert_int_equal(open_jobs(&l, twice, COUNT_OF(twice)), ST_FORMAT);
    assert_non_null(
        strstr(error_last()->msg, "out/p: two clips of these jobs would have this folder"));
    assert_int_equal(open_jobs(&l, cased, COUNT_OF(cased)), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "would have this folder, but for the name's case"));

    assert_int_equal(open_jobs(&l, none, 0), ST_OK);
    struct work_source const s = work_list_source(l);
    assert_int_equal(next_of(&s, NULL, &item), WORK_END);
    work_list_close(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_by_priority),
        cmocka_unit_test(asked_numerics),
        cmocka_unit_test(edited_cards),
        cmocka_unit_test(outlook),
        cmocka_unit_test(done_and_failed),
        cmocka_unit_test(skipped),
        cmocka_unit_test(damaged),
        cmocka_unit_test(claimed),
        cmocka_unit_test(refused),
    };
    return cmocka_run_group_tests_name("unit_work_list", tests, make_folder, remove_folder);
}
