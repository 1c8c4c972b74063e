/*
 * fuzz_tokenizer.c - any bytes as a tokenizer model, any text through it, and any
 * bytes as a prompt.
 *
 * Input: two bytes, the length of a prompt (little-endian), the prompt, the model.
 */
#include "tests/fuzz/fuzz.h"

#include "pipeline/text/clean/text_clean.h"
#include "pipeline/text/tokenizer.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { LEN = 64 };
    size_t const want = size < 2 ? 0 : (size_t)(data[0] | data[1] << 8);
    size_t const first = size < 2 ? size : 2;
    size_t const len = want < size - first ? want : size - first;
    struct tokenizer *t = NULL;
    char *clean = NULL;
    int32_t ids[LEN];
    int count = 0;

    bool const is_text = text_clean((const char *)data + first, len, &clean) == ST_OK;
    if (tokenizer_open_bytes(&t, data + first + len, size - first - len, "model") == ST_OK) {
        const char *const text = is_text ? clean : "a red kite, 5 \xc2\xbd \xef\xac\x81";
        if (tokenizer_encode(t, text, ids, LEN, &count) == ST_OK)
            if (count < 1 || count > LEN || ids[count - 1] >= tokenizer_vocab(t)) abort();
        tokenizer_close(&t);
    }
    free(clean);
    error_clear();
    return 0;
}
