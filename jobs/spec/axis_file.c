/*
 * axis_file.c - an axis's values from a file: JSON lines or CSV.
 *
 * Values become prompts and file names, so each is held to what YAML asks of a text: printable
 * UTF-8, 1 to AXIS_VALUE_BYTES bytes. Errors name the file's line.
 */
#include "base/file.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "jobs/spec/axis.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A value found in a file, with what YAML asks of every text. */
static status add_found(struct axis *a, int line, const char *s, size_t len)
{
    if (!len || len > AXIS_VALUE_BYTES)
        return fail(ST_FORMAT, "%s:%d: %s: found %zu bytes; allowed: 1 to %d", a->path, line,
                    a->field, len, AXIS_VALUE_BYTES);
    for (size_t i = 0; i < len;) {
        uint32_t c;
        int const bytes = utf8_decode(&c, s + i, len - i);
        if (bytes == 0 || (c != '\t' && !utf8_printable(c)))
            return fail(ST_FORMAT, "%s:%d: %s: found a byte 0x%02x; allowed: printable UTF-8",
                        a->path, line, a->field, (unsigned)(unsigned char)s[i]);
        i += (size_t)bytes;
    }
    return axis_add(a, str_format("%.*s", (int)len, s));
}

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

static status parse_json_lines(struct axis *a, const char *text, size_t len)
{
    int line = 0;

    for (size_t i = 0; i < len && a->count < a->limit;) {
        const char *const end = memchr(text + i, '\n', len - i);
        size_t const n = (end ? (size_t)(end - text) : len) - i;
        size_t blank = 0;
        json_error_t why;

        line++;
        while (blank < n && (text[i + blank] == ' ' || text[i + blank] == '\r')) blank++;
        if (blank < n) {
            json_t *const object = json_loadb(text + i, n, JSON_REJECT_DUPLICATES, &why);
            if (!object) return fail(ST_FORMAT, "%s:%d: not JSON: %s", a->path, line, why.text);
            status const st = add_json(a, line, object);
            json_decref(object);
            if (st != ST_OK) return st;
        }
        i += n + 1;
    }
    return ST_OK;
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
        if (!strcmp(c->cell.s, field)) *column = *columns;
        ++*columns;
    } while (!c->row_ends);
    if (*column < 0)
        return fail(ST_FORMAT, "%s:1: no column %s in the head", c->path, tree_quote(field).s);
    return ST_OK;
}

static status read_rows(struct axis *a, struct csv *c)
{
    int column, columns;

    TRY(find_column(c, a->field, &column, &columns));
    while (c->at < c->len && a->count < a->limit) {
        int const line = ++c->line;
        int cells = 0;
        do {
            TRY(read_cell(c));
            if (cells == column) TRY(add_found(a, line, c->cell.s, c->cell.len));
            cells++;
        } while (!c->row_ends);
        if (cells != columns)
            return fail(ST_FORMAT, "%s:%d: found %d cells; allowed: %d as in the head", a->path,
                        line, cells, columns);
    }
    return ST_OK;
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
    return a->count ? ST_OK : fail(ST_FORMAT, "%s: found no values", a->path);
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
