/*
 * safetensors.h - the header of a safetensors file, checked to the last byte.
 *
 *   8 bytes   length of the JSON header, little-endian
 *   JSON      {"name": {"dtype": "F32", "shape": [..], "data_offsets": [from, to]}, ...}
 *   data      the tensors, back to back
 *
 * The data must be covered exactly once: no hole, no overlap, nothing behind.
 * Format: github.com/huggingface/safetensors.
 */
#ifndef SAFETENSORS_H
#define SAFETENSORS_H

#include "base/file.h"
#include "kernels/tensor.h"

/* Bytes. Real headers stay below 1 MiB; read, one takes up to 50 times its size. */
enum { SAFETENSORS_HEADER_MAX = 8 << 20 };

struct safetensors_entry {
    char *name;
    struct tensor t; /* shape; data points into the map, of any alignment */
};

struct safetensors {
    struct file_map map;
    struct safetensors_entry *entry; /* in the order of the data */
    int count;
};

/* True if a file that begins like this can be one: a plausible length and a brace. */
bool safetensors_looks(const unsigned char *data, size_t size);

/* Map the file and check its header. ST_FORMAT says what is wrong. Whoever
 * opens, closes; after a failure there is nothing to close. */
status safetensors_open(struct safetensors *out, const char *path) MUST_USE;
void safetensors_close(struct safetensors *s); /* safe on a zeroed one; zeroes it */

#endif /* SAFETENSORS_H */
