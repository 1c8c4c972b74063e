/*
 * json_build.h - jansson values built part by part, written and read, where out of memory shows at
 * the end.
 *
 * The library does not look at every allocation of its own: where one fails json_dumps may give
 * another text, and json_loads may blame the text. Here both are told.
 */
#ifndef JSON_BUILD_H
#define JSON_BUILD_H

#include "base/base.h"
#include "base/strbuf.h"

#include <jansson.h>

static inline void json_drop_if(json_t **to, int failed)
{
    if (!failed) return;
    json_decref(*to);
    *to = NULL;
}

/* Add to the list or map at *to, which becomes NULL if that fails or was NULL; what is
 * made of it then is NULL too. `value` is handed over and may be NULL, a failure. */
static inline void json_add(json_t **to, json_t *value)
{
    json_drop_if(to, json_array_append_new(*to, value));
}

static inline void json_set(json_t **to, const char *key, json_t *value)
{
    json_drop_if(to, json_object_set_new(*to, key, value));
}

/* A new string; bytes that are no UTF-8 become U+FFFD. NULL for want of memory. */
json_t *json_from_text(const char *text);

/* As json_dumps; NULL also where any memory was missing. The caller frees. */
char *json_write(const json_t *v, size_t flags) MUST_USE;

/* Print v and a newline to stdout; v is handed over, NULL is a failure. False: no memory. A write
 * that failed is main's to report. */
bool json_print(json_t *v, size_t flags) MUST_USE;

/* Add v and a newline to the text; NULL is a failure. False: no memory, or the text has failed. */
bool json_append(struct strbuf *to, const json_t *v, size_t flags) MUST_USE;

/* As json_loadb. NULL with *st: ST_NOMEM, or ST_FORMAT and why in words. */
json_t *json_read(const char *text, size_t len, size_t flags, status *st,
                  json_error_t *why) MUST_USE;

#endif /* JSON_BUILD_H */
