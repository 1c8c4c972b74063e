/*
 * fd.h - calls on a file, made again where a signal has interrupted them and until all is done, and
 * watched where they may wait without end (file_watch.h). FD_AGAIN is for what has no name here:
 * flock, ftruncate.
 */
#ifndef FD_H
#define FD_H

#include "base/base.h"

#include <errno.h>

/* The call that gives -1, and errno, once more as long as signals interrupt it. */
#define FD_AGAIN(rc, call)                                                                         \
    do (rc) = (call);                                                                              \
    while ((rc) < 0 && errno == EINTR)

/* As open, fsync and close: -1 with errno. A file that is made has the mode 0666. Where a signal
 * interrupts a close the number is free; what counts has been synced before. */
int fd_open(const char *path, int flags);
int fd_sync(int fd);
int fd_close(int fd);

/* Up to `len` bytes from byte `at`; *got: so many, fewer only at the file's end. ST_IO with `path`,
 * the byte and the reason. */
status fd_read(int fd, const char *path, int64_t at, void *to, size_t len, size_t *got) MUST_USE;

/* All of `len` bytes, where the descriptor stands or from byte `at`. ST_IO as above. */
status fd_write(int fd, const char *path, const void *data, size_t len) MUST_USE;
status fd_write_at(int fd, const char *path, int64_t at, const void *data, size_t len) MUST_USE;

#endif /* FD_H */
