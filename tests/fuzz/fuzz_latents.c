/* fuzz_latents.c - any bytes as the latents that a clip is to begin with. */
#include "tests/fuzz/fuzz.h"

#include "pipeline/engine/dispatch/dispatch_internal.h"

#include <math.h>
#include <stdlib.h>

enum { CHANNELS = 2, HEIGHT = 2, WIDTH = 4, MOST = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct given_latents g;
    const char *const path = fuzz_file(data, size);

    if (given_latents_open(&g, path, CHANNELS, HEIGHT, WIDTH) == ST_OK) {
        if (g.count != g.frames * CHANNELS * HEIGHT * WIDTH) abort();
        float *const to = g.count <= MOST ? malloc((size_t)g.count * sizeof *to) : NULL;
        if (to && given_latents_read(&g, g.frames, to) == ST_OK)
            for (int64_t i = 0; i < g.count; i++)
                if (!isfinite(to[i])) abort();
        free(to);
        given_latents_close(&g);
    }
    error_clear();
    return 0;
}
