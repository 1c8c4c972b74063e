/*
 * pickle_call.c - the names a pickle may use and what calling them gives.
 *
 * Any other name stands for itself: what is "called" or made with it is an object of which only
 * that name is known, and its arguments are dropped. So a trainer's options, a torch.device, an
 * optimizer's state lie beside the weights without being in the way, and os.system does nothing.
 *
 * "Calling" _rebuild_tensor_v2 notes storage, offset, sizes and strides; torchfile.c checks them
 * against the storage when the tensor is listed. _rebuild_tensor_v3 is the same over a storage of
 * bytes, for dtypes that have no storage of their own: of these FP8 is read.
 */
#include "pipeline/weights/weights_internal.h"

#include <string.h>

enum global {
    ORDERED_DICT,
    REBUILD_TENSOR,
    REBUILD_TENSOR_AS,
    REBUILD_PARAMETER,
    DTYPE_FIRST,
    STORAGE_FIRST = DTYPE_FIRST + 2
};

/* Dtypes and storages stand last: their index says which. */
static const struct {
    const char *module, *name;
} globals[] = {
    [ORDERED_DICT] = { "collections", "OrderedDict" },
    [REBUILD_TENSOR] = { "torch._utils", "_rebuild_tensor_v2" },
    [REBUILD_TENSOR_AS] = { "torch._utils", "_rebuild_tensor_v3" },
    [REBUILD_PARAMETER] = { "torch._utils", "_rebuild_parameter" },
    [DTYPE_FIRST] = { "torch", "float8_e4m3fn" },
    { "torch", "float8_e5m2" },
    [STORAGE_FIRST] = { "torch", "FloatStorage" },
    { "torch", "BFloat16Storage" },
    { "torch", "HalfStorage" },
    { "torch", "DoubleStorage" },
    { "torch", "LongStorage" },
    { "torch", "IntStorage" },
    { "torch", "ShortStorage" },
    { "torch", "CharStorage" },
    { "torch", "ByteStorage" },
    { "torch", "BoolStorage" },
    { "torch", "ComplexFloatStorage" },
    { "torch", "ComplexDoubleStorage" },
    { "torch.storage", "UntypedStorage" },
};

status pickle_call_global(struct pickle_vm *vm, struct pickle_text module, struct pickle_text name)
{
    for (int i = 0; i < COUNT_OF(globals); i++)
        if (pickle_text_is(module, globals[i].module) && pickle_text_is(name, globals[i].name))
            return pickle_push(vm, (struct pickle_value){ PICKLE_GLOBAL, { .number = i } });

    return pickle_push_object(vm, name);
}

/* ('storage', torch.FloatStorage, KEY, location, elements) */
status pickle_call_persid(struct pickle_vm *vm)
{
    struct pickle *const p = vm->p;
    int id, e[5], n;
    void *grown;

    TRY(pickle_pop(vm, &id));
    TRY(pickle_tuple(vm, id, 5, 5, e, &n));
    const struct pickle_value *const tag = pickle_at(vm, e[0]), *const type = pickle_at(vm, e[1]);
    const struct pickle_value *const key = pickle_at(vm, e[2]), *const count = pickle_at(vm, e[4]);
    if (tag->kind == PICKLE_TEXT && pickle_text_is(tag->as.text, "storage") &&
        type->kind == PICKLE_OBJECT)
        return pickle_push_object(vm, type->as.text);
    if (tag->kind != PICKLE_TEXT || !pickle_text_is(tag->as.text, "storage") ||
        type->kind != PICKLE_GLOBAL || type->as.number < STORAGE_FIRST ||
        key->kind != PICKLE_TEXT || count->kind != PICKLE_INT || count->as.number < 0)
        return fail(ST_FORMAT, "%s: byte %zu: a persistent id that is not a storage", vm->where,
                    vm->op_at);

    const char *const dtype = globals[type->as.number].name;
    TRY(pickle_grow(p->storage, &vm->storage_cap, p->storages, sizeof *p->storage, &grown));
    p->storage = grown;
    p->storage[p->storages] = (struct pickle_storage){
        .dtype = { dtype, strlen(dtype) },
        .key = key->as.text,
        .count = count->as.number,
    };
    return pickle_push(vm, (struct pickle_value){ PICKLE_STORAGE, { .at = p->storages++ } });
}

static status read_sizes(const struct pickle_vm *vm, int tuple, int64_t out[WEIGHT_DIMS],
                         int *count)
{
    int e[WEIGHT_DIMS];

    TRY(pickle_tuple(vm, tuple, 0, WEIGHT_DIMS, e, count));
    for (int i = 0; i < *count; i++) {
        const struct pickle_value *const v = pickle_at(vm, e[i]);
        if (v->kind != PICKLE_INT)
            return fail(ST_FORMAT, "%s: byte %zu: a tensor's size that is not a number", vm->where,
                        vm->op_at);
        out[i] = v->as.number;
    }
    return ST_OK;
}

static status read_dtype(const struct pickle_vm *vm, const struct pickle_value *v,
                         struct pickle_text *out)
{
    if (v->kind != PICKLE_GLOBAL || v->as.number < DTYPE_FIRST || v->as.number >= STORAGE_FIRST)
        return fail(ST_FORMAT, "%s: byte %zu: a tensor's dtype that is none", vm->where, vm->op_at);
    const char *const name = globals[v->as.number].name;
    *out = (struct pickle_text){ name, strlen(name) };
    return ST_OK;
}

static status push_unread_tensor(struct pickle_vm *vm)
{
    const char *const name = globals[REBUILD_TENSOR].name;
    return pickle_push_object(vm, (struct pickle_text){ name, strlen(name) });
}

/* (storage, offset, size, stride, requires_grad, hooks[, metadata]); as: a dtype behind hooks */
static status rebuild_tensor(struct pickle_vm *vm, int args, bool as)
{
    struct pickle *const p = vm->p;
    int e[8], n, strides;
    void *grown;

    TRY(pickle_tuple(vm, args, 6 + as, 7 + as, e, &n));
    const struct pickle_value *const storage = pickle_at(vm, e[0]), *const offset =
                                                                        pickle_at(vm, e[1]);
    const struct pickle_value *const dtype = as ? pickle_at(vm, e[6]) : NULL;
    if (storage->kind == PICKLE_OBJECT || (dtype && dtype->kind == PICKLE_OBJECT))
        return push_unread_tensor(vm);
    if (storage->kind != PICKLE_STORAGE || offset->kind != PICKLE_INT)
        return fail(ST_FORMAT, "%s: byte %zu: a tensor without storage or offset", vm->where,
                    vm->op_at);
    if (pickle_text_is(p->storage[storage->as.at].dtype, "UntypedStorage") != as)
        return push_unread_tensor(vm);
    struct pickle_tensor t = { .storage = storage->as.at, .offset = offset->as.number };
    if (dtype) TRY(read_dtype(vm, dtype, &t.dtype));
    TRY(read_sizes(vm, e[2], t.dim, &t.ndim));
    TRY(read_sizes(vm, e[3], t.stride, &strides));
    if (strides != t.ndim)
        return fail(ST_FORMAT, "%s: byte %zu: a tensor of %d sizes and %d strides", vm->where,
                    vm->op_at, t.ndim, strides);
    TRY(pickle_grow(p->tensor, &vm->tensor_cap, p->tensors, sizeof *p->tensor, &grown));
    p->tensor = grown;
    p->tensor[p->tensors] = t;
    return pickle_push(vm, (struct pickle_value){ PICKLE_TENSOR, { .at = p->tensors++ } });
}

/* (tensor, requires_grad, hooks) */
static status rebuild_parameter(struct pickle_vm *vm, int args)
{
    int e[3], n;

    TRY(pickle_tuple(vm, args, 3, 3, e, &n));
    enum pickle_kind const kind = pickle_at(vm, e[0])->kind;
    if (kind != PICKLE_TENSOR && kind != PICKLE_OBJECT)
        return fail(ST_FORMAT, "%s: byte %zu: a parameter without a tensor", vm->where, vm->op_at);
    return pickle_push(vm, *pickle_at(vm, e[0]));
}

status pickle_call_reduce(struct pickle_vm *vm)
{
    int args, callee, n;

    TRY(pickle_pop(vm, &args));
    TRY(pickle_pop(vm, &callee));
    const struct pickle_value *const f = pickle_at(vm, callee);
    if (f->kind == PICKLE_OBJECT) return pickle_push_object(vm, f->as.text);
    if (f->kind == PICKLE_GLOBAL &&
        (f->as.number == REBUILD_TENSOR || f->as.number == REBUILD_TENSOR_AS))
        return rebuild_tensor(vm, args, f->as.number == REBUILD_TENSOR_AS);
    if (f->kind == PICKLE_GLOBAL && f->as.number == REBUILD_PARAMETER)
        return rebuild_parameter(vm, args);
    if (f->kind == PICKLE_GLOBAL && f->as.number == ORDERED_DICT) {
        TRY(pickle_tuple(vm, args, 0, 0, NULL, &n));
        return pickle_push(vm, (struct pickle_value){ PICKLE_DICT, { .chain = { -1, -1, 0 } } });
    }
    return fail(ST_FORMAT, "%s: byte %zu: REDUCE of a value that is not a function", vm->where,
                vm->op_at);
}

status pickle_call_newobj(struct pickle_vm *vm)
{
    int args, class;

    TRY(pickle_pop(vm, &args));
    TRY(pickle_pop(vm, &class));
    const struct pickle_value *const c = pickle_at(vm, class);
    if (c->kind == PICKLE_OBJECT) return pickle_push_object(vm, c->as.text);
    return fail(ST_FORMAT, "%s: byte %zu: NEWOBJ of a value that is not a class", vm->where,
                vm->op_at);
}

/* torch hangs `_metadata` on a state dict; nothing of it is needed, nor of an object's state. */
status pickle_call_build(struct pickle_vm *vm)
{
    int state, object;

    TRY(pickle_pop(vm, &state));
    TRY(pickle_pop(vm, &object));
    enum pickle_kind const kind = pickle_at(vm, object)->kind;
    enum pickle_kind const with = pickle_at(vm, state)->kind;
    if (kind != PICKLE_OBJECT &&
        (kind != PICKLE_DICT || (with != PICKLE_DICT && with != PICKLE_OBJECT)))
        return fail(ST_FORMAT, "%s: byte %zu: BUILD on a value that is not a dict", vm->where,
                    vm->op_at);
    vm->stack[vm->depth++] = object;
    return ST_OK;
}
