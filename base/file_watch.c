/* file_watch.c - a table of the threads that wait for a file's bytes, under one lock. */
#include "base/file_watch.h"
#include "base/clock.h"
#include "base/log.h"

#include <pthread.h>
#include <stdio.h>

enum { THREADS = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct waiting {
    bool taken;
    int rank;
    double since;
    char path[FILE_WATCH_PATH];
} waiting[THREADS];
static _Thread_local struct waiting *own; /* NULL: none, or no place was free */

void file_watch_begin(const char *path)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < THREADS && !own; i++)
        if (!waiting[i].taken) own = &waiting[i];
    if (own) {
        *own = (struct waiting){ .taken = true, .rank = log_rank(), .since = clock_seconds() };
        snprintf(own->path, sizeof own->path, "%s", path);
    }
    pthread_mutex_unlock(&lock);
}

void file_watch_end(void)
{
    if (!own) return;
    pthread_mutex_lock(&lock);
    own->taken = false;
    own = NULL;
    pthread_mutex_unlock(&lock);
}

/* A byte of each page is enough. */
static void touch_pages(const volatile unsigned char *at, size_t len)
{
    enum { PAGE = 4096 };

    for (size_t i = 0; i < len; i += PAGE) (void)at[i];
    if (len) (void)at[len - 1];
}

void file_watch_map(const char *path, const void *data, size_t len)
{
    const unsigned char *const from = data;

    for (size_t at = 0; at < len; at += FILE_WATCH_PIECE) {
        file_watch_begin(path);
        touch_pages(from + at, file_watch_piece(len - at));
        file_watch_end();
    }
}

void file_watch_longest(struct file_wait *out, int rank)
{
    double const now = clock_seconds();

    *out = (struct file_wait){ .seconds = 0 };
    pthread_mutex_lock(&lock);
    for (int i = 0; i < THREADS; i++) {
        const struct waiting *const w = &waiting[i];
        bool const asked = rank < 0 || w->rank == rank || (w->rank < 0 && rank == 0);
        if (!w->taken || !asked || !(now - w->since > out->seconds)) continue;
        out->seconds = now - w->since;
        snprintf(out->path, sizeof out->path, "%s", w->path);
    }
    pthread_mutex_unlock(&lock);
}
