/* store_postgres_stub.c - in place of store_postgres.c in a build with POSTGRES=0. */
#include "jobs/queue/queue_internal.h"

#include <stdio.h>
#include <stdlib.h>

static void close_none(struct store *s) { free(s); }

static const struct store_ops no_ops = { .close = close_none };

enum store_answer store_postgres_open(struct store **out, const char *url)
{
    struct store *const s = calloc(1, sizeof *s);

    (void)url;
    *out = s;
    if (!s) return STORE_BAD;
    s->ops = &no_ops;
    snprintf(s->error, sizeof s->error,
             "this program was built without PostgreSQL (POSTGRES=0); allowed: sqlite:PATH");
    return STORE_BAD;
}

bool store_postgres_has_password(const char *url)
{
    (void)url;
    return false;
}
