/*
 * file_watch.h - which file a thread waits for. A call on a disk or a network folder that is gone
 * may never return, and nothing else shows where.
 *
 * What reads files says so around each call and each piece of a mapped file; whoever watches over
 * a rank asks for the longest wait (engine.c).
 */
#ifndef FILE_WATCH_H
#define FILE_WATCH_H

#include "base/base.h"

/* begin: this thread is about to wait for bytes of `path`; end: it has them. Ask for
 * FILE_WATCH_PIECE at most between the two. Not nested; threads beyond 256 at once are not
 * watched. */
void file_watch_begin(const char *path);
void file_watch_end(void);

enum { FILE_WATCH_PATH = 1024, FILE_WATCH_PIECE = 8 << 20 /* bytes to ask for at most */ };

/* Of the bytes that are left, as many as may be asked for at once. */
static inline size_t file_watch_piece(size_t left)
{
    return left < FILE_WATCH_PIECE ? left : FILE_WATCH_PIECE;
}

/* Waits, watched, until these bytes of the mapped file are in memory. */
void file_watch_map(const char *path, const void *data, size_t len);

struct file_wait {
    char path[FILE_WATCH_PATH]; /* cut */
    double seconds;             /* 0: nobody waits */
};

/* The longest wait of this rank's threads (log_set_rank), of all threads for a `rank` of -1. */
void file_watch_longest(struct file_wait *out, int rank);

#endif /* FILE_WATCH_H */
