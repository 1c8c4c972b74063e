/*
 * base.c - the error record of a thread.
 *
 * One record a thread, written where a failure begins and added to on its way up, so no function
 * needs an out parameter for messages and nothing is lost when threads fail at once. Whoever ends
 * a thread copies its record over (error_adopt, task_join).
 */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>

static _Thread_local struct error last;

const char *status_name(status st)
{
    static const char *const names[ST_COUNT] = {
        [ST_OK] = "ok",         [ST_ARG] = "arg",
        [ST_NOMEM] = "nomem",   [ST_IO] = "io",
        [ST_FORMAT] = "format", [ST_MISMATCH] = "mismatch",
        [ST_DEVICE] = "device", [ST_COMM] = "comm",
        [ST_PEER] = "peer",     [ST_CANCELED] = "canceled",
    };
    return (unsigned)st < ST_COUNT ? names[st] : "unknown";
}

const struct error *error_last(void) { return &last; }

static int status_weight(status st)
{
    switch (st) {
    case ST_OK: return 0;
    case ST_CANCELED: return 1;
    case ST_PEER: return 2;
    default: return 3;
    }
}

bool status_outweighs(status a, status b) { return status_weight(a) > status_weight(b); }

void error_clear(void) { last = (struct error){ 0 }; }

void error_adopt(const struct error *from) { last = *from; }

void base_trace(const char *file, int line, const char *expr)
{
    if (last.depth >= ERROR_FRAMES) return;
    last.at[last.depth].file = file;
    last.at[last.depth].line = line;
    last.at[last.depth].expr = expr;
    last.depth++;
}

void base_fail(status st, const char *file, int line, const char *fmt, ...)
{
    struct error e = { .st = st }; /* apart from `last`: an argument may point into it */
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(e.msg, sizeof e.msg, fmt, ap);
    va_end(ap);
    last = e;
    base_trace(file, line, "fail");
}
