/*
 * snapshot_lock.c - an attempt that a render has chosen to go on from is kept from whoever removes
 * attempts.
 *
 * The lock is flock's, on the folder itself: it dies with whoever holds it, leaves no file, and
 * needs no right to write. Those who go on share it, and take it before they look what is there;
 * a sweep, and the attempt's own render where it drops it, have it alone meanwhile. Only of two
 * that go on from one attempt the first to end removes it under the other, whose clip then fails
 * alone.
 */
#define _DEFAULT_SOURCE
#include "base/fd.h"
#include "pipeline/resume/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

struct snapshot_lock {
    int fd;
};

bool snapshot_lock(struct snapshot_lock **out, const char *dir, bool alone)
{
    struct snapshot_lock own = { fd_open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) };
    int rc;

    *out = NULL;
    if (own.fd < 0) return true; /* not there, or closed to us: to be found out by what follows */
    FD_AGAIN(rc, flock(own.fd, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB));
    if (rc) {
        bool const held = errno == EWOULDBLOCK;
        close(own.fd);
        return !held;
    }
    *out = malloc(sizeof **out);
    if (*out) **out = own;
    else close(own.fd);
    return *out != NULL;
}

void snapshot_unlock(struct snapshot_lock **lock)
{
    if (*lock) close((*lock)->fd);
    free(*lock);
    *lock = NULL;
}
