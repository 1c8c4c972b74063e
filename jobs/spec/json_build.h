/* json_build.h - jansson values built part by part, where out of memory shows at the end. */
#ifndef JSON_BUILD_H
#define JSON_BUILD_H

#include <jansson.h>

/* Add to the list or map at *to, which becomes NULL if that fails or was NULL; what is
 * made of it then is NULL too. `value` is handed over and may be NULL, a failure. */
void json_add(json_t **to, json_t *value);
void json_set(json_t **to, const char *key, json_t *value);

#endif /* JSON_BUILD_H */
