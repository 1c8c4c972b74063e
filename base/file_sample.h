/*
 * file_sample.h - what a file holds, without reading all of a large one; and whether it is still
 * the file that was looked at.
 */
#ifndef FILE_SAMPLE_H
#define FILE_SAMPLE_H

#include "base/file_hash.h"
#include "base/strbuf.h"

enum { FILE_IDENTITY = 256 };

/* sum: the SHA-256 of the text. identity: machine since its start, device, number, size, dates; of
 * the open file that was read. */
struct file_sample {
    char identity[FILE_IDENTITY], sum[DIGEST_HEX];
};

/* "SIZE " and hashes of the file's bytes are added to `text`: up to 64 MiB of all of them, of a
 * larger file of 64 pieces of 1 MiB spread evenly over it, the first and the last included.
 * Under rule->whole the hash of all bytes stands there, however large. ST_IO if the file changes
 * meanwhile, or another takes its name. */
status file_sample_read(struct file_sample *out, struct strbuf *text, const char *path,
                        const struct file_hash_rule *rule) MUST_USE;

/* Is the file what was sampled? On the machine that sampled it its identity must be the same; on
 * another it is sampled there by the same rule. ST_IO names the file if not. identity, stamp: of
 * the file here, for the next question; may be out->identity of `before`. */
status file_sample_check(const char *path, const struct file_sample *before,
                         const struct file_hash_rule *rule, char identity[FILE_IDENTITY],
                         struct file_stamp *stamp) MUST_USE;

#endif /* FILE_SAMPLE_H */
