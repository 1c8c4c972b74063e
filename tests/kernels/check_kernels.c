/*
 * check_kernels.c - every operation of every backend against the oracle.
 *
 *   check_kernels [--seed N] [--only OP] [--backend NAME] [--products N]
 *
 * --products leaves out the cases of more than N products, where a backend is slow; an
 * operation that has no case left fails.
 *
 * The list of operations is kern.h's own, so a new one does not link without a
 * check. The oracle is checked against closed formulas; then the checker is
 * checked: planted faults that it does not report are failures.
 */
#include "kernels/ref/kern_ref.h"
#include "tests/kernels/mutants.h"
#include "tests/support/rng.h"

#include <stdio.h>
#include <stdlib.h>

struct options {
    uint64_t seed;
    const char *only, *backend; /* NULL: all */
    int64_t products;           /* of a case at most; 0: any number */
};

static bool contexts_open(struct check *k)
{
    for (int s = 0; s < SIDES; s++) {
        /* The oracle may use what threads there are: its rows do not depend on it. */
        int const threads = s == ONE_THREAD ? 1 : s == THREE_THREADS ? 3 : 2;
        if (k->backend[s]->open(&k->ctx[s], &(struct kern_config){ .threads = threads }) == ST_OK)
            continue;
        printf("%s: cannot open: %s\n", k->backend[s]->name, error_last()->msg);
        k->failures++;
        return false;
    }
    return true;
}

static void contexts_close(struct check *k)
{
    for (int s = 0; s < SIDES; s++)
        if (k->ctx[s]) k->backend[s]->close(&k->ctx[s]);
}

/* An operation needs its own entry, and pack to have weights. */
static bool check_complete(struct check *k)
{
    bool all = true;
#define OP(name)                                                                                   \
    if (!k->backend[ONE_THREAD]->ops.name) {                                                       \
        all = false;                                                                               \
        k->op = #name;                                                                             \
        case_begin(k, "table");                                                                    \
        case_failed(k, "missing");                                                                 \
    }
    KERN_OPS(OP)
#undef OP
    return all;
}

static void check_operation(struct check *k, const char *name, void (*run)(struct check *))
{
    long const judged = k->judged;

    k->op = name;
    run(k);
    if (k->judged > judged) return;
    case_begin(k, "table");
    case_failed(k, "no case was compared with the oracle");
}

static void check_operations(struct check *k, const char *only)
{
#define OP(name)                                                                                   \
    if (!only || !strcmp(only, #name)) check_operation(k, #name, check_##name);
    KERN_OPS(OP)
#undef OP
}

static struct check make_check(const struct kern_backend *oracle,
                               const struct kern_backend *backend, enum dtype act, uint64_t seed)
{
    return (struct check){
        .backend = { oracle, backend, backend }, .act = act, .rng = seed, .op = "open"
    };
}

/* Both precisions; adds to the totals. A backend that cannot run here is named and left out,
 * unless it was asked for. */
static void check_backend(const struct options *o, const struct kern_backend *oracle,
                          const struct kern_backend *backend, long totals[2])
{
    const char *const absent = backend->absent();
    bool const small = !strcmp(oracle->name, "closed");

    if (absent) {
        printf("%s: not checked here: %s\n", backend->name, absent);
        totals[1] += o->backend != NULL;
        return;
    }
    for (int i = 0; i < 2; i++) {
        struct check k = make_check(oracle, backend, i ? DT_BF16 : DT_F32, o->seed);
        k.small = small;
        k.products = o->products;
        if (check_complete(&k) && contexts_open(&k)) check_operations(&k, o->only);
        contexts_close(&k);
        printf("%s against %s, %s: %ld elements and refusals, %ld failures\n", backend->name,
               oracle->name, dtype_name(k.act), k.compared, k.failures);
        totals[0] += k.compared;
        totals[1] += k.failures;
    }
}

static bool mutant_is_caught(enum fault f, enum kern_op op, const char *name, enum dtype act,
                             uint64_t seed)
{
    struct kern_backend const mutant = mutant_backend(f, op);
    struct check k = make_check(&kern_ref_backend, &mutant, act, seed);

    k.small = k.quiet = true;
    if (check_complete(&k) && contexts_open(&k)) {
        mutant_arm(k.ctx[ONE_THREAD], f, op);
        mutant_arm(k.ctx[THREE_THREADS], f, op);
        check_operations(&k, name);
    }
    contexts_close(&k);
    return k.failures > 0;
}

static void check_mutants(const struct options *o, long totals[2])
{
#define OP(op) #op,
    static const char *const names[] = { KERN_OPS(OP) };
#undef OP
    long planted = 0, missed = 0;

    for (int op = 0; op < KERN_OP_COUNT; op++) {
        if (o->only && strcmp(o->only, names[op])) continue;
        for (int i = 0; i < 2 * FAULT_COUNT; i++) {
            enum fault const f = (enum fault)(i / 2);
            enum dtype const act = i % 2 ? DT_BF16 : DT_F32;
            if (!fault_fits(f, (enum kern_op)op)) continue;
            planted++;
            if (mutant_is_caught(f, (enum kern_op)op, names[op], act, o->seed) == (f != FAULT_NONE))
                continue;
            printf("mutant %s %s: %s: %s\n", names[op], dtype_name(act), fault_text(f),
                   f == FAULT_NONE ? "reported" : "not reported");
            missed++;
        }
    }
    printf("mutants: %ld planted, %ld judged wrongly\n", planted, missed);
    totals[0] += planted;
    totals[1] += missed;
}

static bool is_wanted(const struct options *o, const struct kern_backend *b)
{
    return !o->backend || !strcmp(o->backend, b->name);
}

/* The oracle against the formulas, the others against the oracle. */
static void check_all(const struct options *o, long totals[2])
{
    struct kern_backend const closed = closed_backend();
    const struct kern_backend *b;

    for (int i = 0; (b = kern_backend_at(i)); i++)
        if (is_wanted(o, b)) check_backend(o, i ? &kern_ref_backend : &closed, b, totals);
    if (!o->backend) check_mutants(o, totals);
}

int main(int argc, char **argv)
{
    struct options o = { .seed = rng_seed(argc, argv) };
    long totals[2] = { 0 };

    for (int i = 1; i < argc; i++) {
        bool const more = i + 1 < argc;
        if (more && !strcmp(argv[i], "--products")) o.products = strtoll(argv[++i], NULL, 10);
        else if (more && !strcmp(argv[i], "--only")) o.only = argv[++i];
        else if (more && !strcmp(argv[i], "--backend")) o.backend = argv[++i];
        else if (more && !strcmp(argv[i], "--seed")) i++;
        else {
            fprintf(stderr, "check_kernels: not understood: %s\n", argv[i]);
            return 2;
        }
    }
    printf("check_kernels --seed %llu\n", (unsigned long long)o.seed);
    check_all(&o, totals);
    printf("%ld checks, %ld failures\n", totals[0], totals[1]);
    return totals[0] > 0 && totals[1] == 0 ? 0 : 1;
}
