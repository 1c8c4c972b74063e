/* fuzz.h - what the fuzz targets share: bytes as a file, and libFuzzer's entry. */
#ifndef FUZZ_H
#define FUZZ_H

#include "base/base.h"

/* libFuzzer calls this with each input; it returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The path of a file in memory that holds these bytes until the next call. Ends
 * the program if there is no memory for it. */
const char *fuzz_file(const uint8_t *data, size_t size);

/* Open a checkpoint, read everything in it, close it. Both may refuse; neither
 * may crash. */
void fuzz_weights(const char *path, const char *outer_key);

#endif /* FUZZ_H */
