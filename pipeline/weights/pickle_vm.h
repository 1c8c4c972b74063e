/* pickle_vm.h - the stack machine of pickle.c and pickle_call.c. */
#ifndef PICKLE_VM_H
#define PICKLE_VM_H

#include "pipeline/weights/pickle.h"

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

/* Room for one more in an array that doubles, up to PICKLE_VALUES_MAX. *grown is
 * where the array is now. */
status pickle_grow(void *array, int *cap, int count, size_t each, void **grown) MUST_USE;

/* A new value on top of the stack. */
status pickle_push(struct pickle_vm *vm, struct pickle_value v) MUST_USE;

/* A value that exists already on top of the stack. */
status pickle_push_index(struct pickle_vm *vm, int value) MUST_USE;

/* Take the top value's index; values below an open mark stay. */
status pickle_pop(struct pickle_vm *vm, int *value) MUST_USE;

/* The failure of taking more than there is. */
status pickle_too_few(const struct pickle_vm *vm) MUST_USE;

/* How deep the stack may be emptied: to the last open mark. */
static inline int pickle_floor(const struct pickle_vm *vm)
{
    return vm->marks ? vm->mark[vm->marks - 1] : 0;
}

/* One more entry of a tuple or list (key -1) or dict. */
status pickle_append(struct pickle_vm *vm, int container, int key, int value) MUST_USE;

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
