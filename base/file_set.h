/* file_set.h - the files that one path stands for, where a model may be one file or several. */
#ifndef FILE_SET_H
#define FILE_SET_H

#include "base/base.h"

enum { FILE_SET_MAX = 4096 };

/* The folders in which hubs keep the parts of a model, for `inside` below. */
extern const char *const file_set_transformer[], *const file_set_text[], *const file_set_vae[];

struct file_set {
    char **path; /* in the order of the index, or of their names */
    int count;
};

/* A file stands for itself; a .json with a `weight_map` for the shards it names, which lie beside
 * it; a folder for its one index, else for its one file of weights (.safetensors, else .gguf, .pt,
 * .pth or .bin), there or in the first of `inside` (names of folders, ended by NULL; NULL: none)
 * that it holds. ST_FORMAT says what is not there, or which of several files to name. Whoever
 * opens, closes; after a failure there is nothing to close. */
status file_set_open(struct file_set *out, const char *path, const char *const *inside) MUST_USE;
void file_set_close(struct file_set *s); /* safe on a zeroed one; zeroes it */

#endif /* FILE_SET_H */
