/* unit_sweep.c - axes, how they combine, and the clips that come of it. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "jobs/spec/clip.h"
#include "jobs/spec/spec_internal.h"

#define JOB "render: 1\nname: a\nmodel: m\nclip: {length: 1s}\n" /* four lines */

static struct card const card = { .name = "tiny", .frames_per_block = 3 };

/* "" or the message. `names` gets the clips' names, each with a blank behind it. */
static const char *expand(const char *text, struct strbuf *names)
{
    struct job_file f;
    struct clip_list l = { 0 };

    error_clear();
    status st = job_parse(&f, text, strlen(text), "j");
    if (st == ST_OK) st = clip_expand(&l, &f.job[0], &card, &(struct clip_options){ 0 });
    for (int i = 0; names && i < l.count; i++) strbuf_addf(names, "%s ", l.clip[i].name);
    clip_free(&l);
    job_close(&f);
    return st == ST_OK ? "" : error_last()->msg;
}

static void combinations(void **state)
{
    static const struct {
        const char *combine, *want;
    } rows[] = {
        { "", "1px 1py 1qx 1qy 2px 2py 2qx 2qy " },
        { "combine: c * b * seed", "1px 2px 1qx 2qx 1py 2py 1qy 2qy " },
        { "combine: (seed, b, c)", "1px 2qy " },
        { "combine: \"(seed, b) * c\"", "1px 1py 2qx 2qy " },
        { "combine: c*(seed,b)", "1px 2qx 1py 2qy " },
        { "combine: \" ( seed , ( b , c ) ) \"", "1px 2qy " },
        { "combine: ((seed)) * b * c", "1px 1py 1qx 1qy 2px 2py 2qx 2qy " },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf names = { 0 };
        char *const text =
            str_format(JOB "prompt: x\noutput: {name: '{seed}{b}{c}'}\n"
                           "sweep:\n"
                           "  axes: {seed: {range: 1-2}, b: {list: [p, q]}, c: {list: "
                           "[x, y]}}\n  %s\n",
                       rows[i].combine);
        assert_string_equal(expand(text, &names), "");
        assert_string_equal(names.s, rows[i].want);
        strbuf_free(&names);
        free(text);
    }
}

static void default_names(void **state)
{
    struct strbuf names = { 0 };

    (void)state;
    assert_string_equal(expand(JOB "prompt: '{c}'\nsweep: {axes: {c: {list: [x, y]}}}\n", &names),
                        "");
    assert_string_equal(names.s, "a-00000 a-00001 ");
    strbuf_free(&names);
}

static void refused_sweeps(void **state)
{
    static const struct {
        const char *sweep, *want;
    } rows[] = {
        { "{}", "j:6:8: sweep: axes is missing" },
        { "{axes: {}}", "j:6:15: sweep.axes: found a map; allowed: a map of 1 to 16 axes" },
        { "{axes: {seed: {}}}",
          "j:6:22: sweep.axes.seed: found 0 sources of values; allowed: exactly one "
          "of range, list, file" },
        { "{axes: {seed: {range: 1-2, list: [3]}}}",
          "j:6:22: sweep.axes.seed: found 2 sources of "
          "values; allowed: exactly one of range, list, file" },
        { "{axes: {seed: {list: []}}}",
          "j:6:29: sweep.axes.seed.list: found a list; allowed: a list of at least one value" },
        { "{axes: {seed: {list: [1, [2]]}}}",
          "j:6:33: sweep.axes.seed.list[1]: found a list; allowed: "
          "text of 1 to 16384 bytes" },
        { "{axes: {seed: {list: [1, b]}}}",
          "j:6:22: sweep.axes.seed: found \"b\"; allowed: whole numbers below 2^64" },
        { "{axes: {size: {list: [832x480]}}}",
          "j:6:16: sweep.axes.size: an axis over size is not "
          "supported by this version; allowed: seed, or a name of "
          "your own used as {name}" },
        { "{axes: {Seed: {range: 1}}}",
          "j:6:16: sweep.axes.Seed: allowed as the name of an axis: 1 to 32 characters a-z 0-9 _" },
        { "{axes: {place: {list: [x]}}}",
          "j:6:16: sweep.axes.place: the axis changes nothing; allowed: {place} in a prompt, in "
          "start or in output.name" },
        { "{axes: {seed: {file: f.jsonl}}}",
          "j:6:22: sweep.axes.seed: file and field belong together; "
          "allowed: {file: NAME, field: NAME}" },
        { "{axes: {seed: {file: f.txt, field: a}}}",
          "j:6:29: sweep.axes.seed.file: found \"f.txt\"; "
          "allowed: a file whose name ends in .jsonl or .csv" },
        { "{axes: {seed: {range: 1, limit: 3}}}",
          "j:6:22: sweep.axes.seed: limit belongs to file; allowed: remove it" },
        { "{axes: {seed: {file: /nowhere/f.jsonl, field: a}}}",
          "/nowhere/f.jsonl: No such file or directory" },
        { "{axes: {seed: {range: 0-9}}, max_clips: 9}",
          "j:6:8: sweep: found 10 clips; allowed: 9 (sweep.max_clips)" },
        { "{axes: {seed: {range: 0-9}}, max_clips: 200001}",
          "j:6:48: sweep.max_clips: found \"200001\"; allowed: a whole number from 1 to 200000" },
        { "{axes: {seed: {range: 0-200000}}}",
          "j:6:30: sweep.axes.seed.range: found more than 200000 values; allowed: 200000" },
        { "{axes: {seed: {range: 0-18446744073709551615}}}",
          "j:6:30: sweep.axes.seed.range: found more than 200000 values; allowed: 200000" },
        { "{axes: {seed: {list: [7, 7]}}, combine: seed}", "" },
        { "{axes: {seed: {range: 0-199998}, b: {list: [x, y]}}, combine: seed}",
          "j:6:44: sweep.axes.b: found more than 200000 values in all axes; allowed: 200000" },
        { "{axes: {seed: {range: 1-3}}, combine: seeds}",
          "j:6:46: sweep.combine: found \"seeds\"; allowed: the name of an axis, or ( , )" },
        { "{axes: {seed: {range: 1-3}}, combine: seed seed}",
          "j:6:46: sweep.combine: found \"seed\"; allowed: * or the end" },
        { "{axes: {seed: {range: 1-3}}, combine: seed * seed}",
          "j:6:46: sweep.combine: the axis seed is used twice; allowed: once" },
        { "{axes: {seed: {range: 1-3}}, combine: 'seed *'}",
          "j:6:46: sweep.combine: found the end; allowed: the name of an axis, or ( , )" },
        { "{axes: {seed: {range: 1-3}}, combine: (seed}",
          "j:6:46: sweep.combine: found the end; allowed: * , or )" },
        { "{axes: {seed: {range: 1-3}}, combine: ((((((((seed))))))))}", "" },
        { "{axes: {seed: {range: 1-3}}, combine: (((((((((seed)))))))))}",
          "j:6:46: sweep.combine: found more than 8 brackets inside one another; allowed: 8" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char *const text = str_format(JOB "prompt: x\nsweep: %s\n", rows[i].sweep);
        assert_string_equal(expand(text, NULL), rows[i].want);
        free(text);
    }
    assert_string_equal(
        expand(JOB "prompt: x\nsweep: {axes: {seed: {range: 1-2}, b: {list: [x, y, z]}}, "
                   "combine: '(seed, b)'}\noutput: {name: '{b}'}\n",
               NULL),
        "j:6:68: sweep.combine: ( , ) walks side by side over 2 and 3 values; allowed: "
        "equal numbers");
    assert_string_equal(
        expand(JOB "prompt: x\nsweep: {axes: {seed: {range: 1-2}, b: {list: [x]}}, combine: "
                   "seed}\noutput: {name: '{b}'}\n",
               NULL),
        "j:6:62: sweep.combine: the axis b is missing; allowed: every axis once");
    assert_string_equal(
        expand(JOB "prompt: x\nsweep: {axes: {seed: {range: 1-3}, b: {list: ['p q', p-q]}}}\n"
                   "output: {name: '{b}-{seed}'}\n",
               NULL),
        "j:7:16: output.name: clips 0 and 1 are both called \"p-q-1\"; allowed: names of "
        "their own, as with {index}");
    assert_string_equal(
        expand(JOB "prompt: x\nsweep: {axes: {b: {list: [Lisbon, Rome, lisbon]}}}\n"
                   "output: {name: '{b}'}\n",
               NULL),
        "j:7:16: output.name: clips 0 and 2 are both called \"lisbon\" but for its case; allowed: "
        "names of their own, as with {index}");
    assert_string_equal(
        expand(JOB "prompt: '{b}'\nsweep: {axes: {seed: {range: 1-1000}, b: {range: 1-1000}}}\n",
               NULL),
        "j:6:8: sweep: found more than 200000 clips; allowed: 200000");
}

/* 1000 clips of 400 prompts of some kilobytes are refused, not allocated. */
static void budget(void **state)
{
    struct strbuf t = { 0 };

    (void)state;
    strbuf_addf(&t, "render: 1\nname: a\nmodel: m\nclip: {length: 1h}\nprompts:\n");
    for (int i = 0; i < 400; i++) strbuf_addf(&t, "- {at: %ds, text: '{b}{b}{b}{b}'}\n", i);
    strbuf_addf(&t, "sweep: {axes: {seed: {range: 1-1000}, b: {list: [%01000d]}}}\n", 0);
    assert_string_equal(expand(t.s, NULL),
                        "j:1:1: all clips together take more than 512 MiB; allowed: "
                        "fewer clips or shorter prompts in one job");
    strbuf_free(&t);
}

static void ranges(void **state)
{
    static const struct {
        const char *range, *want; /* NULL: refused */
    } rows[] = {
        { "5", "5 " },
        { "0-3", "0 1 2 3 " },
        { "0-70:35", "0 35 70 " },
        { "0-69:35", "0 35 " },
        { "1-3,8,10-14:2", "1 2 3 8 10 12 14 " },
        { "18446744073709551614-18446744073709551615",
          "18446744073709551614 18446744073709551615 " },
        { "0-18446744073709551615:18446744073709551615", "0 18446744073709551615 " },
        { "3-1", NULL },
        { "1-3,3", NULL },
        { "1-3,2-4", NULL },
        { "0-4:2,4", NULL },
        { "5,1", NULL },
        { "1-", NULL },
        { "-1", NULL },
        { "1-2-3", NULL },
        { "1-5:0", NULL },
        { "5:2", NULL },
        { "1,", NULL },
        { ",1", NULL },
        { "1 - 3", NULL },
        { "01", NULL },
        { "0-18446744073709551616", NULL },
        { "a", NULL },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        char *const text = str_format("x: {range: \"%s\"}\n", rows[i].range);
        struct strbuf got = { 0 };
        struct axis a;
        struct tree *t;
        assert_int_equal(tree_parse(&t, text, strlen(text), "f"), ST_OK);
        assert_int_equal(axis_read(&a, t->doc[0]->first, "."), rows[i].want ? ST_OK : ST_FORMAT);
        if (!rows[i].want) {
            char *const want =
                str_format("f:1:12: x.range: found \"%s\"; allowed: whole numbers such as "
                           "\"0-7\", \"0-70:10\", \"1-3,8\", rising, no overlap",
                           rows[i].range);
            assert_string_equal(error_last()->msg, want);
            free(want);
        }
        if (rows[i].want) assert_int_equal(axis_load(&a), ST_OK);
        for (int v = 0; v < a.count; v++) strbuf_addf(&got, "%s ", a.value[v]);
        if (rows[i].want) assert_string_equal(got.s, rows[i].want);
        strbuf_free(&got);
        axis_free(&a);
        tree_close(&t);
        free(text);
    }
}

static void value_files(void **state)
{
    static const struct {
        const char *path, *text, *want; /* values, or the message */
        int limit;                      /* negative: the job's own */
    } rows[] = {
        { "f.jsonl", "{\"t\": \"a b\"}\n\n{\"t\": 7, \"u\": []}\r\n", "a b|7|", 9 },
        { "f.jsonl", "\xef\xbb\xbf{\"t\": \"a\"}", "a|", 9 },
        { "f.jsonl", "{\"t\": \"a\"}\n{\"t\": \"b\"}\nrubbish", "a|b|", -2 },
        { "f.jsonl", "{\"t\": \"a\"}\n{\"u\": 1}\n",
          "f.jsonl:2: t: found nothing; allowed: a string or a whole number", 9 },
        { "f.jsonl", "{\"t\": 1.5}\n",
          "f.jsonl:1: t: found another type; allowed: a string or a whole number", 9 },
        { "f.jsonl", "[1]\n", "f.jsonl:1: found no JSON object; allowed: {\"t\": ...}", 9 },
        { "f.jsonl", "{\"t\": 1,}\n", "f.jsonl:1: not JSON: string or '}' expected near '}'", 9 },
        { "f.jsonl", "{\"t\": 1, \"t\": 2}\n",
          "f.jsonl:1: not JSON: duplicate object key near '\"t\"'", 9 },
        { "f.jsonl", "{\"t\": \"\"}\n", "f.jsonl:1: t: found 0 bytes; allowed: 1 to 16384", 9 },
        /* What is not asked for may be anything that programs write. */
        { "f.jsonl", "{\"t\": \"NaN 1e9\", \"u\": NaN, \"v\": [-Infinity, {\"w\": Infinity}]}",
          "NaN 1e9|", 9 },
        { "f.jsonl", "{\"t\": \"a\", \"u\": 1e999, \"v\": -123456789012345678901234567890}", "a|",
          9 },
        { "f.jsonl", "{\"t\": \"a\", \"u\": \"\\u0000 \\\\\", \"v\": NaN}", "a|", 9 },
        { "f.jsonl", "{\"t\": 123456789012345678901234567890}", "123456789012345678901234567890|",
          9 },
        { "f.jsonl", "{\"t\": NaN}",
          "f.jsonl:1: t: found another type; allowed: a string or a whole number", 9 },
        { "f.jsonl", "{\"t\": \"a\", \"u\": nan}", "f.jsonl:1: not JSON: invalid token near 'nan'",
          9 },
        /* What the cleaning of prompts takes out. */
        { "f.jsonl", "{\"t\": \"\\ufeffa\\u0001 \\u0000\\u001b[31;1mred\\u001b[0m\\u007f\"}",
          "a red|", 9 },
        { "f.jsonl", "{\"t\": \"it\\u0092s\"}", "it\xc2\x92s|", 9 },
        { "f.jsonl", "{\"t\": \"\\ufeff\"}\n", "f.jsonl:1: t: found 0 bytes; allowed: 1 to 16384",
          9 },
        { "f.csv", "t\n\x1b[0ma\x01\n", "a|", 9 },
        { "f.csv", "t\na\xef\xbf\xbe\n", "f.csv:2: t: found a byte 0xef; allowed: printable UTF-8",
          9 },
        /* All values or a limit of one's own. */
        { "f.jsonl", "{\"t\": 1}\n{\"t\": 2}\n{\"t\": 3}\n", "1|2|3|", 3 },
        { "f.jsonl", "{\"t\": 1}\n{\"t\": 2}\n{\"t\": 3}\n{\"t\": 4}\n",
          "f.jsonl: found 4 values; allowed: 2, or a limit that takes the first", 2 },
        { "f.jsonl", "{\"t\": 1}\n{\"t\": 2}\n{\"t\": 3}\nrubbish",
          "f.jsonl:4: not JSON: '[' or '{' expected near 'rubbish'", 2 },
        { "f.csv", "t\n1\n2\n3\n",
          "f.csv: found 3 values; allowed: 2, or a limit that takes the first", 2 },
        { "f.csv", "t\n1\n2\n3\n", "1|2|", -2 },
        /* Rows of nothing; two columns of one name. */
        { "f.csv", "t,u\na,1\n\n,\r\n\r\nb,2\n\n", "a|b|", 9 },
        { "f.csv", "t,u\na,1\n\nb\n", "f.csv:4: found 1 cells; allowed: 2 as in the head", 9 },
        { "f.csv", "t\n\na\n,", "a|", 9 },
        { "f.csv", "u,u,t\n1,2,a\n", "a|", 9 },
        { "f.csv", "t,u,t\na,1,b\n", "f.csv:1: two columns \"t\" in the head; allowed: one", 9 },
        { "f.jsonl", "", "f.jsonl: found no values", 9 },
        { "f.csv", "t,u\na,1\n\"b, \"\"c\"\"\nd\",2\r\n", "a|b, \"c\"\nd|", 9 },
        { "f.csv", "u,t\r\n1,a\r\n2,b", "a|b|", 9 },
        { "f.csv", "u,t\n1,a\n2,b\n", "a|", -1 },
        { "f.csv", "u,v\n1,a\n", "f.csv:1: no column \"t\" in the head", 9 },
        { "f.csv", "t,u\na\n", "f.csv:2: found 1 cells; allowed: 2 as in the head", 9 },
        { "f.csv", "t,u\na,b,c\n", "f.csv:2: found 3 cells; allowed: 2 as in the head", 9 },
        { "f.csv", "t,u\n\"a\nb\",1\n,2\n", "f.csv:4: t: found 0 bytes; allowed: 1 to 16384", 9 },
        { "f.csv", "t\n\"a\n", "f.csv:2: a double quote is not closed", 9 },
        { "f.csv", "t\n\"a\"b\n",
          "f.csv:2: text follows a closed double quote; allowed: a comma or the line's end", 9 },
        { "f.csv", "t\n\xff\n", "f.csv:2: t: found a byte 0xff; allowed: printable UTF-8", 9 },
        { "f.csv", "t\n", "f.csv: found no values", 9 },
        { "f.csv", "", "f.csv:1: no column \"t\" in the head", 9 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct axis a = { .name = "x",
                          .path = str_format("%s", rows[i].path),
                          .field = "t",
                          .limited = rows[i].limit < 0,
                          .limit = abs(rows[i].limit) };
        struct strbuf got = { 0 };
        if (axis_parse(&a, rows[i].text, strlen(rows[i].text)) == ST_OK)
            for (int v = 0; v < a.count; v++) strbuf_addf(&got, "%s|", a.value[v]);
        else strbuf_addf(&got, "%s", error_last()->msg);
        assert_string_equal(got.s, rows[i].want);
        strbuf_free(&got);
        axis_free(&a);
    }
}

static void values_from_disk(void **state)
{
    char dir[] = "/tmp/unit_sweep.XXXXXX";
    struct strbuf names = { 0 };
    struct job_file f;
    struct clip_list l;

    (void)state;
    assert_non_null(mkdtemp(dir));
    char *const job = path_join(dir, "j.yaml"), *const values = path_join(dir, "p.csv");
    static const char text[] =
        JOB "prompt: '{caption}'\nsweep: {axes: {caption: {file: p.csv, field: c, limit: 2}}}\n";
    assert_int_equal(file_write(job, text, sizeof text - 1), ST_OK);
    assert_int_equal(file_write(values, "c\nsea\nhills\nmore\n", 17), ST_OK);
    assert_int_equal(job_load(&f, job), ST_OK);
    assert_int_equal(clip_expand(&l, &f.job[0], &card, &(struct clip_options){ 0 }), ST_OK);
    for (int i = 0; i < l.count; i++) strbuf_addf(&names, "%s ", l.clip[i].prompt[0].text);
    assert_string_equal(names.s, "sea hills ");
    strbuf_free(&names);
    clip_free(&l);
    job_close(&f);
    assert_int_equal(dir_remove(dir), ST_OK);
    free(values);
    free(job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(combinations),     cmocka_unit_test(default_names),
        cmocka_unit_test(refused_sweeps),   cmocka_unit_test(budget),
        cmocka_unit_test(ranges),           cmocka_unit_test(value_files),
        cmocka_unit_test(values_from_disk),
    };
    return cmocka_run_group_tests_name("unit_sweep", tests, NULL, NULL);
}
