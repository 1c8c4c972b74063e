/* unit_json_tree.c - what JSON texts are read as, and what is refused, with its place. */
#include "base/crc32.h"
#include "base/json_tree.h"
#include "base/strbuf.h"
#include "tests/support/unit.h"

#include <stdlib.h>
#include <string.h>

static struct json_node *read(const char *text)
{
    struct json_node *root;

    assert_int_equal(json_tree_read(&root, text, strlen(text), "t"), ST_OK);
    return root;
}

static void values(void **state)
{
    struct json_node *root = read(" { \"a\" : [ 1 , -2.5e1, true, false, null, \"x\" ],\n"
                                  "\"b\": {}, \"c\":[], \"\":-9223372036854775808 } ");
    const struct json_node *const a = json_tree_member(root, "a");

    (void)state;
    assert_int_equal(root->kind, NODE_OBJECT);
    assert_int_equal(root->count, 4);
    assert_int_equal(a->count, 6);
    assert_string_equal(a->name, "a");
    assert_int_equal(json_tree_item(a, 0)->whole, 1);
    assert_true(json_tree_item(a, 0)->number == 1.0);
    assert_true(json_tree_is(json_tree_item(a, 1), NODE_REAL));
    assert_true(json_tree_item(a, 1)->number == -25.0);
    assert_true(json_tree_item(a, 2)->truth && !json_tree_item(a, 3)->truth);
    assert_true(json_tree_is(json_tree_item(a, 4), NODE_NULL));
    assert_string_equal(json_tree_text(json_tree_item(a, 5)), "x");
    assert_null(json_tree_item(a, 6));
    assert_int_equal(json_tree_member(root, "b")->count, 0);
    assert_int_equal(json_tree_member(root, "c")->kind, NODE_LIST);
    assert_true(json_tree_member(root, "")->whole == INT64_MIN);
    assert_null(json_tree_member(root, "d"));
    json_tree_free(&root);
    assert_null(root);
}

static void nothing_is_looked_into(void **state)
{
    struct json_node *root = read("7");

    (void)state;
    assert_null(json_tree_member(NULL, "a"));
    assert_null(json_tree_member(root, "a"));
    assert_null(json_tree_item(root, 0));
    assert_null(json_tree_text(root));
    assert_null(json_tree_text(NULL));
    assert_false(json_tree_is(NULL, NODE_NULL));
    assert_true(json_tree_is_number(root));
    json_tree_free(&root);
}

static void texts(void **state)
{
    static const struct {
        const char *json, *text;
        size_t len;
    } rows[] = {
        { "\"\"", "", 0 },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t", 8 },
        { "\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00!\"", "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!",
          11 },
        { "\"\xc3\xa9\xf0\x9f\x98\x80\"", "\xc3\xa9\xf0\x9f\x98\x80", 6 },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct json_node *root = read(rows[i].json);
        assert_string_equal(json_tree_text(root), rows[i].text);
        assert_int_equal(root->text_len, rows[i].len);
        json_tree_free(&root);
    }
}

static void refused(const char *json, size_t len, const char *message)
{
    struct json_node *root = NULL;
    char *const want = str_format("t:%s", message);

    assert_int_equal(json_tree_read(&root, json, len, "t"), ST_FORMAT);
    assert_null(root);
    assert_string_equal(error_last()->msg, want);
    error_clear();
    free(want);
}

static void broken(void **state)
{
    static const struct {
        const char *json, *message;
    } rows[] = {
        { "", "1:1: the text ends within a value" },
        { " \n ", "2:2: the text ends within a value" },
        { "{\"a\":1", "1:7: `,` or `}` is expected" },
        { "[1 2]", "1:4: `,` or `]` is expected" },
        { "[1,]", "1:4: a value is expected" },
        { "{\"a\" 1}", "1:6: `:` is expected behind a name" },
        { "{a:1}", "1:2: a text in quotes is expected" },
        { "{\"a\":1,\n\"b\":2,\n\"a\":3}",
          "3:7: an object that ends here has two members of one name" },
        { "1 1", "1:3: unexpected text after the value" },
        { "01", "1:1: no number of JSON" },
        { "-", "1:1: no number of JSON" },
        { "1.", "1:1: no number of JSON" },
        { "1e+", "1:1: no number of JSON" },
        { ".5", "1:1: a value is expected" },
        { "NaN", "1:1: a value is expected" },
        { "nul", "1:1: a value is expected" },
        { "9223372036854775808", "1:1: a whole number beyond 64 bits" },
        { "[1e999]", "1:2: a number beyond what a double holds" },
        { "\"a", "1:3: the text does not end" },
        { "\"a\n\"", "1:3: a control character is not allowed within a text" },
        { "\"\\x\"", "1:3: no escape of JSON" },
        { "\"\\u12g4\"", "1:6: four hex digits are expected behind \\u" },
        { "\"\\u0000\"", "1:2: a NUL is not allowed within a text" },
        { "\"\\ud83d\"", "1:2: half a character beyond 16 bits" },
        { "\"\\ude00\"", "1:2: half a character beyond 16 bits" },
        { "\"\\ud83d\\u0041\"", "1:2: half a character beyond 16 bits" },
        { "\"\xff\"", "1:2: not UTF-8" },
        { "\"\xed\xa0\x80\"", "1:2: not UTF-8" },
        { "[\"\\n\",\nx]", "2:1: a value is expected" },
    };
    char deep[2 * JSON_DEPTH + 3];

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++)
        refused(rows[i].json, strlen(rows[i].json), rows[i].message);
    refused("1\0", 2, "1:2: unexpected text after the value");
    memset(deep, '[', JSON_DEPTH + 1);
    deep[JSON_DEPTH + 1] = '\0';
    refused(deep, JSON_DEPTH + 1, "1:65: too many levels");
    memset(deep + JSON_DEPTH, ']', JSON_DEPTH);
    struct json_node *root;
    assert_int_equal(json_tree_read(&root, deep, 2 * JSON_DEPTH, "t"), ST_OK);
    json_tree_free(&root);
}

/* The check value of every catalogue of checksums, and pieces of any size alike. */
static void checksums(void **state)
{
    enum { LEN = 100000 };
    unsigned char *const bytes = malloc(LEN);
    uint32_t one = 0, byte_by_byte = 0, pieces = 0;

    (void)state;
    assert_non_null(bytes);
    assert_int_equal(crc32_add(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(crc32_add(0, "", 0), 0);
    for (int i = 0; i < LEN; i++) bytes[i] = (unsigned char)(i * 7 + i / 251);
    one = crc32_add(0, bytes, LEN);
    for (int i = 0; i < LEN; i++) byte_by_byte = crc32_add(byte_by_byte, bytes + i, 1);
    pieces = crc32_add(crc32_add(0, bytes, 33333), bytes + 33333, LEN - 33333);
    assert_int_equal(one, byte_by_byte);
    assert_int_equal(one, pieces);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),    cmocka_unit_test(nothing_is_looked_into),
        cmocka_unit_test(texts),     cmocka_unit_test(broken),
        cmocka_unit_test(checksums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
