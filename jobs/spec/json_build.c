#include "jobs/spec/json_build.h"

static void keep(json_t **to, int failed)
{
    if (!failed) return;
    json_decref(*to);
    *to = NULL;
}

void json_add(json_t **to, json_t *value) { keep(to, json_array_append_new(*to, value)); }

void json_set(json_t **to, const char *key, json_t *value)
{
    keep(to, json_object_set_new(*to, key, value));
}
