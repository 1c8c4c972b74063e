/*
 * gpu_plans.c - cuDNN's plans for the model's real shapes, made for a card that is not there.
 *
 *   gpu_plans [CARD.json]       (default tests/gpu/h100.json)
 *
 * Every graph is the one that the backend builds. The heuristics must name a way to run it,
 * the first of them must become a plan, and its kernel must be one for Hopper's matrix unit.
 * cuDNN loads what it compiled into the driver last of all, so a driver must be there: the
 * loader finds a stand-in for it (tests/gpu/driver.sh) that takes every kernel and runs none.
 * A second context must come to the same kernels from the first one's text, in a tenth of the
 * time: nothing is compiled again.
 */
#include "base/clock.h"
#include "kernels/cuda/fp8/cuda_fp8_attention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Self attention of one rank, of all stages on one card, and in two parts; text; heads
 * shared out over ranks. */
static const struct {
    const char *name;
    struct cuda_attention_shape shape;
    const char *kernel; /* part of its name: Hopper's, where there is one */
} attentions[] = {
    { "one stage, all keys", { 4680, 32760, 12, 128, false }, "sm90" },
    { "one stage, all keys, lse", { 4680, 32760, 12, 128, true }, "sm90" },
    { "one stage, sink and own", { 4680, 9360, 12, 128, true }, "sm90" },
    { "one stage, the others", { 4680, 23400, 12, 128, true }, "sm90" },
    { "all stages", { 28080, 32760, 12, 128, true }, "sm90" },
    { "the window", { 23400, 32760, 12, 128, true }, "sm90" },
    { "text", { 4680, 512, 12, 128, false }, "sm90" },
    { "text, all stages", { 28080, 512, 12, 128, false }, "sm90" },
    { "two heads of a rank", { 28080, 32760, 2, 128, true }, "sm90" },
    { "odd rows", { 4681, 9361, 12, 128, true }, "sm90" },
    { "heads of 64", { 4680, 32760, 12, 64, true }, "sm90" },
    { "the autoencoder's", { 6240, 6240, 1, 384, false }, "sm80_flash" },
};

/* Level 4's: all that it serves. */
static const struct {
    const char *name;
    struct cuda_attention_shape shape;
} attentions_fp8[] = {
    { "FP8, one stage, all keys", { 4680, 32760, 12, 128, false } },
    { "FP8, the same, lse", { 4680, 32760, 12, 128, true } },
    { "FP8, sink and own", { 4680, 9360, 12, 128, false } },
    { "FP8, sink and own, lse", { 4680, 9360, 12, 128, true } },
    { "FP8, the others, lse", { 4680, 23400, 12, 128, true } },
    { "FP8, all stages", { 28080, 32760, 12, 128, false } },
    { "FP8, the window, lse", { 23400, 32760, 12, 128, true } },
    { "FP8, text", { 4680, 512, 12, 128, false } },
    { "FP8, text, all stages", { 28080, 512, 12, 128, false } },
    { "FP8, two heads", { 28080, 32760, 2, 128, true } },
    { "FP8, odd rows", { 4681, 9361, 12, 128, true } },
    { "FP8, heads of 64", { 4680, 32760, 12, 64, true } },
    { "FP8, the least", { 2, 1, 1, 16, true } },
    { "FP8, heads of 112", { 5, 7, 3, 112, false } },
};

static int failures;

static void verdict(const char *name, const struct cuda_dnn_facts *f, const char *kernel,
                    const char *wanted)
{
    bool const good = strstr(kernel, wanted) != NULL;

    printf("%-26s %s engine %lld, %d configs, workspace %zu, %s\n", name, good ? "ok  " : "FAIL",
           (long long)f->engine, f->configs, f->workspace, kernel);
    failures += !good;
}

static void check_graph(struct cuda_dnn *d, const char *name, const struct cuda_dnn_graph *g,
                        const char *wanted)
{
    char kernel[CUDA_DNN_KERNEL_TEXT];
    struct cuda_dnn_facts facts;

    status st = cuda_dnn_plan(d, g, &facts);
    if (st == ST_OK) st = cuda_dnn_kernel(d, g, kernel);
    if (st == ST_OK) {
        verdict(name, &facts, kernel, wanted);
        return;
    }
    printf("%-26s FAIL %s\n", name, error_last()->msg);
    failures++;
}

/* Seconds. */
static double check_attentions(struct cuda_dnn *d)
{
    double const begin = clock_seconds();

    for (int i = 0; i < COUNT_OF(attentions); i++) {
        struct cuda_dnn_graph g;
        cuda_fused_attention_graph(&g, &attentions[i].shape);
        check_graph(d, attentions[i].name, &g, attentions[i].kernel);
    }
    for (int i = 0; i < COUNT_OF(attentions_fp8); i++) {
        struct cuda_dnn_graph g;
        cuda_fp8_attention_graph(&g, &attentions_fp8[i].shape);
        check_graph(d, attentions_fp8[i].name, &g, "sm90_flash_fprop_wgmma_f8");
    }
    return clock_seconds() - begin;
}

static double check_context(const char *card)
{
    struct cuda_dnn *d = NULL;

    if (cuda_dnn_open(&d, &(struct cuda_dnn_config){ .card = card }) != ST_OK) {
        printf("no card: %s\n", error_last()->msg);
        exit(1);
    }
    double const seconds = check_attentions(d);
    cuda_dnn_close(&d);
    return seconds;
}

int main(int argc, char **argv)
{
    char card[4096] = "";
    FILE *const f = fopen(argc > 1 ? argv[1] : "tests/gpu/h100.json", "r");
    size_t const n = f ? fread(card, 1, sizeof card - 1, f) : 0;

    if (f) fclose(f);
    card[strcspn(card, "\n")] = 0;
    if (!n) {
        printf("no card: no such file\n");
        return 1;
    }
    double const compiled = check_context(card), loaded = check_context(card);
    printf("compiled in %.2f s, loaded in %.2f s\n", compiled, loaded);
    return failures || !(loaded < compiled / 10) ? 1 : 0;
}
