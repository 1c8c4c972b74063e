/* pickle_vm.c - the machine that opcodes work on: its program, stack and values. */
#include "base/array.h"
#include "pipeline/weights/weights_internal.h"

#include <stdlib.h>
#include <string.h>

status pickle_take(struct pickle_vm *vm, uint64_t n, const unsigned char **at)
{
    if (n > vm->len - vm->at)
        return fail(ST_FORMAT, "%s: byte %zu: the pickle ends inside an opcode", vm->where,
                    vm->op_at);
    *at = vm->code + vm->at;
    vm->at += (size_t)n;
    return ST_OK;
}

status pickle_take_le(struct pickle_vm *vm, int bytes, uint64_t *n)
{
    const unsigned char *at = NULL;

    TRY(pickle_take(vm, (uint64_t)bytes, &at));
    *n = 0;
    for (int i = bytes - 1; i >= 0; i--) *n = *n << 8 | at[i];
    return ST_OK;
}

status pickle_take_line(struct pickle_vm *vm, struct pickle_text *out)
{
    const unsigned char *const from = vm->code + vm->at;
    const unsigned char *const end = memchr(from, '\n', vm->len - vm->at);

    if (!end)
        return fail(ST_FORMAT, "%s: byte %zu: the pickle ends inside a name", vm->where, vm->op_at);
    *out = (struct pickle_text){ (const char *)from, (size_t)(end - from) };
    vm->at += out->len + 1;
    return ST_OK;
}

status pickle_grow(void *array, int *cap, int count, size_t each, void **grown)
{
    *grown = array;
    if (count < *cap) return ST_OK;
    if (count >= PICKLE_VALUES_MAX)
        return fail(ST_FORMAT, "pickle: more than %d values", PICKLE_VALUES_MAX);

    void *const more = array_grow(array, count, cap, each);
    if (!more) return fail(ST_NOMEM, "pickle: no memory for %d values", count + 1);
    *grown = more;
    return ST_OK;
}

status pickle_push_index(struct pickle_vm *vm, int value)
{
    void *grown;

    TRY(pickle_grow(vm->stack, &vm->stack_cap, vm->depth, sizeof *vm->stack, &grown));
    vm->stack = grown;
    vm->stack[vm->depth++] = value;
    return ST_OK;
}

status pickle_push(struct pickle_vm *vm, struct pickle_value v)
{
    struct pickle *const p = vm->p;
    void *grown;

    TRY(pickle_grow(p->value, &vm->value_cap, p->values, sizeof *p->value, &grown));
    p->value = grown;
    p->value[p->values] = v;
    return pickle_push_index(vm, p->values++);
}

status pickle_push_object(struct pickle_vm *vm, struct pickle_text name)
{
    return pickle_push(vm, (struct pickle_value){ PICKLE_OBJECT, { .text = name } });
}

status pickle_too_few(const struct pickle_vm *vm)
{
    return fail(ST_FORMAT, "%s: byte %zu: takes more from the stack than there is", vm->where,
                vm->op_at);
}

status pickle_pop(struct pickle_vm *vm, int *value)
{
    if (vm->depth <= pickle_floor(vm)) return pickle_too_few(vm);
    *value = vm->stack[--vm->depth];
    return ST_OK;
}

status pickle_tuple(const struct pickle_vm *vm, int tuple, int min, int max, int *entry, int *count)
{
    const struct pickle_value *const t = pickle_at(vm, tuple);
    int n = 0;

    if (t->kind != PICKLE_TUPLE || t->as.chain.count < min || t->as.chain.count > max)
        return fail(ST_FORMAT, "%s: byte %zu: a tuple of %d to %d entries expected, found %s",
                    vm->where, vm->op_at, min, max,
                    t->kind == PICKLE_TUPLE ? "one of another length" : "another value");
    for (int i = t->as.chain.first; i >= 0; i = vm->p->item[i].next)
        entry[n++] = vm->p->item[i].value;
    *count = n;
    return ST_OK;
}

status pickle_append(struct pickle_vm *vm, int container, int key, int value)
{
    struct pickle *const p = vm->p;
    void *grown;

    TRY(pickle_grow(p->item, &vm->item_cap, p->items, sizeof *p->item, &grown));
    p->item = grown;
    struct pickle_value *const c = pickle_at(vm, container);
    p->item[p->items] = (struct pickle_item){ .key = key, .value = value, .next = -1 };
    if (c->as.chain.last >= 0) p->item[c->as.chain.last].next = p->items;
    else c->as.chain.first = p->items;
    c->as.chain.last = p->items++;
    c->as.chain.count++;
    return ST_OK;
}

/* ---- what was read ------------------------------------------------------------- */

bool pickle_text_is(struct pickle_text t, const char *s)
{
    return strlen(s) == t.len && !memcmp(t.s, s, t.len);
}

void pickle_free(struct pickle *p)
{
    free(p->value);
    free(p->item);
    free(p->storage);
    free(p->tensor);
    *p = (struct pickle){ .root = -1 };
}

int pickle_get(const struct pickle *p, int dict, const char *key)
{
    if (dict < 0 || p->value[dict].kind != PICKLE_DICT) return -1;
    for (int i = p->value[dict].as.chain.first; i >= 0; i = p->item[i].next) {
        const struct pickle_value *const k = &p->value[p->item[i].key];
        if (k->kind == PICKLE_TEXT && pickle_text_is(k->as.text, key)) return p->item[i].value;
    }
    return -1;
}
