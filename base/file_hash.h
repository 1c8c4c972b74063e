/*
 * file_hash.h - the SHA-256 of all of a file, which a large one is read for once: it is kept from
 * run to run by what the file is.
 */
#ifndef FILE_HASH_H
#define FILE_HASH_H

#include "base/digest.h"
#include "base/file.h"

/* How a model's files are hashed for its id. */
struct file_hash_rule {
    bool whole;        /* all bytes; else samples of a large file (file_sample.h) */
    const char *cache; /* file of whole files' hashes; NULL: none */
};

/* *stamp: of the file that was hashed. ST_FORMAT or ST_IO as file_map; ST_IO if it changes
 * meanwhile, or another takes its name.
 *
 * cache: a file that is made where there is none, with its folder; NULL: none. A hash in it counts
 * for the file of that device, number, size and dates. One that is damaged is as good as none, with
 * a warning, and so is one that cannot be written. It holds FILE_HASHES at most, the oldest goes.
 * Any thread may call; processes that write at one time may lose each other's. */
enum { FILE_HASHES = 4096 };
status file_hash(const char *path, const char *cache, struct file_stamp *stamp,
                 char hex[DIGEST_HEX]) MUST_USE;

#endif /* FILE_HASH_H */
