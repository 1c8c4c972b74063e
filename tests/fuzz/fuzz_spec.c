/* fuzz_spec.c - any bytes as a clip's and as a model's JSON; what is taken comes back the same. */
#include "jobs/spec/spec_json.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

static void try_clip(const char *json, size_t size)
{
    struct clip_spec c, back;
    struct strbuf once = { 0 }, twice = { 0 };

    if (clip_spec_from_json(&c, json, size) != ST_OK) return;
    if (clip_spec_to_json(&once, &c) != ST_OK) abort();
    if (clip_spec_from_json(&back, once.s, once.len) != ST_OK) abort();
    if (clip_spec_to_json(&twice, &back) != ST_OK || strcmp(once.s, twice.s) != 0) abort();
    if (clip_pictures(c.blocks, c.frames_per_block) < c.pictures) abort();
    clip_spec_free(&c);
    clip_spec_free(&back);
    strbuf_free(&once);
    strbuf_free(&twice);
}

static void try_model(const char *json, size_t size)
{
    struct model_spec m, back;
    struct strbuf once = { 0 }, twice = { 0 };

    if (model_spec_from_json(&m, json, size) != ST_OK) return;
    if (model_spec_to_json(&once, &m) != ST_OK) abort();
    if (model_spec_from_json(&back, once.s, once.len) != ST_OK) abort();
    if (model_spec_to_json(&twice, &back) != ST_OK || strcmp(once.s, twice.s) != 0) abort();
    model_spec_free(&m);
    model_spec_free(&back);
    strbuf_free(&once);
    strbuf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *const json = size ? (const char *)data : "";

    try_clip(json, size);
    try_model(json, size);
    return 0;
}
