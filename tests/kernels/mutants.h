/* mutants.h - a backend that is the oracle with one planted fault. The checker must report each. */
#ifndef MUTANTS_H
#define MUTANTS_H

#include "tests/kernels/check.h"

/* name, what the call does */
#define FAULTS(F)                                                                                  \
    F(NONE, "nothing is wrong")                                                                    \
    F(SILENT, "writes nothing")                                                                    \
    F(PAST_END, "writes one element past the end")                                                 \
    F(BEFORE, "writes one element before the start")                                               \
    F(SLIP, "is a few steps off in one element")                                                   \
    F(SECOND, "is a few steps off in its second output")                                           \
    F(THIRD, "is a few steps off in its third output")                                             \
    F(LAST_ROW, "is wrong in the last element alone")                                              \
    F(ODD_TAIL, "leaves the end of an odd number of rows")                                         \
    F(NOT_A_NUMBER, "writes a NaN")                                                                \
    F(INFINITE, "writes an infinity")                                                              \
    F(INPUT, "changes an input")                                                                   \
    F(BESIDE_INPUT, "writes behind an input")                                                      \
    F(THREADS, "has other bits with more threads")                                                 \
    F(ACCEPTS, "accepts what it must refuse")                                                      \
    F(FAILS, "fails")                                                                              \
    F(MISSING, "has no such operation")

enum fault {
#define F(name, text) FAULT_##name,
    FAULTS(F)
#undef F
        FAULT_COUNT
};
const char *fault_text(enum fault f);

/* A backend where `op` has fault f; FAULT_MISSING leaves its place empty. */
struct kern_backend mutant_backend(enum fault f, enum kern_op op);

/* Tell a context of such a backend what to do. */
void mutant_arm(struct kern_ctx *ctx, enum fault f, enum kern_op op);

/* Some faults are none: zero has no input, and nothing it must refuse; four
 * operations have a second output, qkv a third. */
bool fault_fits(enum fault f, enum kern_op op);

#endif /* MUTANTS_H */
