/* log.c - lines to stderr, each by one write(2), so that those of several ranks do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum log_level level = LOG_INFO;
static _Thread_local int own_rank = -1;

void log_set_level(enum log_level l) { level = l; }
void log_set_rank(int rank) { own_rank = rank; }
int log_rank(void) { return own_rank; }

static void write_line(const char *word, const char *fmt, va_list ap)
{
    char buf[ERROR_MESSAGE + 64];
    size_t n = 0;

    if (own_rank > 0) n += (size_t)snprintf(buf, 32, "[%d] ", own_rank);
    n += (size_t)snprintf(buf + n, 32, "%s", word);
    vsnprintf(buf + n, sizeof buf - n - 1, fmt, ap);
    n = strlen(buf);
    buf[n++] = '\n';
    if (write(STDERR_FILENO, buf, n) < 0) return; /* nowhere left to say it */
}

#define LINE(at, word)                                                                             \
    do {                                                                                           \
        va_list ap;                                                                                \
        if (level < (at)) return;                                                                  \
        va_start(ap, fmt);                                                                         \
        write_line(word, fmt, ap);                                                                 \
        va_end(ap);                                                                                \
    } while (0)

void log_error(const char *fmt, ...) { LINE(LOG_QUIET, "rollmill: "); }
void log_warn(const char *fmt, ...) { LINE(LOG_WARN, "warning: "); }
void log_info(const char *fmt, ...)
{
    if (own_rank <= 0 || level >= LOG_DEBUG) LINE(LOG_INFO, "");
}
void log_debug(const char *fmt, ...) { LINE(LOG_DEBUG, "debug: "); }
