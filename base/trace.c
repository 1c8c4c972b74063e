/*
 * trace.c - events in Chrome's JSON array format.
 *
 * Ranks append to one file without talking to each other: it is opened O_APPEND and each write(2)
 * carries whole lines, so lines of different processes never mix. Events are collected in a
 * buffer and written when it is full, or at the end of a lap.
 */
#include "base/trace.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 64 << 10, EVENT = 512 };

struct trace {
    pthread_mutex_t lock;
    int fd; /* -1: a write failed */
    int rank;
    double offset; /* clock_seconds() at the world's start */
    size_t len;
    char buffer[BUFFER];
};

double trace_epoch(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double trace_now(const struct trace *t) { return t ? clock_seconds() - t->offset : 0; }

status trace_create(const char *path)
{
    int const fd = fd_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC);

    if (fd < 0) return fail(ST_IO, "%s: %s", path, strerror(errno));
    status const st = fd_write(fd, path, "[\n", 2);
    if (fd_close(fd) || st != ST_OK) return fail(ST_IO, "%s: cannot be written", path);
    return ST_OK;
}

/* Called with the lock. */
static void flush_buffer(struct trace *t)
{
    if (t->fd >= 0 && t->len && fd_write(t->fd, "trace", t->buffer, t->len) != ST_OK) {
        log_warn("%s; the trace ends here", error_last()->msg);
        close(t->fd);
        t->fd = -1;
    }
    t->len = 0;
}

/* One event: a whole line. */
PRINTF_LIKE(2, 3) static void write_event(struct trace *t, const char *fmt, ...)
{
    char line[EVENT];
    va_list args;

    va_start(args, fmt);
    int const n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n < 0 || n >= EVENT) return;

    pthread_mutex_lock(&t->lock);
    if (t->len + (size_t)n > BUFFER) flush_buffer(t);
    memcpy(t->buffer + t->len, line, (size_t)n);
    t->len += (size_t)n;
    pthread_mutex_unlock(&t->lock);
}

status trace_open(struct trace **out, const struct trace_config *c)
{
    struct trace *const t = malloc(sizeof *t);

    *out = NULL;
    if (!t) return fail(ST_NOMEM, "trace: no memory");
    t->len = 0;
    t->rank = c->rank;
    t->offset = clock_seconds() - (trace_epoch() - c->start);
    t->fd = fd_open(c->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (t->fd < 0) {
        status const st = fail(ST_IO, "%s: %s", c->path, strerror(errno));
        free(t);
        return st;
    }
    pthread_mutex_init(&t->lock, NULL);
    write_event(
        t,
        "{\"ph\": \"M\", \"name\": \"process_name\", \"pid\": %d, \"args\": {\"name\": \"%s\"}},\n"
        "{\"ph\": \"M\", \"name\": \"process_sort_index\", \"pid\": %d, \"args\": "
        "{\"sort_index\": %d}},\n",
        c->rank, c->name, c->rank, c->rank);
    *out = t;
    return ST_OK;
}

void trace_close(struct trace **trace, bool last)
{
    struct trace *const t = *trace;

    if (!t) return;
    if (last)
        write_event(
            t,
            "{\"ph\": \"i\", \"s\": \"g\", \"name\": \"end\", \"pid\": %d, \"tid\": 0, \"ts\": "
            "%.1f}\n]\n",
            t->rank, trace_now(t) * 1e6);
    trace_flush(t);
    if (t->fd >= 0) close(t->fd);
    pthread_mutex_destroy(&t->lock);
    free(t);
    *trace = NULL;
}

void trace_row(struct trace *t, int row, const char *name)
{
    if (!t) return;
    write_event(
        t,
        "{\"ph\": \"M\", \"name\": \"thread_name\", \"pid\": %d, \"tid\": %d, \"args\": {\"name\": "
        "\"%s\"}},\n"
        "{\"ph\": \"M\", \"name\": \"thread_sort_index\", \"pid\": %d, \"tid\": %d, \"args\": "
        "{\"sort_index\": %d}},\n",
        t->rank, row, name, t->rank, row, row);
}

void trace_span(struct trace *t, const struct trace_span *s)
{
    if (!t) return;
    write_event(
        t,
        "{\"ph\": \"X\", \"name\": \"%s\", \"pid\": %d, \"tid\": %d, \"ts\": %.3f, \"dur\": %.3f, "
        "\"args\": {%s}},\n",
        s->what, t->rank, s->row, s->begin * 1e6, (s->end - s->begin) * 1e6, s->where);
}

void trace_arrow(struct trace *t, int row, bool begins, uint64_t id, double at)
{
    if (!t) return;
    write_event(
        t,
        "{\"ph\": \"%c\", \"name\": \"block\", \"cat\": \"block\", \"bp\": \"e\", \"id\": %llu, "
        "\"pid\": %d, \"tid\": %d, \"ts\": %.3f},\n",
        begins ? 's' : 'f', (unsigned long long)id, t->rank, row, at * 1e6);
}

void trace_counter(struct trace *t, const char *what, int64_t value)
{
    if (!t) return;
    write_event(
        t,
        "{\"ph\": \"C\", \"name\": \"%s\", \"pid\": %d, \"ts\": %.1f, \"args\": {\"value\": "
        "%lld}},\n",
        what, t->rank, trace_now(t) * 1e6, (long long)value);
}

void trace_flush(struct trace *t)
{
    if (!t) return;
    pthread_mutex_lock(&t->lock);
    flush_buffer(t);
    pthread_mutex_unlock(&t->lock);
}
