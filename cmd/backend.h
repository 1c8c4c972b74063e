/*
 * backend.h - what computes, as a person asks for it: --backend and --kernels become one
 * backend, once, and it is said.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include "cmd/opts.h"
#include "pipeline/line/line.h"

/* As the options give them; NULL where they do not. */
struct backend_request {
    const char *name, *kernels, *determinism, *wire, *exchange;
};

/* Rows of an option table, which fill r, a struct backend_request: one `backend_option` a
 * row, in the order of --help. */
#define BACKEND_OPTIONS(r)                                                                         \
    backend_option(&(r), 0), backend_option(&(r), 1), backend_option(&(r), 2),                     \
        backend_option(&(r), 3), backend_option(&(r), 4)
struct opt backend_option(struct backend_request *r, int row);

enum { BACKEND_DEVICE = 256 }; /* bytes of a name */
struct backend {
    const struct kern_backend *kern;
    struct line_mode mode;
    int devices; /* cards of this machine that ranks compute on; 0: the processor does */
    char device_name[BACKEND_DEVICE]; /* of the first, or of the processor */
};

/* ST_ARG if this build has no such backend, or --kernels is asked of another one than cuda;
 * ST_DEVICE with the reason if one asked for by name cannot compute here. */
status backend_choose(struct backend *out, const struct backend_request *r) MUST_USE;

/* The same, of machines that are not here: whether it can compute here does not matter.
 * `cards`: of machines with cards, which compute by cuda; ST_ARG if another is asked for, or
 * cuda without them. Devices are left out. */
status backend_plan(struct backend *out, const struct backend_request *r, bool cards) MUST_USE;

/* One line on stderr, at the start of a command: "backend: cuda-2, batch, on NVIDIA H100". */
void backend_print(const struct backend *b);

#endif /* BACKEND_H */
