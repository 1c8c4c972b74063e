/* unit_docs.c - docs/job.md has every key the readers know, and no other. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "jobs/spec/card.h"
#include "jobs/spec/job.h"

/* The whole key of a field as the document writes it. */
static char *whole_key(const struct field_table *t, const struct field *f)
{
    return str_format("`%s%s%s`", t->path, t->path[0] ? "." : "", f->name);
}

/* The row of this key, cut out of the document; NULL if it has none. */
static char *row_of(const char *doc, const char *key)
{
    char *const begin = str_format("\n| %s |", key);
    const char *const at = strstr(doc, begin);
    char *const row = at ? str_format("%.*s", (int)strcspn(at + 1, "\n"), at + 1) : NULL;

    free(begin);
    return row;
}

/* How many of the words "a|b|c" are not in the row. */
static int words_missing(const char *row, const char *words)
{
    int missing = 0;

    for (const char *at = words; at; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL) {
        char *const word = str_format("%.*s", (int)strcspn(at, "|"), at);
        if (!strstr(row, word)) {
            print_error("no `%s` in: %s\n", word, row);
            missing++;
        }
        free(word);
    }
    return missing;
}

static bool is_right(const char *doc, const struct field *f, const char *key, const char *row)
{
    if (f->type == FIELD_REFUSED) return !row && strstr(doc, key);
    if (!row || f->required != (strstr(row, "| required |") != NULL)) return false;
    return f->type != FIELD_CHOICE || words_missing(row, f->allowed) == 0;
}

/* How many keys that may be given the tables have; each must have its row. */
static int check_tables(const char *doc, const struct field_table *const *tables)
{
    int given = 0, wrong = 0;

    for (; *tables; tables++)
        for (int i = 0; i < (*tables)->count; i++) {
            const struct field *const f = &(*tables)->field[i];
            char *const key = whole_key(*tables, f), *const row = row_of(doc, key);
            if (!is_right(doc, f, key, row)) {
                print_error("%s: %s\n", key, row ? row : "no row");
                wrong++;
            }
            given += f->type != FIELD_REFUSED;
            free(row);
            free(key);
        }
    assert_int_equal(wrong, 0);
    return given;
}

static int rows_of(const char *doc)
{
    int rows = 0;

    for (const char *at = doc; (at = strstr(at, "\n| `")); at++) rows++;
    return rows;
}

static void every_key(void **state)
{
    char *doc;
    size_t len;

    (void)state;
    assert_int_equal(file_read("docs/job.md", 1 << 20, &doc, &len), ST_OK);
    char *const cards = strstr(doc, "\n# Model cards");
    assert_non_null(cards);
    assert_int_equal(check_tables(cards, card_tables), rows_of(cards));
    *cards = '\0';
    assert_int_equal(check_tables(doc, job_tables), rows_of(doc));
    for (int i = 0; i < format_codecs(); i++) {
        const struct format_codec *const c = format_codec(i);
        char *const row = row_of(doc, c->name);
        assert_non_null(row);
        assert_int_equal(words_missing(row, c->endings), 0);
        assert_int_equal(words_missing(row, c->pixes), 0);
        assert_int_equal(words_missing(row, c->profiles), 0);
        free(row);
    }
    free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_key) };
    return cmocka_run_group_tests_name("unit_docs", tests, NULL, NULL);
}
