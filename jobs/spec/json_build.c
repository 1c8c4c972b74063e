/* json_build.c - jansson's texts, with an eye on its memory. */
#include "jobs/spec/json_build.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local bool starved; /* an allocation of this thread has failed */

static void *take_memory(size_t n)
{
    void *const p = malloc(n);
    if (!p) starved = true;
    return p;
}

/* Values that were made before are freed as ever. */
static void watch_memory(void) { json_set_alloc_funcs(take_memory, free); }

static void begin_watching(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, watch_memory);
    starved = false;
}

char *json_write(const json_t *v, size_t flags)
{
    begin_watching();
    char *const text = json_dumps(v, flags);
    if (!starved) return text;
    free(text);
    return NULL;
}

bool json_print(json_t *v, size_t flags)
{
    char *const text = v ? json_write(v, flags) : NULL;
    bool const whole = text != NULL;

    json_decref(v);
    if (whole) puts(text);
    free(text);
    return whole;
}

bool json_append(struct strbuf *to, const json_t *v, size_t flags)
{
    char *const text = v ? json_write(v, flags) : NULL;

    if (text) strbuf_addf(to, "%s\n", text);
    else to->failed = true;
    free(text);
    return !to->failed;
}

json_t *json_read(const char *text, size_t len, size_t flags, status *st, json_error_t *why)
{
    begin_watching();
    json_t *const v = json_loadb(text, len, flags, why);
    *st = starved ? ST_NOMEM : v ? ST_OK : ST_FORMAT;
    if (*st == ST_OK) return v;
    if (starved) strcpy(why->text, "no memory to read it");
    json_decref(v);
    return NULL;
}
