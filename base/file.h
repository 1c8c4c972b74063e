/* file.h - whole files: read, map, write durably. */
#ifndef FILE_H
#define FILE_H

#include "base/base.h"

/* Which file it is, and in which state: two that are alike are the same bytes, as far as the system
 * can tell without reading them. */
struct file_stamp {
    int64_t device, inode, size;
    int64_t modified[2], changed[2]; /* seconds, nanoseconds */
};

/* ST_FORMAT if there is none. */
status file_stamp_of(struct file_stamp *out, const char *path) MUST_USE;

/* The kind of failure of a file that cannot be opened: ST_FORMAT where it is missing, closed to us
 * or another thing than a file; ST_IO for what may be over soon (a disk, memory, open files). */
status file_open_status(int why);

/* A regular file to read; *fd is the caller's to close, -1 after a failure, which is one of these
 * kinds. Which file it was is noted (file_pledge.h). */
status file_open(const char *path, int *fd, struct file_stamp *stamp) MUST_USE;

/* A file mapped read-only. `data` is NULL for an empty file. */
struct file_map {
    const unsigned char *data;
    size_t size; /* bytes */
    struct file_stamp stamp;
};

/* ST_FORMAT if the file is missing, unreadable or no regular file; ST_IO as above. Whoever maps,
 * unmaps. */
status file_map(struct file_map *out, const char *path) MUST_USE;
void file_unmap(struct file_map *m); /* safe on a zeroed one; zeroes it */

/* Read a file of at most `limit` bytes. *text is malloc'ed and NUL-terminated
 * behind its last byte; caller frees. ST_FORMAT if missing or longer than limit. */
status file_read(const char *path, size_t limit, char **text, size_t *len) MUST_USE;

/*
 * A file in the making: open, add ..., commit, close. It is written beside its
 * place; commit syncs it, renames it there and syncs the folder. Readers see the
 * old file or the new one, never a part. ST_IO with the path and the reason.
 */
struct file_draft {
    char *path, *tmp; /* tmp: NULL once committed */
    int fd;
};

/* After a failure there is nothing to close. The name beside its place is a new one: a file or
 * link that somebody has put there is neither used nor followed. */
status file_draft_open(struct file_draft *d, const char *path) MUST_USE;
status file_draft_add(struct file_draft *d, const void *data, size_t len) MUST_USE;
status file_draft_commit(struct file_draft *d) MUST_USE; /* only close may follow */

/* Without a commit before, nothing is left behind. Safe on a zeroed one; zeroes it. */
void file_draft_close(struct file_draft *d);

/* All of it at once. Of a link, the file it leads to is replaced; a pipe or a device is
 * written into as it is. ST_IO for a folder. */
status file_write(const char *path, const void *data, size_t len) MUST_USE;

/* mkdir -p; a folder that is made is synced in the one it lies in. ST_IO with the folder that
 * could not be made. */
status dir_make(const char *path) MUST_USE;

/* fsync a folder, so that a rename inside it survives a power loss. */
status dir_sync(const char *path) MUST_USE;

/* rm -r. A path that is not there is fine. Links are removed, not followed. */
status dir_remove(const char *path) MUST_USE;

/* path_exists: there is something of this name, be it a link. path_is_missing: there provably is
 * not. Of what cannot be looked at just now neither is true, and opening it says why. */
bool path_exists(const char *path);
bool path_is_missing(const char *path);
bool path_is_folder(const char *path); /* links are followed */

#endif /* FILE_H */
