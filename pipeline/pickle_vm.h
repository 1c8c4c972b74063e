/* pickle_vm.h - the stack machine inside pickle.c and pickle_call.c. */
#ifndef PICKLE_VM_H
#define PICKLE_VM_H

#include "pipeline/pickle.h"

struct pickle_vm {
    struct pickle *p;
    const char *where;
    const unsigned char *code;
    size_t len, at, op_at; /* op_at: where the running opcode stands */
    int *stack, *memo;     /* value indices; memo: -1 not set */
    int depth, stack_cap;
    int memo_count, memo_cap; /* memo_count: highest used + 1 */
    int value_cap, item_cap, storage_cap, tensor_cap;
    int mark[PICKLE_DEPTH_MAX];
    int marks;
    bool stopped;
};

/* Room for one more in an array that doubles, up to PICKLE_VALUES_MAX. */
status pickle_grow(void **array, int *cap, int count, size_t each) MUST_USE;

/* A new value on top of the stack. */
status pickle_push(struct pickle_vm *vm, struct pickle_value v) MUST_USE;

/* Take the top value's index; values below an open mark stay. */
status pickle_pop(struct pickle_vm *vm, int *value) MUST_USE;

/* The value under an index. */
static inline struct pickle_value *pickle_at(const struct pickle_vm *vm, int i)
{
    return &vm->p->value[i];
}

/* The items of a tuple of min..max entries, as value indices. */
status pickle_tuple(const struct pickle_vm *vm, int tuple, int min, int max, int *entry,
                    int *count) MUST_USE;

/* The four that give a pickle its power, here for a closed list of names: GLOBAL,
 * BINPERSID, REDUCE, BUILD. */
status pickle_call_global(struct pickle_vm *vm, struct pickle_text module,
                          struct pickle_text name) MUST_USE;
status pickle_call_persid(struct pickle_vm *vm) MUST_USE;
status pickle_call_reduce(struct pickle_vm *vm) MUST_USE;
status pickle_call_build(struct pickle_vm *vm) MUST_USE;

#endif /* PICKLE_VM_H */
