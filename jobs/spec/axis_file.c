/*
 * axis_file.c - an axis's values from a file: JSON lines or CSV.
 *
 * Values become prompts and file names, so each is held to what YAML asks of a text: printable
 * UTF-8, 1 to AXIS_VALUE_BYTES bytes. What the cleaning of prompts would remove is removed here,
 * and what else stands in a line is nobody's concern: one caption of 100,000 does not end a job.
 * Errors name the file's line.
 */
#include "base/error_list.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "jobs/spec/axis.h"
#include "jobs/spec/json_build.h"
#include "jobs/spec/spec_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A value found in a file. Past the limit it is only counted. */
static status add_found(struct axis *a, int line, const char *s, size_t len)
{
    char *const value = malloc(len + 1);
    status st = ST_OK;

    if (!value) return fail(ST_NOMEM, "%s:%d: no memory for a value", a->path, line);
    memcpy(value, s, len);
    size_t const kept = axis_text_clean(value, len);
    value[kept] = '\0';
    if (kept < len && !a->cleaned++) a->first_cleaned = line;
    if (!kept || kept > AXIS_VALUE_BYTES)
        FAIL_OUT(ST_FORMAT, "%s:%d: %s: found %zu bytes; allowed: 1 to %d", a->path, line, a->field,
                 kept, AXIS_VALUE_BYTES);
    for (size_t i = 0; i < kept;) {
        uint32_t c;
        int const bytes = utf8_decode(&c, value + i, kept - i);
        if (bytes == 0 || !(c == '\t' || (c >= 0x80 && c < 0xa0) || utf8_printable(c)))
            FAIL_OUT(ST_FORMAT, "%s:%d: %s: found a byte 0x%02x; allowed: printable UTF-8", a->path,
                     line, a->field, (unsigned)(unsigned char)value[i]);
        i += (size_t)bytes;
    }
    if (a->count < a->limit) return axis_add(a, value); /* handed over */
    a->beyond++;
out:
    free(value);
    return st;
}

/* Is there more to read? Without a limit of the job's every value counts. */
static bool wants_more(const struct axis *a) { return !a->limited || a->count < a->limit; }

/* ---- JSON, one object a line ---- */

static status add_json(struct axis *a, int line, const json_t *object)
{
    const json_t *const v = json_object_get(object, a->field);
    char number[32];

    if (!json_is_object(object))
        return fail(ST_FORMAT, "%s:%d: found no JSON object; allowed: {\"%s\": ...}", a->path, line,
                    a->field);
    if (json_is_string(v)) return add_found(a, line, json_string_value(v), json_string_length(v));
    if (!json_is_integer(v))
        return fail(ST_FORMAT, "%s:%d: %s: found %s; allowed: a string or a whole number", a->path,
                    line, a->field, v ? "another type" : "nothing");
    snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
    return add_found(a, line, number, strlen(number));
}

/* NULL: fail() was called. What JSON does not know but is written all the same, NaN and numbers of
 * any length, is given another form first where the line does not do without. */
static json_t *load_json_line(const struct axis *a, int line, const char *text, size_t len)
{
    size_t const flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_error_t why, again;
    status st, st_again = ST_NOMEM;
    json_t *object = json_read(text, len, flags, &st, &why);

    if (object) return object;
    char *const mended = axis_text_mend_json(text, len);
    if (mended) object = json_read(mended, strlen(mended), flags, &st_again, &again);
    /* No mended text of a line that is not empty: no memory, which outweighs the line's form. */
    if (!object && st == ST_FORMAT && len) st = st_again;
    if (!object) fail(st, "%s:%d: not JSON: %s", a->path, line, why.text);
    free(mended);
    return object;
}

static status add_json_line(struct axis *a, int line, const char *text, size_t len)
{
    json_t *const object = load_json_line(a, line, text, len);

    if (!object) return error_last()->st;
    status const st = add_json(a, line, object);
    json_decref(object);
    return st;
}

/* A line that is wrong does not hide the next one. */
static status parse_json_lines(struct axis *a, const char *text, size_t len)
{
    struct error_list wrong = { 0 };
    int line = 0;

    for (size_t i = 0; i < len && wants_more(a);) {
        const char *const end = memchr(text + i, '\n', len - i);
        size_t const n = (end ? (size_t)(end - text) : len) - i;
        size_t blank = 0;

        line++;
        while (blank < n && (text[i + blank] == ' ' || text[i + blank] == '\r')) blank++;
        status const st = blank < n ? add_json_line(a, line, text + i, n) : ST_OK;
        if (st != ST_OK && !error_list_add(&wrong, st)) {
            error_list_free(&wrong);
            return st;
        }
        i += n + 1;
    }
    return error_list_end(&wrong);
}

/* ---- CSV, a head and rows; a cell in double quotes may hold commas, line ends and "" ---- */

struct csv {
    const char *text, *path;
    size_t len, at;
    int line;
    struct strbuf cell;
    bool row_ends; /* after the cell just read */
};

static bool at_line_end(const struct csv *c)
{
    return c->at == c->len || c->text[c->at] == '\n' ||
           (c->text[c->at] == '\r' && (c->at + 1 == c->len || c->text[c->at + 1] == '\n'));
}

static status read_quoted(struct csv *c)
{
    int const line = c->line;

    for (c->at++; c->at < c->len; c->at++) {
        if (c->text[c->at] == '\n') c->line++;
        if (c->text[c->at] != '"') {
            strbuf_add(&c->cell, c->text + c->at, 1);
            continue;
        }
        if (c->at + 1 == c->len || c->text[c->at + 1] != '"') {
            c->at++;
            return ST_OK;
        }
        strbuf_add(&c->cell, "\"", 1);
        c->at++;
    }
    return fail(ST_FORMAT, "%s:%d: a double quote is not closed", c->path, line);
}

static status read_cell(struct csv *c)
{
    c->cell.len = 0;
    strbuf_add(&c->cell, "", 0);
    if (c->at < c->len && c->text[c->at] == '"') TRY(read_quoted(c));
    else
        for (; !at_line_end(c) && c->text[c->at] != ','; c->at++)
            strbuf_add(&c->cell, c->text + c->at, 1);
    if (c->cell.failed) return fail(ST_NOMEM, "%s: no memory for a cell", c->path);
    c->row_ends = at_line_end(c);
    if (c->row_ends) {
        if (c->at < c->len && c->text[c->at] == '\r') c->at++;
        if (c->at < c->len) c->at++;
        return ST_OK;
    }
    if (c->text[c->at] != ',')
        return fail(ST_FORMAT,
                    "%s:%d: text follows a closed double quote; allowed: a comma or the "
                    "line's end",
                    c->path, c->line);
    c->at++;
    return ST_OK;
}

static status find_column(struct csv *c, const char *field, int *column, int *columns)
{
    *column = -1;
    *columns = 0;
    do {
        TRY(read_cell(c));
        bool const found = !strcmp(c->cell.s, field);
        if (found && *column >= 0)
            return fail(ST_FORMAT, "%s:1: two columns %s in the head; allowed: one", c->path,
                        tree_quote(field).s);
        if (found) *column = *columns;
        ++*columns;
    } while (!c->row_ends);
    if (*column < 0)
        return fail(ST_FORMAT, "%s:1: no column %s in the head", c->path, tree_quote(field).s);
    return ST_OK;
}

/* Where the row ends that begins here and has nothing in its cells, as spreadsheets leave them
 * between and behind the others; NULL: it has. */
static const char *blank_row_end(const struct csv *c)
{
    const char *at = c->text + c->at, *const end = c->text + c->len;

    while (at < end && *at == ',') at++;
    if (at < end && *at == '\r') at++;
    if (at == end) return at;
    return *at == '\n' ? at + 1 : NULL;
}

struct columns {
    int wanted, all;
};

/* All of a row, also of one whose value is wrong; *in_row: the next one can be read. */
static status read_row(struct axis *a, struct csv *c, struct columns of, bool *in_row)
{
    int const line = c->line;
    status st = ST_OK;
    int cells = 0;

    *in_row = false;
    do {
        TRY(read_cell(c));
        if (cells == of.wanted) st = add_found(a, line, c->cell.s, c->cell.len);
        cells++;
    } while (!c->row_ends);
    *in_row = true;
    if (cells == of.all) return st;
    return fail(ST_FORMAT, "%s:%d: found %d cells; allowed: %d as in the head", a->path, line,
                cells, of.all);
}

static status read_rows(struct axis *a, struct csv *c)
{
    struct error_list wrong = { 0 };
    struct columns of;

    TRY(find_column(c, a->field, &of.wanted, &of.all));
    while (c->at < c->len && wants_more(a)) {
        c->line++;
        const char *const blank = blank_row_end(c);
        bool in_row = true;
        if (blank) {
            c->at = (size_t)(blank - c->text);
            continue;
        }
        status const st = read_row(a, c, of, &in_row);
        if (st == ST_OK) continue;
        if (!error_list_add(&wrong, st)) {
            error_list_free(&wrong);
            return st;
        }
        if (!in_row) break;
    }
    return error_list_end(&wrong);
}

static status parse_csv(struct axis *a, const char *text, size_t len)
{
    struct csv c = { .text = text, .path = a->path, .len = len, .line = 1 };
    status const st = read_rows(a, &c);

    strbuf_free(&c.cell);
    return st;
}

status axis_parse(struct axis *a, const char *text, size_t len)
{
    size_t const name = strlen(a->path);

    if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
        text += 3;
        len -= 3;
    }
    if (name > 4 && !strcmp(a->path + name - 4, ".csv")) TRY(parse_csv(a, text, len));
    else TRY(parse_json_lines(a, text, len));
    if (!a->count) return fail(ST_FORMAT, "%s: found no values", a->path);
    if (a->beyond)
        return fail(ST_FORMAT,
                    "%s: found %lld values; allowed: %d, or a limit that takes the first", a->path,
                    (long long)a->count + a->beyond, a->limit);
    if (a->cleaned)
        log_warn("%s: control characters are left out of %d value%s, first in line %d", a->path,
                 a->cleaned, a->cleaned == 1 ? "" : "s", a->first_cleaned);
    return ST_OK;
}

status axis_read_file(struct axis *a)
{
    char *text;
    size_t len;

    TRY(file_read(a->path, AXIS_FILE_BYTES, &text, &len));
    status const st = axis_parse(a, text, len);
    free(text);
    return st;
}
