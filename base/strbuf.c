/* strbuf.c - a growing string that remembers running out of memory until it is asked. */
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve_bytes(struct strbuf *t, size_t more)
{
    size_t cap = t->cap ? t->cap : 64;

    if (t->failed || more > SIZE_MAX / 4 || t->len > SIZE_MAX / 4) {
        t->failed = true;
        return false;
    }
    while (cap < t->len + more + 1) cap *= 2;
    if (cap == t->cap) return true;

    char *const s = realloc(t->s, cap);
    if (!s) {
        t->failed = true;
        return false;
    }
    t->s = s;
    t->cap = cap;
    return true;
}

void strbuf_add(struct strbuf *t, const void *bytes, size_t len)
{
    if (!reserve_bytes(t, len)) return;
    if (len) memcpy(t->s + t->len, bytes, len);
    t->len += len;
    t->s[t->len] = '\0';
}

static void add_formatted(struct strbuf *t, const char *fmt, va_list ap)
{
    va_list twice;
    va_copy(twice, ap);
    int const n = vsnprintf(NULL, 0, fmt, twice);
    va_end(twice);

    if (n < 0 || !reserve_bytes(t, (size_t)n)) {
        t->failed = true;
        return;
    }
    vsnprintf(t->s + t->len, (size_t)n + 1, fmt, ap);
    t->len += (size_t)n;
}

void strbuf_addf(struct strbuf *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add_formatted(t, fmt, ap);
    va_end(ap);
}

void strbuf_free(struct strbuf *t)
{
    free(t->s);
    *t = (struct strbuf){ 0 };
}

char *str_format(const char *fmt, ...)
{
    struct strbuf t = { 0 };
    va_list ap;

    va_start(ap, fmt);
    add_formatted(&t, fmt, ap);
    va_end(ap);
    if (t.failed) strbuf_free(&t);
    return t.s;
}

char *path_join(const char *dir, const char *name)
{
    if (name[0] == '/' || !dir[0] || !strcmp(dir, ".")) return str_format("%s", name);
    return str_format("%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", name);
}

char *path_dir(const char *path)
{
    const char *const slash = strrchr(path, '/');

    if (!slash) return str_format(".");
    if (slash == path) return str_format("/");
    return str_format("%.*s", (int)(slash - path), path);
}
