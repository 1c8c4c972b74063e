/* fuzz_adapter.c - any bytes as a LoRA: its names against a model's, its shapes, and what it makes
 * of the weights. The first byte says what a card would. */
#include "tests/fuzz/fuzz.h"

#include "pipeline/weights/tensor_file.h"
#include "pipeline/weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { NUMBERS = 64 };

/* A model of four weights, in a file of its own. */
static const char *base_file(void)
{
    static char path[64];
    float numbers[NUMBERS];
    struct tensor_file_item const items[] = {
        { "blocks.0.self_attn.q.weight", { numbers, DT_F32, 2, { 2, 3 } } },
        { "blocks.0.self_attn.q.bias", { numbers, DT_F32, 1, { 2 } } },
        { "blocks.0.ffn.0.weight", { numbers, DT_BF16, 2, { 4, 2 } } },
        { "blocks.1.cross_attn.k.weight", { numbers, DT_F32, 2, { 3, 3 } } },
    };

    if (path[0]) return path;
    for (int i = 0; i < NUMBERS; i++) numbers[i] = (float)i / NUMBERS;
    snprintf(path, sizeof path, "/tmp/fuzz-adapter.%ld", (long)getpid());
    if (tensor_file_write(path, items, COUNT_OF(items)) != ST_OK) abort();
    return path;
}

static void read_all(struct weights *w)
{
    float to[NUMBERS];

    for (int i = 0; i < weights_count(w); i++)
        if (weights_at(w, i)->count > NUMBERS ||
            weights_read(w, i, 0, weights_at(w, i)->count, to) != ST_OK)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weights *w;

    if (!size) return 0;
    struct weight_adapter const a = { .path = fuzz_file(data + 1, size - 1),
                                      .rank = data[0] & 3,
                                      .alpha = data[0] & 4 ? 1 : 0,
                                      .scale = data[0] & 8 ? -2 : 0 };
    if (weights_open_as(&w, &(struct weights_request){ base_file(), NULL, WEIGHTS_DIT }) != ST_OK)
        abort();
    if (weights_add_adapter(w, &a) == ST_OK) read_all(w);
    weights_close(&w);
    error_clear();
    return 0;
}
