/* digest.h - SHA-256: of bytes, of files, of bytes that come in pieces. */
#ifndef DIGEST_H
#define DIGEST_H

#include "base/base.h"

enum { DIGEST_HEX = 65 }; /* 64 hex digits and a NUL */

/* ST_NOMEM. */
status digest_bytes(const void *data, size_t len, char hex[DIGEST_HEX]) MUST_USE;

/* A file's content. ST_FORMAT if it is missing or unreadable. */
status digest_file(const char *path, char hex[DIGEST_HEX]) MUST_USE;

/* The same, unless a stop comes: asked before each FILE_WATCH_PIECE bytes; ST_CANCELED if it says
 * so. NULL: nobody is asked. */
status digest_file_unless(const char *path, bool (*stop)(void *arg), void *arg,
                          char hex[DIGEST_HEX]) MUST_USE;

/* One that takes its bytes in pieces. */
struct digest {
    void *ctx; /* a SHA256_CTX; owned */
};

/* ST_NOMEM. digest_close when done; safe on a zeroed one. */
status digest_open(struct digest *d) MUST_USE;
status digest_add(struct digest *d, const void *bytes, size_t len) MUST_USE;
status digest_end(struct digest *d, char hex[DIGEST_HEX]) MUST_USE; /* and begin again */
void digest_close(struct digest *d);

/* What has been added so far, to go on with on a machine of the same byte order: into one that is
 * open. ST_FORMAT if it is no state. */
enum { DIGEST_STATE = 112 };
void digest_save(const struct digest *d, unsigned char state[DIGEST_STATE]);
status digest_load(struct digest *d, const unsigned char state[DIGEST_STATE]) MUST_USE;

#endif /* DIGEST_H */
