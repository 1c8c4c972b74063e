/* fuzz_gguf.c - any bytes behind "GGUF" as such a file, and its numbers. */
#include "tests/fuzz/fuzz.h"

#include "pipeline/weights/weights.h"
#include <stdlib.h>
#include <string.h>

enum { NUMBERS = 1 << 12 }; /* of a tensor */

static void read_numbers(const char *path)
{
    static float to[NUMBERS];
    struct weights *w;

    if (weights_open(&w, path, NULL) != ST_OK) return;
    for (int i = 0; i < weights_count(w); i++) {
        int64_t const n = weights_at(w, i)->count;
        status const st = weights_read(w, i, 0, n < NUMBERS ? n : NUMBERS, to);
        if (st == ST_OK && weights_unread(w, i)) abort();
    }
    weights_close(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *const file = malloc(size + 4);

    if (!file) return 0;
    memcpy(file, "GGUF", 4);
    if (size) memcpy(file + 4, data, size);
    const char *const path = fuzz_file(file, size + 4);
    fuzz_weights(path, NULL);
    read_numbers(path);
    free(file);
    return 0;
}
