/* json_build.h - jansson values built part by part, where out of memory shows at the end. */
#ifndef JSON_BUILD_H
#define JSON_BUILD_H

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
json_t *json_text(const char *text);

#endif /* JSON_BUILD_H */
