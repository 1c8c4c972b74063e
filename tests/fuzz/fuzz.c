/* fuzz.c - inputs go through a file in memory, for readers take paths and map what they open: no
 * disk slows the fuzzer down, and one descriptor serves all inputs. */
#define _GNU_SOURCE
#include "tests/fuzz/fuzz.h"
#include "pipeline/weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

const char *fuzz_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static char path[64];

    if (fd < 0) fd = memfd_create("fuzz", 0);
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size) {
        perror("fuzz_file");
        exit(1);
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return path;
}

void fuzz_weights(const char *path, const char *outer_key)
{
    char hash[DIGEST_HEX];
    struct weights *w;

    if (weights_open(&w, path, outer_key) != ST_OK) return;
    for (int i = 0; i < weights_count(w); i++)
        if (weights_find(w, weights_at(w, i)->name) < 0) abort();
    if (weights_hash(w, hash, NULL) != ST_OK) hash[0] = '\0';
    weights_close(&w);
}
