/* fuzz_safetensors.c - any bytes as a safetensors file. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_weights(fuzz_file(data, size), NULL);
    return 0;
}
