/* yaml_schema.c - a map read by a table, and messages that name the nearest known key. */
#include "jobs/yaml/yaml_schema.h"
#include "base/choice.h"
#include "base/error_list.h"
#include "jobs/yaml/yaml_value.h"

#include <stdio.h>
#include <string.h>

/* Levenshtein's distance, for words of at most 31 characters; else far. */
static int edit_distance(const char *a, const char *b)
{
    enum { WORD = 32 };
    int row[WORD];
    int const n = (int)strnlen(a, WORD), m = (int)strnlen(b, WORD);

    if (n == WORD || m == WORD) return WORD;
    for (int j = 0; j <= m; j++) row[j] = j;
    for (int i = 1; i <= n; i++) {
        int before = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            int const change = before + (a[i - 1] != b[j - 1]);
            int const shift = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            before = row[j];
            row[j] = change < shift ? change : shift;
        }
    }
    return row[m];
}

static const char *nearest_key(const char *key, const struct field_table *t)
{
    const char *best = NULL;
    int least = 3;

    for (int i = 0; i < t->count; i++) {
        int const d = edit_distance(key, t->field[i].name);
        if (d < least && d < (int)strlen(t->field[i].name)) {
            least = d;
            best = t->field[i].name;
        }
    }
    return best;
}

static status fail_unknown_key(const struct tree_node *n, const struct field_table *t)
{
    const char *const near = nearest_key(n->key, t);
    struct strbuf list = { 0 };

    for (int i = 0; i < t->count; i++)
        if (t->field[i].type != FIELD_REFUSED)
            strbuf_addf(&list, "%s%s", list.len ? ", " : "", t->field[i].name);
    tree_fail_key(n, "unknown key%s%s%s; allowed: %s", near ? " (did you mean " : "",
                  near ? near : "", near ? "?)" : "", list.s ? list.s : "none");
    strbuf_free(&list);
    return ST_FORMAT;
}

status field_text(const struct tree_node *n, int max, const char **to)
{
    char words[64];

    snprintf(words, sizeof words, "text of 1 to %d bytes", max);
    if (n->kind != TREE_SCALAR || !n->text[0]) return tree_refuse(n, words);
    if (strlen(n->text) > (size_t)max)
        return tree_fail(n, "found text of %zu bytes; allowed: %s", strlen(n->text), words);
    *to = n->text;
    return ST_OK;
}

/* A shell would put something else there; here it would be a folder of that very name. */
static bool is_for_a_shell(const char *path)
{
    if (path[0] == '~') return true;
    for (const char *at = path; (at = strchr(at, '$')); at++)
        if (at[1] == '{' || at[1] == '_' || ((at[1] | 32) >= 'a' && (at[1] | 32) <= 'z'))
            return true;
    return false;
}

status field_path(const struct tree_node *n, int max, const char **to)
{
    TRY(field_text(n, max, to));
    if (!is_for_a_shell(*to)) return ST_OK;
    return tree_fail(n,
                     "found %s; ~ and $VARIABLES are not expanded here; allowed: the path in full",
                     tree_quote(*to).s);
}

status field_int(const struct tree_node *n, int min, int max, int *to)
{
    char words[64];
    uint64_t v;

    if (min == max) snprintf(words, sizeof words, "%d", min);
    else snprintf(words, sizeof words, "a whole number from %d to %d", min, max);
    if (n->kind != TREE_SCALAR || !value_u64(n->text, &v) || v > (uint64_t)max || (int)v < min)
        return tree_refuse(n, words);
    *to = (int)v;
    return ST_OK;
}

status field_choice(const struct tree_node *n, const char *words, int *to)
{
    int const place = n->kind == TREE_SCALAR ? choice_find(words, n->text) : -1;

    if (place < 0) return tree_refuse(n, words);
    *to = place;
    return ST_OK;
}

status field_size(const struct tree_node *n, int *width, int *height)
{
    if (n->kind == TREE_SCALAR && value_size(n->text, width, height)) return ST_OK;
    return tree_refuse(n, "WIDTHxHEIGHT, multiples of 16 from 16 to 8192, such as 832x480");
}

bool field_is_file_name(const char *s)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t const len = strlen(s);

    return len && len <= FIELD_FILE_NAME && s[0] != '.' && strspn(s, set) == len;
}

status field_file_name(const struct tree_node *n, void *to)
{
    if (n->kind != TREE_SCALAR || !field_is_file_name(n->text))
        return tree_refuse(n, "a file name of 1 to 128 characters A-Z a-z 0-9 . _ -, no dot first");
    *(const char **)to = n->text;
    return ST_OK;
}

status field_node(const struct tree_node *n, void *to)
{
    *(const struct tree_node **)to = n;
    return ST_OK;
}

static status read_field_value(const struct tree_node *n, const struct field *f, void *to)
{
    int on = 0;

    switch (f->type) {
    case FIELD_TEXT: return field_text(n, f->max, to);
    case FIELD_PATH: return field_path(n, f->max, to);
    case FIELD_INT: return field_int(n, f->min, f->max, to);
    case FIELD_BOOL:
        TRY(field_choice(n, "false|true", &on));
        *(bool *)to = on;
        return ST_OK;
    case FIELD_CHOICE: return field_choice(n, f->allowed, to);
    case FIELD_MAP: return field_read(n, f->map, to);
    case FIELD_READ: return f->read(n, to);
    case FIELD_REFUSED: return tree_fail_key(n, "not supported by this version; %s", f->allowed);
    }
    return ST_OK;
}

static status check_key(const struct tree_node *m, const struct field_table *table)
{
    for (int i = 0; i < table->count; i++)
        if (!strcmp(m->key, table->field[i].name)) return ST_OK;
    return fail_unknown_key(m, table);
}

static status read_field(const struct tree_node *n, const struct field *f, void *to)
{
    const struct tree_node *const m = tree_find(n, f->name);

    if (m) return read_field_value(m, f, (char *)to + f->to);
    if (!f->required) return ST_OK;
    return tree_fail(n, "%s is missing%s%s", f->name, f->allowed ? "; allowed: " : "",
                     f->allowed ? f->allowed : "");
}

status field_read(const struct tree_node *n, const struct field_table *table, void *to)
{
    struct error_list wrong = { 0 };
    status st = ST_OK;

    if (n->kind != TREE_MAP) return tree_refuse(n, "a map of keys");
    for (const struct tree_node *m = n->first; m; m = m->next) {
        st = check_key(m, table);
        if (st != ST_OK && !error_list_add(&wrong, st)) goto out;
    }
    bool const spelt = !wrong.count; /* else what is missing may be what is misspelt */
    for (int i = 0; i < table->count; i++) {
        if (!spelt && !tree_find(n, table->field[i].name)) continue;
        st = read_field(n, &table->field[i], to);
        if (st != ST_OK && !error_list_add(&wrong, st)) goto out;
    }
    return error_list_end(&wrong);
out:
    error_list_free(&wrong);
    return st;
}
