/* unit_pickle.c - the closed list of opcodes and names. */
#include "tests/support/unit.h"

#include "pipeline/weights/weights_internal.h"

/* Opcodes between PROTO and STOP, and what is said of them; NULL: they are fine. */
struct row {
    const char *code;
    size_t len;
    const char *message;
};
#define CODE(s) "\x80\2" s, sizeof("\x80\2" s) - 1

static const struct row rows[] = {
    { CODE("}."), NULL },
    { CODE("N."), NULL },
    { CODE("\x88."), NULL },
    { CODE("]K\1aK\2a."), NULL },
    { CODE("](K\1K\2e."), NULL },
    { CODE("}q\0(X\1\0\0\0aK\1X\1\0\0\0bh\0u."), NULL }, /* a dict that holds itself */
    { CODE("ccollections\nOrderedDict\n)R}X\1\0\0\0aNsb."), NULL },
    { CODE("(t."), NULL },
    { CODE("\x8a\1\xff."), NULL },
    { CODE("G\x3f\xf0\0\0\0\0\0\0."), NULL },
    { CODE("\x95\1\0\0\0\0\0\0\0\x8c\1a\x94."), NULL }, /* protocol 4's framing */

    /* Calls, whichever way they are spelt */
    { CODE("(ios\nsystem\n."), "f: byte 3: opcode INST (0x69) is not allowed" },
    { CODE("(o."), "f: byte 3: opcode OBJ (0x6f) is not allowed" },
    { CODE("))\x81."), "f: byte 4: NEWOBJ of a value that is not a class" },
    { CODE("cos\nsystem\n\x81."), "f: byte 13: takes more from the stack than there is" },
    { CODE("(cos\nsystem\n(X\4\0\0\0true\x85R."),
      "f: byte 25: takes more from the stack than there is" },
    { CODE("ccollections\nOrderedDict\n)\x81."),
      "f: byte 28: NEWOBJ of a value that is not a class" },
    { CODE("C\5abc."), "f: byte 2: the pickle ends inside an opcode" },
    { CODE("cos\nenviron\nK\1K\2u."), "f: byte 18: takes more from the stack than there is" },
    { CODE("cos\nenviron\n(K\1u."),
      "f: byte 17: adds to a value that is not a dict, or a key without a value" },
    { CODE("\x82\1."), "f: byte 2: opcode EXT1 (0x82) is not allowed" },
    { CODE("\xfe"), "f: byte 2: opcode unknown (0xfe) is not allowed" },
    { CODE("K\1)R."), "f: byte 5: REDUCE of a value that is not a function" },
    { CODE("ctorch\nFloatStorage\n)R."), "f: byte 23: REDUCE of a value that is not a function" },
    { CODE("ccollections\nOrderedDict\nK\1\x85R."),
      "f: byte 30: a tuple of 0 to 0 entries expected, found one of another length" },
    { CODE("ctorch._utils\n_rebuild_tensor_v2\nK\1R."),
      "f: byte 37: a tuple of 6 to 7 entries expected, found another value" },
    { CODE("ctorch._utils\n_rebuild_parameter\n(K\1K\1K\1tR."),
      "f: byte 43: a parameter without a tensor" },
    { CODE("K\1NNb."), "f: byte 6: BUILD on a value that is not a dict" },
    { CODE("(X\1\0\0\0aK\1K\1K\1K\1tQ."), "f: byte 18: a persistent id that is not a storage" },

    /* A machine used wrongly */
    { CODE(""), "f: byte 2: the pickle ends without STOP" },
    { CODE("."), "f: byte 2: takes more from the stack than there is" },
    { CODE("NN."), "f: byte 4: stops with values left over" },
    { CODE("(N."), "f: byte 4: stops with values left over" },
    { CODE("t."), "f: byte 2: takes more from the stack than there is" },
    { CODE("N(\x85."), "f: byte 4: takes more from the stack than there is" },
    { CODE("N\x86."), "f: byte 3: takes more from the stack than there is" },
    { CODE("e."), "f: byte 2: takes more from the stack than there is" },
    { CODE("(e."), "f: byte 3: takes more from the stack than there is" },
    { CODE("a."), "f: byte 2: takes more from the stack than there is" },
    { CODE("}K\1a."), "f: byte 5: adds to a value that is not a list" },
    { CODE("](NNu."), "f: byte 6: adds to a value that is not a dict, or a key without a value" },
    { CODE("}(Nu."), "f: byte 5: adds to a value that is not a dict, or a key without a value" },
    { CODE("q\0."), "f: byte 2: takes more from the stack than there is" },
    { CODE("h\0."), "f: byte 2: memo 0 was never set" },
    { CODE("Nq\5h\4."), "f: byte 5: memo 4 was never set" },
    { CODE("Nr\xff\xff\xff\xff."), "f: byte 3: memo 4294967295; at most 1048575" },
    { CODE("X\xff\xff\xff\xff"
           "a"),
      "f: byte 2: the pickle ends inside an opcode" },
    { CODE("J\1\2"), "f: byte 2: the pickle ends inside an opcode" },
    { CODE("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"
           "a"),
      "f: byte 2: the pickle ends inside an opcode" },
    { CODE("ccollections"), "f: byte 2: the pickle ends inside a name" },
    { CODE("\x8a\x09"
           "12345678"),
      "f: byte 2: the pickle ends inside an opcode" },
    { CODE("K\1K\2\x93."), "f: byte 6: a global whose name is not text" },
    { "\x80\1.", 3, "f: pickle protocol 1; 2 to 5 are read" },
    { "\x80\6.", 3, "f: pickle protocol 6; 2 to 5 are read" },
};

static void opcodes(void **state)
{
    struct pickle p;

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        status const st = pickle_read(&p, rows[i].code, rows[i].len, "f");
        if (rows[i].message) {
            if (st != ST_FORMAT) print_error("row %d is not refused\n", i);
            assert_int_equal(st, ST_FORMAT);
            assert_string_equal(error_last()->msg, rows[i].message);
        } else {
            if (st != ST_OK) print_error("row %d: %s\n", i, error_last()->msg);
            assert_int_equal(st, ST_OK);
            assert_true(p.root >= 0 && p.root < p.values);
        }
        pickle_free(&p);
    }
}

/* What is no tensor, dict, list or scalar is an object with a name; nothing of it is run. */
/* A tensor of four bytes, and what stands behind its hooks. */
#define BYTES_AS(version, dtype)                                                                   \
    CODE("ctorch._utils\n_rebuild_tensor_" version "\n((X\7\0\0\0storagectorch.storage\n"          \
         "UntypedStorage\nX\1\0\0\0000X\3\0\0\0cpuK\4tQK\0K\4\x85K\1\x85\x89N" dtype "tR.")

static void objects(void **state)
{
    static const struct {
        const char *code;
        size_t len;
        const char *name;
    } made[] = {
        { CODE("cos\nsystem\nX\4\0\0\0true\x85R."), "system" },
        { CODE("\x8c\2os\x8c\6system\x93."), "system" },
        { CODE("ctorch\nbfloat16\n."), "bfloat16" },
        { CODE("ctorch\ndevice\nX\4\0\0\0cuda\x85R."), "device" },
        { CODE("ctorch\nSize\n(K\1K\2t\x85R."), "Size" },
        { CODE("cargparse\nNamespace\n)\x81}X\2\0\0\0lrK\1sb."), "Namespace" },
        { CODE("ccollections\ndefaultdict\nc__builtin__\nlist\n\x85R(K\1]K\2]u."), "defaultdict" },
        { CODE("ccollections\ndeque\n)R(K\1K\2e."), "deque" },
        { CODE("c_codecs\nencode\n(X\1\0\0\0aX\6\0\0\0latin1tR."), "encode" },
        { CODE("\x8a\x09"
               "123456789."),
          "int" },
        { CODE("C\3abc."), "bytes" },
        { CODE("\x8f(K\1K\2\x90."), "set" },
        { CODE("(K\1K\2\x91."), "frozenset" },
        { CODE("ctorch._utils\n_rebuild_sparse_tensor\n)R."), "_rebuild_sparse_tensor" },
        { BYTES_AS("v3", "ctorch\nuint16\n"), "_rebuild_tensor_v2" },
        { BYTES_AS("v2", ""), "_rebuild_tensor_v2" },
    };
    struct pickle p;

    (void)state;
    for (int i = 0; i < COUNT_OF(made); i++) {
        status const st = pickle_read(&p, made[i].code, made[i].len, "f");
        if (st != ST_OK) print_error("row %d: %s\n", i, error_last()->msg);
        assert_int_equal(st, ST_OK);
        assert_int_equal(p.value[p.root].kind, PICKLE_OBJECT);
        assert_true(pickle_text_is(p.value[p.root].as.text, made[i].name));
        pickle_free(&p);
    }
}

/* A dtype without a storage of its own. */
static void tensor_of_bytes(void **state)
{
    static const struct {
        const char *code;
        size_t len;
        const char *want; /* NULL: it is read */
    } made[] = {
        { BYTES_AS("v3", "ctorch\nfloat8_e4m3fn\n"), NULL },
        { BYTES_AS("v3", "ctorch\nFloatStorage\n"), "a tensor's dtype that is none" },
        { BYTES_AS("v3", "K\1"), "a tensor's dtype that is none" },
        { BYTES_AS("v3", ""), "" },
    };
    struct pickle p;

    (void)state;
    for (int i = 0; i < COUNT_OF(made); i++) {
        status const st = pickle_read(&p, made[i].code, made[i].len, "f");
        assert_int_equal(st, made[i].want ? ST_FORMAT : ST_OK);
        if (made[i].want) assert_non_null(strstr(error_last()->msg, made[i].want));
        else assert_true(pickle_text_is(p.tensor[0].dtype, "float8_e4m3fn"));
        pickle_free(&p);
    }
}

static void numbers(void **state)
{
    static const struct {
        const char *code;
        size_t len;
        int64_t want;
    } n[] = {
        { CODE("K\xff."), 255 },
        { CODE("M\xff\xff."), 65535 },
        { CODE("J\xfe\xff\xff\xff."), -2 },
        { CODE("\x8a\0."), 0 },
        { CODE("\x8a\1\xfe."), -2 },
        { CODE("\x8a\2\xff\0."), 255 },
        { CODE("\x8a\5\0\0\0\0\1."), INT64_C(1) << 32 },
        { CODE("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f."), INT64_MAX },
    };
    struct pickle p;

    (void)state;
    for (int i = 0; i < COUNT_OF(n); i++) {
        assert_int_equal(pickle_read(&p, n[i].code, n[i].len, "f"), ST_OK);
        assert_int_equal(p.value[p.root].kind, PICKLE_INT);
        assert_true(p.value[p.root].as.number == n[i].want);
        pickle_free(&p);
    }
}

/* torch.nn.Parameter, as torch.save writes one. */
static void parameter(void **state)
{
    static const char code[] =
        "\x80\2}X\1\0\0\0wctorch._utils\n_rebuild_parameter\n(ctorch._utils\n_rebuild_tensor_v2\n"
        "((X\7\0\0\0storagectorch\nHalfStorage\nX\2\0\0\0"
        "17X\3\0\0\0cpuK\x0ctQK\4K\2K\3\x86K\3K\1\x86"
        "\x89}tR\x88}tRs.";
    struct pickle p;

    (void)state;
    assert_int_equal(pickle_read(&p, code, sizeof code - 1, "f"), ST_OK);
    int const at = pickle_get(&p, p.root, "w");
    assert_true(at >= 0);
    assert_int_equal(pickle_get(&p, p.root, "v"), -1);
    assert_int_equal(pickle_get(&p, at, "w"), -1);
    assert_int_equal(p.value[at].kind, PICKLE_TENSOR);
    const struct pickle_tensor *const t = &p.tensor[p.value[at].as.at];
    assert_int_equal(t->ndim, 2);
    assert_int_equal(t->offset, 4);
    assert_int_equal(t->dim[1], 3);
    assert_int_equal(t->stride[0], 3);
    assert_true(pickle_text_is(p.storage[t->storage].key, "17"));
    assert_int_equal(p.storage[t->storage].count, 12);
    pickle_free(&p);
}

/* Deep nesting and endless lists end in an error, not in the stack or the memory. */
static void limits(void **state)
{
    enum { N = 3 << 20 };
    char *const code = malloc(N);
    struct pickle p;

    (void)state;
    assert_non_null(code);
    memset(code, '(', N);
    assert_int_equal(pickle_read(&p, code, N, "f"), ST_FORMAT);
    assert_string_equal(error_last()->msg, "f: byte 64: nested deeper than 64");
    memset(code, 'N', N);
    assert_int_equal(pickle_read(&p, code, N, "f"), ST_FORMAT);
    assert_string_equal(error_last()->msg, "pickle: more than 1048576 values");
    memset(code, 0x85, N);
    code[0] = 'N';
    assert_int_equal(pickle_read(&p, code, N, "f"), ST_FORMAT);
    assert_string_equal(error_last()->msg, "pickle: more than 1048576 values");
    free(code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opcodes), cmocka_unit_test(objects),   cmocka_unit_test(tensor_of_bytes),
        cmocka_unit_test(numbers), cmocka_unit_test(parameter), cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests_name("unit_pickle", tests, NULL, NULL);
}
