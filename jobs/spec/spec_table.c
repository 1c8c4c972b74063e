/*
 * spec_table.c - a struct to JSON and back, by a table of its keys.
 *
 * Writing and reading follow the same rows, so a key that one of them forgets does not exist. Keys
 * that no row names are refused: a clip that says more than this program understands would be
 * rendered wrong.
 */
#include "base/choice.h"
#include "base/utf8.h"
#include "jobs/spec/json_build.h"
#include "jobs/spec/spec_internal.h"
#include "jobs/yaml/yaml_value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- writing ---- */

static const void *value_in(const void *of, size_t at) { return (const char *)of + at; }
static void *place_in(void *of, size_t at) { return (char *)of + at; }

static int int_in(const void *of, size_t at) { return *(const int *)value_in(of, at); }

static json_t *table_json(const struct spec_table *t, const void *from);

static json_t *reals_json(const struct spec_key *k, const void *from)
{
    const double *const v = value_in(from, k->at);
    json_t *list = json_array();

    for (int i = 0; i < int_in(from, k->count); i++) json_add(&list, json_real(v[i]));
    return list;
}

static json_t *list_json(const struct spec_key *k, const void *from)
{
    const char *const item = *(char *const *)value_in(from, k->at);
    json_t *list = json_array();

    for (int i = 0; i < int_in(from, k->count); i++)
        json_add(&list, table_json(k->item, item + (size_t)i * k->item->size));
    return list;
}

static json_t *u64_json(uint64_t v)
{
    char text[24];

    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    return json_string(text);
}

static json_t *word_json(const char *words, int i)
{
    char word[CLIP_TIME];
    return choice_at(word, sizeof word, words, i) ? json_string(word) : NULL;
}

/* NULL: not UTF-8, or no memory. */
static json_t *value_json(const struct spec_key *k, const void *from)
{
    const void *const v = value_in(from, k->at);
    const char *text;

    switch (k->type) {
    case SPEC_TEXT: return json_string(*(char *const *)v);
    case SPEC_MAY_TEXT: text = *(char *const *)v; return text ? json_string(text) : json_null();
    case SPEC_CHARS: return json_string(v);
    case SPEC_INT: return json_integer(*(const int *)v);
    case SPEC_INT64: return json_integer((json_int_t) * (const int64_t *)v);
    case SPEC_U64: return u64_json(*(const uint64_t *)v);
    case SPEC_BOOL: return json_boolean(*(const bool *)v);
    case SPEC_REAL: return json_real(*(const double *)v);
    case SPEC_CHOICE: return word_json(k->allowed, *(const int *)v);
    case SPEC_REALS: return reals_json(k, from);
    case SPEC_LIST: return list_json(k, from);
    }
    return NULL;
}

static bool is_utf8(const struct spec_key *k, const void *from)
{
    const void *const v = value_in(from, k->at);
    const char *text = "";

    if (k->type == SPEC_CHARS) text = v;
    if (k->type == SPEC_TEXT || k->type == SPEC_MAY_TEXT) text = *(char *const *)v;
    return !text || utf8_valid(text, strlen(text));
}

/* NULL if a value of it cannot be written; which one, the last failure says. */
static json_t *table_json(const struct spec_table *t, const void *from)
{
    json_t *o = json_object();

    for (int i = 0; i < t->keys && o; i++) {
        json_set(&o, t->key[i].name, value_json(&t->key[i], from));
        if (!o && error_last()->st == ST_OK)
            (void)(is_utf8(&t->key[i], from) ? fail(ST_NOMEM, "%s: no memory", t->key[i].name)
                                             : fail(ST_FORMAT, "%s: not UTF-8", t->key[i].name));
    }
    return o;
}

status spec_table_write(struct strbuf *out, const char *what, const struct spec_table *t,
                        const void *from)
{
    error_clear();
    json_t *const o = table_json(t, from);
    if (!o && error_last()->st != ST_FORMAT) return fail(ST_NOMEM, "%s: no memory for it", what);
    if (!o) return fail(ST_FORMAT, "%s: %s", what, error_last()->msg);

    char *const text = json_write(o, JSON_COMPACT | JSON_REAL_PRECISION(17));
    json_decref(o);
    if (text) strbuf_add(out, text, strlen(text));
    free(text);
    return text && !out->failed ? ST_OK : fail(ST_NOMEM, "%s: no memory for its JSON", what);
}

/* ---- reading ---- */

static status table_from_json(const struct spec_table *t, const json_t *o, void *to);

/* A NUL would end the text for whoever reads it. */
static bool is_text(const json_t *v, int64_t least)
{
    const char *const s = json_string_value(v);
    return s && strlen(s) == json_string_length(v) && (int64_t)strlen(s) >= least;
}

static status text_from_json(const struct spec_key *k, const json_t *v, char **to)
{
    if (k->type == SPEC_MAY_TEXT && (!v || json_is_null(v))) return ST_OK;
    if (!is_text(v, k->min)) return fail(ST_FORMAT, "%s: not a text", k->name);
    *to = strdup(json_string_value(v));
    return *to ? ST_OK : fail(ST_NOMEM, "%s: no memory", k->name);
}

static status chars_from_json(const struct spec_key *k, const json_t *v, char *to)
{
    if (!is_text(v, 0) || (int64_t)json_string_length(v) >= k->max)
        return fail(ST_FORMAT, "%s: not a text of at most %d bytes", k->name, (int)k->max - 1);
    memcpy(to, json_string_value(v), json_string_length(v) + 1);
    return ST_OK;
}

static status integer_from_json(const struct spec_key *k, const json_t *v, int64_t *to)
{
    *to = json_integer_value(v);
    if (json_is_integer(v) && *to >= k->min && *to <= k->max) return ST_OK;
    return fail(ST_FORMAT, "%s: not a whole number from %lld to %lld", k->name, (long long)k->min,
                (long long)k->max);
}

static status int_from_json(const struct spec_key *k, const json_t *v, int *to)
{
    int64_t wide;

    TRY(integer_from_json(k, v, &wide));
    *to = (int)wide;
    return ST_OK;
}

static status u64_from_json(const struct spec_key *k, const json_t *v, uint64_t *to)
{
    if (is_text(v, 1) && value_u64(json_string_value(v), to)) return ST_OK;
    return fail(ST_FORMAT, "%s: not the text of a whole number below 2^64", k->name);
}

static status bool_from_json(const struct spec_key *k, const json_t *v, bool *to)
{
    if (!json_is_boolean(v)) return fail(ST_FORMAT, "%s: neither true nor false", k->name);
    *to = json_is_true(v);
    return ST_OK;
}

static status real_from_json(const struct spec_key *k, const json_t *v, double *to)
{
    if (!json_is_number(v)) return fail(ST_FORMAT, "%s: not a number", k->name);
    *to = json_number_value(v);
    return ST_OK;
}

static status choice_from_json(const struct spec_key *k, const json_t *v, int *to)
{
    *to = is_text(v, 1) ? choice_find(k->allowed, json_string_value(v)) : -1;
    return *to >= 0 ? ST_OK : fail(ST_FORMAT, "%s: none of %s", k->name, k->allowed);
}

static status check_item_count(const struct spec_key *k, const json_t *v)
{
    int64_t const count = (int64_t)json_array_size(v);

    if (json_is_array(v) && count >= k->min && count <= k->max) return ST_OK;
    return fail(ST_FORMAT, "%s: not a list of %lld to %lld", k->name, (long long)k->min,
                (long long)k->max);
}

static status reals_from_json(const struct spec_key *k, const json_t *v, double *to, int *count)
{
    TRY(check_item_count(k, v));
    for (; *count < (int)json_array_size(v); ++*count)
        TRY(real_from_json(k, json_array_get(v, (size_t)*count), &to[*count]));
    return ST_OK;
}

static status list_from_json(const struct spec_key *k, const json_t *v, char **to, int *count)
{
    TRY(check_item_count(k, v));
    *to = calloc(json_array_size(v) + 1, k->item->size);
    if (!*to) return fail(ST_NOMEM, "%s: no memory", k->name);
    for (size_t i = 0; i < json_array_size(v); i++) {
        ++*count; /* what is there of it is freed with the rest */
        status const st = table_from_json(k->item, json_array_get(v, i), *to + i * k->item->size);
        if (st != ST_OK) return fail(st, "%s[%zu].%s", k->name, i, error_last()->msg);
    }
    return ST_OK;
}

static status value_from_json(const struct spec_key *k, const json_t *v, void *to)
{
    void *const at = place_in(to, k->at), *const count = place_in(to, k->count);

    if (!v && k->type != SPEC_MAY_TEXT) return fail(ST_FORMAT, "%s: missing", k->name);
    switch (k->type) {
    case SPEC_TEXT:
    case SPEC_MAY_TEXT: return text_from_json(k, v, at);
    case SPEC_CHARS: return chars_from_json(k, v, at);
    case SPEC_INT: return int_from_json(k, v, at);
    case SPEC_INT64: return integer_from_json(k, v, at);
    case SPEC_U64: return u64_from_json(k, v, at);
    case SPEC_BOOL: return bool_from_json(k, v, at);
    case SPEC_REAL: return real_from_json(k, v, at);
    case SPEC_CHOICE: return choice_from_json(k, v, at);
    case SPEC_REALS: return reals_from_json(k, v, at, count);
    case SPEC_LIST: return list_from_json(k, v, at, count);
    }
    return fail(ST_ARG, "%s: no such type", k->name);
}

static status refuse_unknown_keys(const struct spec_table *t, const json_t *o)
{
    for (void *i = json_object_iter((json_t *)(uintptr_t)o); i;
         i = json_object_iter_next((json_t *)(uintptr_t)o, i)) {
        int k = 0;
        while (k < t->keys && strcmp(t->key[k].name, json_object_iter_key(i)) != 0) k++;
        if (k == t->keys) return fail(ST_FORMAT, "%.64s: unknown key", json_object_iter_key(i));
    }
    return ST_OK;
}

static status table_from_json(const struct spec_table *t, const json_t *o, void *to)
{
    if (!json_is_object(o)) return fail(ST_FORMAT, "not an object");
    TRY(refuse_unknown_keys(t, o));
    for (int i = 0; i < t->keys; i++)
        TRY(value_from_json(&t->key[i], json_object_get(o, t->key[i].name), to));
    return ST_OK;
}

status spec_table_read(const struct spec_table *t, const char *json, size_t len, void *to)
{
    json_error_t error;
    status st;
    json_t *const o = json_read(json, len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &st, &error);

    if (!o) return fail(st, "not JSON: %s", error.text);
    st = table_from_json(t, o, to);
    json_decref(o);
    return st;
}
