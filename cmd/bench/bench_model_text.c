/* bench_model_text.c - one prompt through the text encoder. */
#include "base/clock.h"
#include "base/strbuf.h"
#include "cmd/bench/bench_internal.h"
#include "pipeline/text/umt5.h"

#include <stdlib.h>

enum { PROMPTS = 9, WORDS_SMALL = 64, WORDS = 128 };

static status time_prompts(struct umt5 *encoder, int prompts, int words, const int32_t *ids,
                           float *embeds, double *seconds)
{
    struct umt5_prompt list[PROMPTS];
    double const start = clock_seconds();

    for (int i = 0; i < prompts; i++)
        list[i] = (struct umt5_prompt){ ids, words, embeds + i * words * umt5_shape(encoder)->dim };
    TRY(umt5_encode(encoder, list, prompts));
    *seconds = clock_seconds() - start;
    return ST_OK;
}

/* A prompt's share when the weights are at hand: what eight more prompts cost. */
status bench_time_text(const struct bench_model_config *c, struct bench_result *out)
{
    char *const path = path_join(c->dir, "models_t5_umt5-xxl-enc-bf16.pth");
    struct umt5_config config = { .backend = c->backend->kern,
                                  .threads = c->threads,
                                  .precision = c->precision };
    struct umt5 *encoder = NULL;
    float *embeds = NULL;
    int32_t ids[WORDS];
    status st = path ? ST_OK : fail(ST_NOMEM, "bench: a path");

    TRY_OUT(st);
    TRY_OUT(weights_open_as(&config.weights,
                            &(struct weights_request){ .path = path, .family = WEIGHTS_TEXT }));
    TRY_OUT(umt5_open(&encoder, &config));
    const struct umt5_shape *const s = umt5_shape(encoder);
    int const words = s->dim < 1024 ? WORDS_SMALL : WORDS;
    double const n = words;
    out->flop =
        s->layers *
        (n * (8.0 * (double)s->dim * (double)s->dim_attn + 6.0 * (double)s->dim * (double)s->ffn) +
         4 * n * n * (double)s->dim_attn);
    embeds = malloc((size_t)PROMPTS * WORDS * (size_t)s->dim * sizeof *embeds);
    if (!embeds) FAIL_OUT(ST_NOMEM, "bench: embeddings");
    for (int i = 0; i < words; i++) ids[i] = (int32_t)(3 + i * 7 % (s->vocab - 3));
    for (int i = 0; i < BENCH_ROW_RUNS; i++) {
        double one, many;
        TRY_OUT(time_prompts(encoder, 1, words, ids, embeds, &one));
        TRY_OUT(time_prompts(encoder, PROMPTS, words, ids, embeds, &many));
        out->seconds[i] = (many - one) / (PROMPTS - 1);
    }
out:
    umt5_close(&encoder);
    weights_close(&config.weights);
    free(embeds);
    free(path);
    return st;
}
