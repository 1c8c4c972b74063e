/*
 * pickle.c - a torch checkpoint's pickle, read as data.
 *
 * A pickle is a program: it pushes values, builds containers of them, and may import any Python
 * name and call it. Python's own reader runs all that, which is why loading a stranger's
 * checkpoint there runs the stranger's code. Here the table of opcodes is closed: an opcode
 * without a function is refused by name, a GLOBAL resolves against pickle_call.c's short list of
 * names or to an object of which only the name is kept, and REDUCE "calls" one of three by building
 * the value that torch would. What must hold:
 *
 * - Every operand is checked against what is left of the program before it is read, every pop
 *   against the last open mark.
 * - Nothing is copied out of the program: texts point into it, values are indices.
 * - Values, items, stack, memo and open marks each have a ceiling, and grow with what the program
 *   pushes; so a small file cannot take much memory.
 * - Nothing is followed recursively, so no nesting exhausts the C stack. Values may refer to one
 *   another in a circle: whoever walks them walks one container and never down.
 */
#include "pipeline/weights/weights_internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- opcodes ------------------------------------------------------------------- */

struct opcode {
    const char *name;
    status (*run)(struct pickle_vm *vm, int arg); /* NULL: not allowed */
    int arg;
};

static status op_proto(struct pickle_vm *vm, int arg)
{
    uint64_t n = 0;

    (void)arg;
    TRY(pickle_take_le(vm, 1, &n));
    if (n < 2 || n > 5)
        return fail(ST_FORMAT, "%s: pickle protocol %d; 2 to 5 are read", vm->where, (int)n);
    return ST_OK;
}

static status op_skip(struct pickle_vm *vm, int bytes)
{
    const unsigned char *at = NULL;
    return pickle_take(vm, (uint64_t)bytes, &at);
}

static status op_stop(struct pickle_vm *vm, int arg)
{
    (void)arg;
    TRY(pickle_pop(vm, &vm->p->root));
    if (vm->depth || vm->marks)
        return fail(ST_FORMAT, "%s: byte %zu: stops with values left over", vm->where, vm->op_at);
    vm->stopped = true;
    return ST_OK;
}

static status op_none(struct pickle_vm *vm, int arg)
{
    (void)arg;
    return pickle_push(vm, (struct pickle_value){ .kind = PICKLE_NONE });
}

static status op_bool(struct pickle_vm *vm, int yes)
{
    return pickle_push(vm, (struct pickle_value){ PICKLE_BOOL, { .number = yes } });
}

static status op_int(struct pickle_vm *vm, int bytes)
{
    uint64_t n = 0;

    TRY(pickle_take_le(vm, bytes, &n));
    int64_t const v =
        bytes == 4 ? (int64_t)(int32_t)(uint32_t)n : (int64_t)n; /* only BININT has a sign */
    return pickle_push(vm, (struct pickle_value){ PICKLE_INT, { .number = v } });
}

/* A value that a checkpoint may hold beside its tensors and nothing here asks for. */
static status skip_object(struct pickle_vm *vm, uint64_t bytes, const char *name)
{
    const unsigned char *at = NULL;

    TRY(pickle_take(vm, bytes, &at));
    return pickle_push_object(vm, (struct pickle_text){ name, strlen(name) });
}

static status op_bytes(struct pickle_vm *vm, int length_bytes)
{
    uint64_t n = 0;

    TRY(pickle_take_le(vm, length_bytes, &n));
    return skip_object(vm, n, "bytes");
}

static status op_empty_set(struct pickle_vm *vm, int arg)
{
    (void)arg;
    return skip_object(vm, 0, "set");
}

static status op_long1(struct pickle_vm *vm, int arg)
{
    uint64_t bytes = 0, n = 0;

    (void)arg;
    TRY(pickle_take_le(vm, 1, &bytes));
    if (bytes > 8) return skip_object(vm, bytes, "int");
    TRY(pickle_take_le(vm, (int)bytes, &n));
    if (bytes && bytes < 8 && n >> (8 * bytes - 1)) n |= UINT64_MAX << (8 * bytes);
    return pickle_push(vm, (struct pickle_value){ PICKLE_INT, { .number = (int64_t)n } });
}

static status op_float(struct pickle_vm *vm, int arg)
{
    const unsigned char *at = NULL;
    union {
        uint64_t u;
        double f;
    } v = { .u = 0 };

    (void)arg;
    TRY(pickle_take(vm, 8, &at));
    for (int i = 0; i < 8; i++) v.u = v.u << 8 | at[i];
    return pickle_push(vm, (struct pickle_value){ PICKLE_FLOAT, { .real = v.f } });
}

static status op_text(struct pickle_vm *vm, int length_bytes)
{
    const unsigned char *at = NULL;
    uint64_t n = 0;

    TRY(pickle_take_le(vm, length_bytes, &n));
    TRY(pickle_take(vm, n, &at));
    return pickle_push(
        vm, (struct pickle_value){ PICKLE_TEXT, { .text = { (const char *)at, (size_t)n } } });
}

static status op_empty(struct pickle_vm *vm, int kind)
{
    return pickle_push(vm,
                       (struct pickle_value){ (enum pickle_kind)kind, { .chain = { -1, -1, 0 } } });
}

static status op_mark(struct pickle_vm *vm, int arg)
{
    (void)arg;
    if (vm->marks == PICKLE_DEPTH_MAX)
        return fail(ST_FORMAT, "%s: byte %zu: nested deeper than %d", vm->where, vm->op_at,
                    PICKLE_DEPTH_MAX);
    vm->mark[vm->marks++] = vm->depth;
    return ST_OK;
}

/* The stack from *from on is what stood behind the last mark. */
static status close_mark(struct pickle_vm *vm, int *from)
{
    if (!vm->marks) return pickle_too_few(vm);
    *from = vm->mark[--vm->marks];
    return ST_OK;
}

static status make_tuple(struct pickle_vm *vm, int from)
{
    int const end = vm->depth;

    TRY(op_empty(vm, PICKLE_TUPLE));
    int const tuple = vm->stack[end];
    for (int i = from; i < end; i++) TRY(pickle_append(vm, tuple, -1, vm->stack[i]));
    vm->depth = from;
    return pickle_push_index(vm, tuple);
}

static status op_tuple(struct pickle_vm *vm, int arg)
{
    int from = 0;

    (void)arg;
    TRY(close_mark(vm, &from));
    return make_tuple(vm, from);
}

static status op_tuple_of(struct pickle_vm *vm, int count)
{
    if (vm->depth - pickle_floor(vm) < count) return pickle_too_few(vm);
    return make_tuple(vm, vm->depth - count);
}

/* Add stack[from..] to the container below it: values, or keys and values. What is added to an
 * object is dropped. */
static status extend_container(struct pickle_vm *vm, int from, enum pickle_kind kind)
{
    int const step = kind == PICKLE_DICT ? 2 : 1;

    if (from - 1 < pickle_floor(vm)) return pickle_too_few(vm);
    int const container = vm->stack[from - 1];
    bool const skipped = pickle_at(vm, container)->kind == PICKLE_OBJECT;
    if ((pickle_at(vm, container)->kind != kind && !skipped) || (vm->depth - from) % step)
        return fail(ST_FORMAT, "%s: byte %zu: adds to a value that is not a %s", vm->where,
                    vm->op_at, kind == PICKLE_DICT ? "dict, or a key without a value" : "list");
    for (int i = from; i < vm->depth && !skipped; i += step)
        TRY(pickle_append(vm, container, step == 2 ? vm->stack[i] : -1, vm->stack[i + step - 1]));
    vm->depth = from;
    return ST_OK;
}

static status op_add_one(struct pickle_vm *vm, int kind)
{
    return extend_container(vm, vm->depth - (kind == PICKLE_DICT ? 2 : 1), (enum pickle_kind)kind);
}

static status op_add_all(struct pickle_vm *vm, int kind)
{
    int from = 0;

    TRY(close_mark(vm, &from));
    return extend_container(vm, from, (enum pickle_kind)kind);
}

static status op_frozenset(struct pickle_vm *vm, int arg)
{
    int from = 0;

    (void)arg;
    TRY(close_mark(vm, &from));
    vm->depth = from;
    return skip_object(vm, 0, "frozenset");
}

static status memo_set(struct pickle_vm *vm, uint64_t slot)
{
    void *grown;

    if (slot >= PICKLE_VALUES_MAX)
        return fail(ST_FORMAT, "%s: byte %zu: memo %llu; at most %d", vm->where, vm->op_at,
                    (unsigned long long)slot, PICKLE_VALUES_MAX - 1);
    if (vm->depth <= pickle_floor(vm)) return pickle_too_few(vm);
    while (vm->memo_count <= (int)slot) {
        TRY(pickle_grow(vm->memo, &vm->memo_cap, vm->memo_count, sizeof *vm->memo, &grown));
        vm->memo = grown;
        vm->memo[vm->memo_count++] = -1;
    }
    vm->memo[slot] = vm->stack[vm->depth - 1];
    return ST_OK;
}

static status op_put(struct pickle_vm *vm, int bytes)
{
    uint64_t slot = 0;

    TRY(pickle_take_le(vm, bytes, &slot));
    return memo_set(vm, slot);
}

static status op_memoize(struct pickle_vm *vm, int arg)
{
    (void)arg;
    return memo_set(vm, (uint64_t)vm->memo_count);
}

static status op_get(struct pickle_vm *vm, int bytes)
{
    uint64_t slot = 0;

    TRY(pickle_take_le(vm, bytes, &slot));
    if (slot >= (uint64_t)vm->memo_count || vm->memo[slot] < 0)
        return fail(ST_FORMAT, "%s: byte %zu: memo %llu was never set", vm->where, vm->op_at,
                    (unsigned long long)slot);
    return pickle_push_index(vm, vm->memo[slot]);
}

static status op_global(struct pickle_vm *vm, int arg)
{
    struct pickle_text module, name;

    (void)arg;
    TRY(pickle_take_line(vm, &module));
    TRY(pickle_take_line(vm, &name));
    return pickle_call_global(vm, module, name);
}

static status op_stack_global(struct pickle_vm *vm, int arg)
{
    int module, name;

    (void)arg;
    TRY(pickle_pop(vm, &name));
    TRY(pickle_pop(vm, &module));
    const struct pickle_value *const m = pickle_at(vm, module), *const n = pickle_at(vm, name);
    if (m->kind != PICKLE_TEXT || n->kind != PICKLE_TEXT)
        return fail(ST_FORMAT, "%s: byte %zu: a global whose name is not text", vm->where,
                    vm->op_at);
    return pickle_call_global(vm, m->as.text, n->as.text);
}

static status op_persid(struct pickle_vm *vm, int arg)
{
    (void)arg;
    return pickle_call_persid(vm);
}

static status op_reduce(struct pickle_vm *vm, int arg)
{
    (void)arg;
    return pickle_call_reduce(vm);
}

static status op_newobj(struct pickle_vm *vm, int arg)
{
    (void)arg;
    return pickle_call_newobj(vm);
}

static status op_build(struct pickle_vm *vm, int arg)
{
    (void)arg;
    return pickle_call_build(vm);
}

/* Those without a function are known by name and refused by it. */
static const struct opcode opcodes[256] = {
    [0x80] = { "PROTO", op_proto, 0 },
    [0x95] = { "FRAME", op_skip, 8 },
    ['.'] = { "STOP", op_stop, 0 },
    ['N'] = { "NONE", op_none, 0 },
    [0x88] = { "NEWTRUE", op_bool, 1 },
    [0x89] = { "NEWFALSE", op_bool, 0 },
    ['J'] = { "BININT", op_int, 4 },
    ['K'] = { "BININT1", op_int, 1 },
    ['M'] = { "BININT2", op_int, 2 },
    [0x8a] = { "LONG1", op_long1, 0 },
    ['G'] = { "BINFLOAT", op_float, 0 },
    ['X'] = { "BINUNICODE", op_text, 4 },
    [0x8c] = { "SHORT_BINUNICODE", op_text, 1 },
    [0x8d] = { "BINUNICODE8", op_text, 8 },
    [')'] = { "EMPTY_TUPLE", op_empty, PICKLE_TUPLE },
    [']'] = { "EMPTY_LIST", op_empty, PICKLE_LIST },
    ['}'] = { "EMPTY_DICT", op_empty, PICKLE_DICT },
    ['('] = { "MARK", op_mark, 0 },
    ['t'] = { "TUPLE", op_tuple, 0 },
    [0x85] = { "TUPLE1", op_tuple_of, 1 },
    [0x86] = { "TUPLE2", op_tuple_of, 2 },
    [0x87] = { "TUPLE3", op_tuple_of, 3 },
    ['a'] = { "APPEND", op_add_one, PICKLE_LIST },
    ['e'] = { "APPENDS", op_add_all, PICKLE_LIST },
    ['s'] = { "SETITEM", op_add_one, PICKLE_DICT },
    ['u'] = { "SETITEMS", op_add_all, PICKLE_DICT },
    ['q'] = { "BINPUT", op_put, 1 },
    ['r'] = { "LONG_BINPUT", op_put, 4 },
    [0x94] = { "MEMOIZE", op_memoize, 0 },
    ['h'] = { "BINGET", op_get, 1 },
    ['j'] = { "LONG_BINGET", op_get, 4 },
    ['c'] = { "GLOBAL", op_global, 0 },
    [0x93] = { "STACK_GLOBAL", op_stack_global, 0 },
    ['Q'] = { "BINPERSID", op_persid, 0 },
    ['R'] = { "REDUCE", op_reduce, 0 },
    ['b'] = { "BUILD", op_build, 0 },
    [0x81] = { "NEWOBJ", op_newobj, 0 },
    ['C'] = { "SHORT_BINBYTES", op_bytes, 1 },
    ['B'] = { "BINBYTES", op_bytes, 4 },
    [0x8e] = { "BINBYTES8", op_bytes, 8 },
    [0x96] = { "BYTEARRAY8", op_bytes, 8 },
    [0x8f] = { "EMPTY_SET", op_empty_set, 0 },
    [0x90] = { "ADDITEMS", op_add_all, PICKLE_OBJECT },
    [0x91] = { "FROZENSET", op_frozenset, 0 },

    ['0'] = { .name = "POP" },
    ['1'] = { .name = "POP_MARK" },
    ['2'] = { .name = "DUP" },
    ['F'] = { .name = "FLOAT" },
    ['I'] = { .name = "INT" },
    ['L'] = { .name = "LONG" },
    ['P'] = { .name = "PERSID" },
    ['S'] = { .name = "STRING" },
    ['T'] = { .name = "BINSTRING" },
    ['U'] = { .name = "SHORT_BINSTRING" },
    ['V'] = { .name = "UNICODE" },
    ['d'] = { .name = "DICT" },
    ['g'] = { .name = "GET" },
    ['i'] = { .name = "INST" },
    ['l'] = { .name = "LIST" },
    ['o'] = { .name = "OBJ" },
    ['p'] = { .name = "PUT" },
    [0x82] = { .name = "EXT1" },
    [0x83] = { .name = "EXT2" },
    [0x84] = { .name = "EXT4" },
    [0x8b] = { .name = "LONG4" },
    [0x92] = { .name = "NEWOBJ_EX" },
    [0x97] = { .name = "NEXT_BUFFER" },
    [0x98] = { .name = "READONLY_BUFFER" },
};

static status run_program(struct pickle_vm *vm)
{
    while (!vm->stopped) {
        const unsigned char *op = NULL;
        vm->op_at = vm->at;
        if (vm->at == vm->len)
            return fail(ST_FORMAT, "%s: byte %zu: the pickle ends without STOP", vm->where, vm->at);
        TRY(pickle_take(vm, 1, &op));
        const struct opcode *const o = &opcodes[*op];
        if (!o->run)
            return fail(ST_FORMAT, "%s: byte %zu: opcode %s (0x%02x) is not allowed", vm->where,
                        vm->op_at, o->name ? o->name : "unknown", *op);
        TRY(o->run(vm, o->arg));
    }
    return ST_OK;
}

status pickle_read(struct pickle *out, const void *bytes, size_t len, const char *where)
{
    struct pickle_vm vm = { .p = out, .where = where, .code = bytes, .len = len };

    *out = (struct pickle){ .root = -1 };
    if (len > PICKLE_BYTES_MAX)
        return fail(ST_FORMAT, "%s: a pickle of %zu bytes; at most %d", where, len,
                    PICKLE_BYTES_MAX);
    status const st = run_program(&vm);
    free(vm.stack);
    free(vm.memo);
    if (st != ST_OK) pickle_free(out);
    return st;
}
