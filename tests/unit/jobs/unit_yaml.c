/* unit_yaml.c - YAML texts as trees, and the values people write in them. */
#include "tests/support/unit.h"

#include "base/strbuf.h"
#include "jobs/spec/spec_internal.h"
#include "jobs/yaml/duration.h"
#include "jobs/yaml/yaml_schema.h"
#include "jobs/yaml/yaml_value.h"

/* Parse `text` as f.yaml; the message when it fails, else "". */
static const char *message(const char *text, size_t len)
{
    struct tree *t;

    error_clear();
    if (tree_parse(&t, text, len, "f.yaml") == ST_OK) tree_close(&t);
    assert_null(t);
    return error_last()->msg;
}

static void refused_texts(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {
        { "", "f.yaml:1:1: found nothing" },
        { "# only a remark\n", "f.yaml:1:1: found nothing" },
        { "a: 1\na: 2\n", "f.yaml:2:1: key \"a\" is given twice; first in line 1" },
        { "{a: 1, b: 2, a: 3}", "f.yaml:1:14: key \"a\" is given twice; first in line 1" },
        { "a: &x 1\n", "f.yaml:1:4: found an anchor; allowed: the value itself" },
        { "a: *x\n", "f.yaml:1:4: found an alias; allowed: the value itself" },
        { "a: !!str 1\n", "f.yaml:1:4: found a tag; allowed: the value itself" },
        { "a: ! 1\n", "f.yaml:1:4: found a tag; allowed: the value itself" },
        { "a: &x [1]\n", "f.yaml:1:4: found an anchor; allowed: the value itself" },
        { "a: !!map {b: 1}\n", "f.yaml:1:4: found a tag; allowed: the value itself" },
        { "a:\n\tb: 1\n",
          "f.yaml:2:1: found a tab; allowed: blanks (and \\t between double quotes)" },
        { "a: 1\t# x\n",
          "f.yaml:1:5: found a tab; allowed: blanks (and \\t between double quotes)" },
        { "a: \xff\n", "f.yaml:1:4: found the byte 0xff; allowed: UTF-8 text" },
        { "a: \xc3\xa4\xc3\n", "f.yaml:1:5: found the byte 0xc3; allowed: UTF-8 text" },
        { "a: \xed\xa0\x80\n", "f.yaml:1:4: found the byte 0xed; allowed: UTF-8 text" },
        { "a: \xc0\x80\n", "f.yaml:1:4: found the byte 0xc0; allowed: UTF-8 text" },
        { "a: b\x01\n", "f.yaml:1:5: found a control character; allowed: printable text" },
        { "a: \x7f\n", "f.yaml:1:4: found a control character; allowed: printable text" },
        { "a: \"\\0\"\n",
          "f.yaml:1:4: found an escape for a control character; allowed: \\n and \\t" },
        { "a: \"\\e[1m\"\n",
          "f.yaml:1:4: found an escape for a control character; allowed: \\n and \\t" },
        { "[a]: 1\n", "f.yaml:1:1: found a list or map as a key; allowed: a word" },
        { "'': 1\n", "f.yaml:1:1: found a key that is not text; allowed: a word before the colon" },
        { "a: [1, 2\n", "f.yaml:2:1: not YAML: did not find expected ',' or ']'" },
        { "a: b: c\n", "f.yaml:1:5: not YAML: mapping values are not allowed in this context" },
        { "a: \"x\n", "f.yaml:2:1: not YAML: found unexpected end of stream" },
        { "a: 1\n b: 2\n", "f.yaml:2:3: not YAML: mapping values are not allowed in this context" },
        { "%YAML 3.0\n---\na: 1\n", "f.yaml:1:1: not YAML: found incompatible YAML document" },
        { "[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]",
          "f.yaml:1:17: found more than 16 levels of nesting; allowed: 16" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++)
        assert_string_equal(message(rows[i].text, strlen(rows[i].text)), rows[i].want);
    assert_string_equal(message("a: x\0y\n", 7),
                        "f.yaml:1:5: found a control character; allowed: printable text");
}

static void limits(void **state)
{
    struct strbuf t = { 0 };

    (void)state;
    for (int i = 0; i <= TREE_KEYS; i++) strbuf_addf(&t, "k%d: 1\n", i);
    assert_string_equal(message(t.s, t.len),
                        "f.yaml:257:1: found more than 256 keys in a map; allowed: 256");
    strbuf_free(&t);

    strbuf_addf(&t, "[");
    for (int i = 0; i < TREE_NODES; i++) strbuf_addf(&t, "a,");
    strbuf_addf(&t, "]");
    assert_string_equal(message(t.s, t.len),
                        "f.yaml:1:400000: found more than 200000 values; allowed: 200000");
    strbuf_free(&t);

    for (int i = 0; i <= TREE_DOCS; i++) strbuf_addf(&t, "---\na: 1\n");
    assert_string_equal(message(t.s, t.len),
                        "f.yaml:34:1: found more than 16 documents; allowed: 16");
    strbuf_free(&t);

    for (int i = 0; i <= TREE_BYTES / 16; i++) strbuf_addf(&t, "# 3456789 12345\n");
    assert_string_equal(message(t.s, t.len), "f.yaml: found 1048592 bytes; allowed: 1048576");
    strbuf_free(&t);
}

static void trees(void **state)
{
    static const char text[] = "\xef\xbb\xbf"
                               "a: no\n"
                               "b:\n"
                               "  - 0123\n"
                               "  - {c: \"x\\ty\", d: }\n"
                               "---\n"
                               "e: |\n"
                               "  two\n"
                               "  lines\n";
    struct tree *t;

    (void)state;
    assert_int_equal(tree_parse(&t, text, sizeof text - 1, "f.yaml"), ST_OK);
    assert_int_equal(t->docs, 2);
    const struct tree_node *const a = tree_find(t->doc[0], "a"), *const b =
                                                                     tree_find(t->doc[0], "b");
    assert_string_equal(a->text, "no");
    assert_int_equal(a->line, 1);
    assert_int_equal(a->column, 4);
    assert_int_equal(b->kind, TREE_LIST);
    assert_int_equal(b->count, 2);
    assert_string_equal(b->first->text, "0123");
    const struct tree_node *const c = tree_find(b->last, "c");
    assert_string_equal(c->text, "x\ty");
    assert_int_equal(c->key_line, 4);
    assert_int_equal(c->key_column, 6);
    assert_string_equal(tree_find(b->last, "d")->text, "");
    assert_null(tree_find(t->doc[0], "e"));
    assert_null(tree_find(a, "e"));
    assert_string_equal(tree_find(t->doc[1], "e")->text, "two\nlines\n");

    tree_refuse(c, "z");
    assert_string_equal(error_last()->msg, "f.yaml:4:9: b[1].c: found \"x y\"; allowed: z");
    tree_refuse(b->last, "z");
    assert_string_equal(error_last()->msg, "f.yaml:4:5: b[1]: found a map; allowed: z");
    tree_refuse(tree_find(b->last, "d"), "z");
    assert_string_equal(error_last()->msg, "f.yaml:4:20: b[1].d: found nothing; allowed: z");
    tree_fail_key(c, "%d", 7);
    assert_string_equal(error_last()->msg, "f.yaml:4:6: b[1].c: 7");
    tree_close(&t);
    tree_close(&t);
}

/* The text of f in document i of `text`. */
static void expect_f(const char *text, int docs, int i, const char *want)
{
    struct tree *t;

    assert_int_equal(tree_parse(&t, text, strlen(text), "f.yaml"), ST_OK);
    assert_int_equal(t->docs, docs);
    assert_string_equal(tree_find(t->doc[i], "f")->text, want);
    tree_close(&t);
}

/* What other programs write. */
static void other_writers(void **state)
{
    static const char cat[] = "a cat \xf0\x9f\x98\x80!";

    (void)state;
    expect_f("{\"f\":\"a cat \\ud83d\\ude00!\"}", 1, 0, cat);
    expect_f(
        "{\n  \"\\uD83D\\uDE00\" : [\"\\ud83d\\ude00\\\"\"],\n  \"f\": \"a cat \\uD83D\\uDE00!\"\n}",
        1, 0, cat);
    expect_f("{\"f\":\"\\\\ud83d\\\\ude00\"}", 1, 0, "\\ud83d\\ude00");
    expect_f("f: |\n  \\ud83d\\ude00\n", 1, 0, "\\ud83d\\ude00\n");
    expect_f("{\"g\": '\\ud83d\\ude00', \"f\": \\ud83d\\ude00}", 1, 0, "\\ud83d\\ude00");
    assert_string_equal(message("{\"f\":\"\\ud83d\"}", 14),
                        "f.yaml:1:9: not YAML: found invalid Unicode character escape code");
    /* What stands behind keeps its column. */
    assert_string_equal(message("{\"g\":\"\\ud83d\\ude00\",\"f\":1,\"f\":2}", 32),
                        "f.yaml:1:27: key \"f\" is given twice; first in line 1");

    expect_f("f: x\n---\n", 1, 0, "x");
    expect_f("---\nf: x\n---\n# later\n--- # never\n...\n", 1, 0, "x");
    expect_f("# no job yet\n---\nf: x\n", 1, 0, "x");
    expect_f("\xef\xbb\xbf"
             "f: x\n---\n\xef\xbb\xbf"
             "f: y\ng: z\n",
             2, 1, "y");
    expect_f("f: x\n\xef\xbb\xbf---\n\xef\xbb\xbf# two\nf: y\n", 2, 1, "y");
    assert_string_equal(message("f: \xef\xbb\xbfx\n", 8),
                        "f.yaml:1:4: found a control character; allowed: printable text");
}

static void quotes(void **state)
{
    (void)state;
    assert_string_equal(tree_quote("").s, "\"\"");
    assert_string_equal(tree_quote("a\nb").s, "\"a b\"");
    assert_string_equal(tree_quote("\xc3").s, "\" \"");
    assert_string_equal(tree_quote("0123456789012345678901234567890123456789").s,
                        "\"0123456789012345678901234567890123456789\"");
    assert_string_equal(tree_quote("01234567890123456789012345678901234567890").s,
                        "\"0123456789012345678901234567890123456789...\"");
}

struct target {
    const char *text, *file;
    int number, word, picked;
    bool flag;
};

static void fields(void **state)
{
    static const struct field rows[] = {
        { .name = "text", .type = FIELD_TEXT, .to = offsetof(struct target, text), .max = 4 },
        { .name = "number",
          .type = FIELD_INT,
          .to = offsetof(struct target, number),
          .min = 2,
          .max = 9,
          .required = true },
        { .name = "flag", .type = FIELD_BOOL, .to = offsetof(struct target, flag) },
        { .name = "word",
          .type = FIELD_CHOICE,
          .to = offsetof(struct target, word),
          .allowed = "a|bc" },
        { .name = "later", .type = FIELD_REFUSED, .allowed = "wait" },
        { .name = "file",
          .type = FIELD_READ,
          .to = offsetof(struct target, file),
          .read = field_file_name },
    };
    static const struct field_table table = { "", rows, COUNT_OF(rows) };
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "number: 2\n", "" },
        { "{number: 9, text: no, flag: true, word: bc, file: a.b}", "" },
        { "number: 1\n", "f:1:9: number: found \"1\"; allowed: a whole number from 2 to 9" },
        { "number: 10\n", "f:1:9: number: found \"10\"; allowed: a whole number from 2 to 9" },
        { "number: 02\n", "f:1:9: number: found \"02\"; allowed: a whole number from 2 to 9" },
        { "number: -2\n", "f:1:9: number: found \"-2\"; allowed: a whole number from 2 to 9" },
        { "number: 0x2\n", "f:1:9: number: found \"0x2\"; allowed: a whole number from 2 to 9" },
        { "number: 4294967298\n",
          "f:1:9: number: found \"4294967298\"; allowed: a whole number from 2 to 9" },
        { "number: [2]\n", "f:1:9: number: found a list; allowed: a whole number from 2 to 9" },
        { "text: x\n", "f:1:1: number is missing" },
        { "{number: 2, text: abcde}",
          "f:1:19: text: found text of 5 bytes; allowed: text of 1 to 4 bytes" },
        { "{number: 2, text: ''}", "f:1:19: text: found nothing; allowed: text of 1 to 4 bytes" },
        { "{number: 2, flag: yes}", "f:1:19: flag: found \"yes\"; allowed: false|true" },
        { "{number: 2, word: b}", "f:1:19: word: found \"b\"; allowed: a|bc" },
        { "{number: 2, word: }", "f:1:19: word: found nothing; allowed: a|bc" },
        { "{number: 2, word: a|bc}", "f:1:19: word: found \"a|bc\"; allowed: a|bc" },
        { "{number: 2, later: 1}", "f:1:13: later: not supported by this version; wait" },
        { "{number: 2, file: ../x}",
          "f:1:19: file: found \"../x\"; allowed: a file name of 1 to 128 "
          "characters A-Z a-z 0-9 . _ -, no dot first" },
        { "{number: 2, file: .x}", "f:1:19: file: found \".x\"; allowed: a file name of 1 to 128 "
                                   "characters A-Z a-z 0-9 . _ -, no dot first" },
        { "{numbre: 2}",
          "f:1:2: numbre: unknown key (did you mean number?); allowed: text, number, "
          "flag, word, file" },
        { "{number: 2, zebra: 1}",
          "f:1:13: zebra: unknown key; allowed: text, number, flag, word, file" },
        { "[1]", "f:1:1: found a list; allowed: a map of keys" },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(cases); i++) {
        struct target to = { 0 };
        struct tree *t;
        error_clear();
        assert_int_equal(tree_parse(&t, cases[i].text, strlen(cases[i].text), "f"), ST_OK);
        status const st = field_read(t->doc[0], &table, &to);
        assert_string_equal(error_last()->msg, cases[i].want);
        assert_int_equal(st, cases[i].want[0] ? ST_FORMAT : ST_OK);
        if (i == 1) {
            assert_string_equal(to.text, "no");
            assert_string_equal(to.file, "a.b");
            assert_int_equal(to.number, 9);
            assert_int_equal(to.word, 1);
            assert_true(to.flag);
        }
        tree_close(&t);
    }
}

static void numbers(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t want;
    } whole[] = {
        { "0", true, 0 },    { "7", true, 7 },    { "18446744073709551615", true, UINT64_MAX },
        { "", false, 0 },    { "00", false, 0 },  { "18446744073709551616", false, 0 },
        { "+1", false, 0 },  { "-1", false, 0 },  { "99999999999999999999999", false, 0 },
        { " 1", false, 0 },  { "1 ", false, 0 },  { "0123", false, 0 },
        { "1e3", false, 0 }, { "0b1", false, 0 }, { "1_000", false, 0 },
    };
    static const struct {
        const char *text;
        bool ok;
        double want;
    } decimal[] = {
        { "5", true, 5 },    { "0.25", true, 0.25 }, { "999999999.999999999", true, 1e9 },
        { ".5", false, 0 },  { "5.", false, 0 },     { "1e3", false, 0 },
        { "nan", false, 0 }, { "inf", false, 0 },    { "1000000000", false, 0 },
        { "-1", false, 0 },  { "0x1p3", false, 0 },  { "1.0000000001", false, 0 },
    };
    uint64_t v;
    double d;

    (void)state;
    for (int i = 0; i < COUNT_OF(whole); i++) {
        v = 0;
        assert_int_equal(value_u64(whole[i].text, &v), whole[i].ok);
        assert_true(v == whole[i].want);
    }
    for (int i = 0; i < COUNT_OF(decimal); i++) {
        d = 0;
        assert_int_equal(value_decimal(decimal[i].text, &d), decimal[i].ok);
        assert_true(d >= decimal[i].want - 1e-8 && d <= decimal[i].want + 1e-8);
    }
}

static void sizes_and_rates(void **state)
{
    static const struct {
        const char *text;
        int width, height; /* 0: refused */
    } sizes[] = {
        { "832x480", 832, 480 },
        { "16x8192", 16, 8192 },
        { "830x480", 0, 0 },
        { "0x16", 0, 0 },
        { "8208x16", 0, 0 },
        { "832X480", 0, 0 },
        { "832", 0, 0 },
        { "832x480x3", 0, 0 },
        { "x480", 0, 0 },
        { "832 x 480", 0, 0 },
        { "18446744073709551632x16", 0, 0 },
    };
    static const struct {
        const char *text;
        int64_t num, den;
    } rates[] = {
        { "16", 16, 1 },
        { "24000/1001", 24000, 1001 },
        { "48/2", 24, 1 },
        { "1", 1, 1 },
        { "0", 0, 0 },
        { "240", 0, 0 },
        { "239999/1000", 239999, 1000 },
        { "1/2", 0, 0 },
        { "24/0", 0, 0 },
        { "23.976", 0, 0 },
        { "24/", 0, 0 },
        { "24/1/1", 0, 0 },
        { "1000001/10000", 0, 0 },
        { "nan", 0, 0 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(sizes); i++) {
        int w = 0, h = 0;
        assert_int_equal(value_size(sizes[i].text, &w, &h), sizes[i].width != 0);
        assert_int_equal(w, sizes[i].width);
        assert_int_equal(h, sizes[i].height);
    }
    for (int i = 0; i < COUNT_OF(rates); i++) {
        struct value_rate r = { 0 };
        assert_int_equal(value_rate(rates[i].text, &r), rates[i].num != 0);
        assert_int_equal(r.num, rates[i].num);
        assert_int_equal(r.den, rates[i].den);
    }
}

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t micros, pictures; /* -1: refused */
        const char *again;
    } rows[] = {
        { "90s", 90000000, 0, "90s" },
        { "1.5m", 90000000, 0, "90s" },
        { "2h", 7200000000, 0, "7200s" },
        { "24h", 86400000000, 0, "86400s" },
        { "0s", 0, 0, "0s" },
        { "0.000001s", 1, 0, "0.000001s" },
        { "0.50s", 500000, 0, "0.5s" },
        { "1440f", 0, 1440, "1440f" },
        { "20736000f", 0, 20736000, "20736000f" },
        { "20736001f", -1, 0, "" },
        { "24.000001h", -1, 0, "" },
        { "86401s", -1, 0, "" },
        { "999999999h", -1, 0, "" },
        { "1000000000s", -1, 0, "" },
        { "0.0000001s", -1, 0, "" },
        { "1.5f", -1, 0, "" },
        { "90", -1, 0, "" },
        { "90 s", -1, 0, "" },
        { "-1s", -1, 0, "" },
        { "s", -1, 0, "" },
        { ".5s", -1, 0, "" },
        { "5.s", -1, 0, "" },
        { "nans", -1, 0, "" },
        { "1e3s", -1, 0, "" },
        { "90ms", -1, 0, "" },
        { "09s", -1, 0, "" },
        { "", -1, 0, "" },
        { "1m30s", -1, 0, "" },
    };
    struct value_rate const ntsc = { 24000, 1001 }, plain = { 16, 1 };
    char buf[DURATION_TEXT];

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct duration d = { 0 };
        assert_int_equal(duration_parse(rows[i].text, &d), rows[i].micros >= 0);
        if (rows[i].micros < 0) continue;
        assert_int_equal(d.micros, rows[i].micros);
        assert_int_equal(d.pictures, rows[i].pictures);
        assert_string_equal(duration_text(d, buf), rows[i].again);
    }
    struct duration const d = { .micros = 100000 }, day = { .micros = 86400000000 };
    assert_int_equal(duration_nearest(d, plain), 2); /* 1.6 */
    assert_int_equal(duration_up(d, plain), 2);
    assert_int_equal(duration_nearest((struct duration){ .micros = 31249 }, plain), 0);
    assert_int_equal(duration_nearest((struct duration){ .micros = 31250 }, plain), 1);
    assert_int_equal(duration_up((struct duration){ .micros = 62501 }, plain), 2);
    assert_int_equal(duration_nearest(day, ntsc), 2071528); /* 2071528.47 */
    assert_int_equal(duration_up(day, ntsc), 2071529);
    assert_int_equal(duration_up(day, (struct value_rate){ 1000000, 4167 }), 20734342);
    assert_false(duration_is_length(0, plain));
    assert_true(duration_is_length(1, plain));
    assert_true(duration_is_length(2071528, ntsc));
    assert_false(duration_is_length(2071529, ntsc));
}

static void templates(void **state)
{
    static const struct template_var vars[] = { { "place", "Hong Kong/1" }, { "index", "7" } };
    static const struct {
        const char *text;
        bool file_name;
        const char *want, *message;
    } rows[] = {
        { "plain", false, "plain", "" },
        { "in {place}.", false, "in Hong Kong/1.", "" },
        { "{place}-{index:03d}", true, "Hong-Kong-1-007", "" },
        { "{{{index}}}", false, "{7}", "" },
        { "{index:01d}{index:020d}", false, "700000000000000000007", "" },
        { "{plase}", false, NULL, "f:1:4: a: found \"{plase}\"; allowed: {place}, {index}" },
        { "a {", false, NULL,
          "f:1:4: a: found \"{\"; allowed: {variable}, {number:05d}, and {{ or }} for a brace" },
        { "}", false, NULL,
          "f:1:4: a: found \"}\"; allowed: {variable}, {number:05d}, and {{ or }} for a brace" },
        { "{index:5d}", false, NULL,
          "f:1:4: a: found \"{index:5d}\"; allowed: {variable}, {number:05d}, and {{ or }} for a "
          "brace" },
        { "{index:021d}", false, NULL,
          "f:1:4: a: found \"{index:021d}\"; allowed: {variable}, {number:05d}, and {{ or }} for a "
          "brace" },
        { "{place:02d}", false, NULL,
          "f:1:4: a: found {place:02d} for the value \"Hong Kong/1\"; allowed: {place}" },
        { "{place}{place}{place}", false, NULL,
          "f:1:4: a: the text grows beyond 24 bytes with its variables; allowed: 24" },
    };
    struct tree *t;

    (void)state;
    assert_int_equal(tree_parse(&t, "a: x\n", 5, "f"), ST_OK);
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct strbuf out = { 0 };
        error_clear();
        status const st = template_expand(&(struct template_text){ .text = rows[i].text,
                                                                   .node = t->doc[0]->first,
                                                                   .var = vars,
                                                                   .vars = COUNT_OF(vars),
                                                                   .file_name = rows[i].file_name,
                                                                   .most = 24 },
                                          &out);
        assert_string_equal(error_last()->msg, rows[i].message);
        assert_int_equal(st, rows[i].want ? ST_OK : ST_FORMAT);
        if (rows[i].want) assert_string_equal(out.s, rows[i].want);
        strbuf_free(&out);
    }
    assert_true(template_uses("x {a} {b:02d}", "b"));
    assert_false(template_uses("{{b}} {ab} {b", "b"));
    tree_close(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_texts), cmocka_unit_test(limits),
        cmocka_unit_test(trees),         cmocka_unit_test(other_writers),
        cmocka_unit_test(quotes),        cmocka_unit_test(fields),
        cmocka_unit_test(numbers),       cmocka_unit_test(sizes_and_rates),
        cmocka_unit_test(durations),     cmocka_unit_test(templates),
    };
    return cmocka_run_group_tests_name("unit_yaml", tests, NULL, NULL);
}
