/* file_guard.h - what happens when a mapped file's bytes cannot be had. */
#ifndef FILE_GUARD_H
#define FILE_GUARD_H

#include "base/base.h"

/* From now on a page of a mapped file that cannot be read ends the process with exit code 1 and a
 * line that names the file. Called once, by main. */
void file_guard_begin(void);

/* file_map and file_unmap tell of their maps. Beyond 1024 maps at once, one is not known and its
 * failure is a plain SIGBUS. Any thread may call. */
void file_guard_add(const unsigned char *data, size_t size, const char *path);
void file_guard_remove(const unsigned char *data);

#endif /* FILE_GUARD_H */
