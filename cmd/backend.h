/*
 * backend.h - what computes, as a person asks for it: --backend and --kernels become one
 * backend, once, and it is said.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include "pipeline/line/line.h"

#define BACKEND_NAMES  "ref|cpu|cuda"
#define BACKEND_LEVELS "1|2|3|4"

/* As the options give them; NULL where they do not. */
struct backend_request {
    const char *name, *kernels, *determinism, *wire, *exchange;
};

/* Rows of an option table; w is a struct backend_request. */
#define BACKEND_OPTIONS(w)                                                                         \
    { "backend",                                                                                   \
      OPT_CHOICE,                                                                                  \
      &(w).name,                                                                                   \
      .value = "NAME",                                                                             \
      .help = "what computes; else cuda where there is a card, and cpu where not",                 \
      .choices = BACKEND_NAMES },                                                                  \
        { "determinism",                                                                           \
          OPT_CHOICE,                                                                              \
          &(w).determinism,                                                                        \
          .value = "CLASS",                                                                        \
          .help =                                                                                  \
              "a rank's blocks one by one, the same bits for any ranks, or in one batch; else "    \
              "batch on cuda, strict elsewhere",                                                   \
          .choices = "strict|batch" },                                                             \
        { "wire",                                                                                  \
          OPT_CHOICE,                                                                              \
          &(w).wire,                                                                               \
          .value = "TYPE",                                                                         \
          .help = "of keys and values from rank to rank: as computed with, or 8 bits, which "      \
                  "changes the clip; else act",                                                    \
          .choices = "act|fp8" },                                                                  \
        { "exchange",                                                                              \
          OPT_CHOICE,                                                                              \
          &(w).exchange,                                                                           \
          .value = "WAY",                                                                          \
          .help = "of ranks that share a line: each attends for its blocks, or for all with its "  \
                  "share of the heads, on links slower than NVLink; else blocks",                  \
          .choices = "blocks|heads" },                                                             \
    {                                                                                              \
        "kernels", OPT_CHOICE, &(w).kernels,                                                       \
            .value = "LEVEL",                                                                      \
            .help =                                                                                \
                "of cuda: 1 plain ones, 2 the libraries' and fused ones, 3 with FP8 products, "    \
                "4 with FP8 attention too; else 2",                                                \
            .choices = BACKEND_LEVELS                                                              \
    }

enum { BACKEND_DEVICE = 256 }; /* bytes of a name */
struct backend {
    const struct kern_backend *kern;
    struct line_mode mode;
    int devices; /* cards of this machine that ranks compute on; 0: the processor does */
    char device_name[BACKEND_DEVICE]; /* of the first, or of the processor */
};

/* ST_ARG if this build has no such backend, or --kernels is asked of another one than cuda;
 * ST_DEVICE with the reason if one asked for by name cannot compute here. */
status backend_choose(struct backend *out, const struct backend_request *w) MUST_USE;

/* The same, of machines that are not here: whether it can compute here does not matter.
 * `cards`: of machines with cards, which compute by cuda; ST_ARG if another is asked for, or
 * cuda without them. Devices are left out. */
status backend_plan(struct backend *out, const struct backend_request *w, bool cards) MUST_USE;

/* One line on stderr, at the start of a command: "backend: cuda-2, batch, on NVIDIA H100". */
void backend_print(const struct backend *b);

#endif /* BACKEND_H */
