/* strbuf.h - a string that grows, and paths made of strings. */
#ifndef STRBUF_H
#define STRBUF_H

#include "base/base.h"

/* Zero-initialise; strbuf_free when done. `s` is NUL-terminated, NULL while
 * empty. Running out of memory is remembered in `failed` and makes further
 * additions do nothing, so a long list is checked once, at its end. */
struct strbuf {
    char *s;
    size_t len, cap;
    bool failed;
};

void strbuf_addf(struct strbuf *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void strbuf_add(struct strbuf *t, const void *bytes, size_t len);
void strbuf_free(struct strbuf *t); /* frees and zeroes */

/* Bytes for people. */
static inline double bytes_mib(double bytes) { return bytes / (1 << 20); }
static inline double bytes_gib(double bytes) { return bytes / (1 << 30); }

/* malloc'ed copies; NULL when out of memory. Caller frees. */
char *str_format(const char *fmt, ...) PRINTF_LIKE(1, 2);
char *path_join(const char *dir, const char *name); /* `name` alone if it is absolute */
char *path_dir(const char *path);                   /* "." if there is no slash */

#endif /* STRBUF_H */
