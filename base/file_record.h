/*
 * file_record.h - what a file is meant to hold, kept while it is written and held against what
 * is read back.
 *
 * Every piece is hashed in memory before it goes to the disk, in chunks; the newest chunk is kept
 * as it is. So a write that is lost, cut or changed on its way shows, with its place in the file.
 * Memory: a chunk, and 65 bytes for each chunk of the file.
 *
 * One owner, one thread.
 */
#ifndef FILE_RECORD_H
#define FILE_RECORD_H

#include "base/digest.h"

enum { FILE_RECORD_CHUNK = 1 << 16 /* bytes */ };

struct file_record {
    char *path; /* for messages */
    int64_t size;
    int64_t at;              /* the chunk that is in memory */
    unsigned char *chunk;    /* [FILE_RECORD_CHUNK] */
    char (*sum)[DIGEST_HEX]; /* [room] of the others */
    int64_t room;
};

/* Of a file that is still empty. ST_NOMEM. file_record_close after success and after failure; it
 * is safe on a zeroed one and zeroes it. */
status file_record_open(struct file_record *r, const char *path) MUST_USE;
void file_record_close(struct file_record *r);

/* The next bytes, which somebody else writes at the file's end. */
status file_record_add(struct file_record *r, const void *data, size_t len) MUST_USE;

/* Write at `pos`, behind the file's end over a gap of zeros, and keep what was written. fd: the
 * file, open for reading too: a chunk that was left before is read back, and ST_IO if it is not
 * what was written. ST_IO names the place that cannot be written. */
status file_record_write(struct file_record *r, int fd, int64_t pos, const void *data,
                         size_t len) MUST_USE;

/* Read bytes pos..pos+len, which the file has. ST_IO as above. */
status file_record_read(struct file_record *r, int fd, int64_t pos, void *buf, size_t len) MUST_USE;

/* Read all of the file anew, from the disk where the system lets go of what it holds in memory.
 * ST_IO names the first bytes that are not what was written, or the size. sha256: of all. Only
 * close may follow. */
status file_record_check(struct file_record *r, char sha256[DIGEST_HEX]) MUST_USE;

#endif /* FILE_RECORD_H */
