/* unit_tokenizer.c - the golden prompts' ids, and models that lie. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "pipeline/text/clean/text_clean.h"
#include "pipeline/text/tokenizer.h"
#include "tools/spiece.h"
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define GOLDEN "tests/golden/tokenizer-small/"
#define MODEL  GOLDEN "model/google/umt5-xxl/spiece.model"
#define CONFIG "tests/golden/rolling-5-step/model/config.json"

enum { LEN = 512 };

static void golden(void **state)
{
    json_error_t error;
    json_t *const file = json_load_file(GOLDEN "case.json", 0, &error);
    const json_t *const cases = json_object_get(file, "cases");
    struct tokenizer *t;

    (void)state;
    assert_int_equal(tokenizer_open(&t, MODEL), ST_OK);
    assert_true(json_array_size(cases) > 0);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *const c = json_array_get(cases, i), *const want = json_object_get(c, "ids");
        const char *const prompt = json_string_value(json_object_get(c, "prompt"));
        int32_t ids[LEN];
        const char *const recorded = json_string_value(json_object_get(c, "clean"));
        int count;
        char *clean, *again;

        /* The recording keeps punctuation of full width, which cleaning folds. */
        assert_int_equal(text_clean(prompt, strlen(prompt), &clean), ST_OK);
        assert_int_equal(text_clean(recorded, strlen(recorded), &again), ST_OK);
        assert_string_equal(clean, again);
        free(again);
        assert_int_equal(tokenizer_encode(t, clean, ids, LEN, &count), ST_OK);
        assert_int_equal(count, json_array_size(want));
        for (int k = 0; k < count; k++)
            assert_int_equal(ids[k], json_integer_value(json_array_get(want, (size_t)k)));
        free(clean);
    }
    tokenizer_close(&t);
    assert_null(t);
    json_decref(file);
}

/* The end token comes last, also where the text is cut to fit. */
static void cut_to_fit(void **state)
{
    const char *const text = "a red kite drifts over the quiet river";
    struct tokenizer *t;
    int32_t all[LEN], ids[LEN];
    int whole, count;

    (void)state;
    assert_int_equal(tokenizer_open(&t, MODEL), ST_OK);
    assert_int_equal(tokenizer_encode(t, text, all, LEN, &whole), ST_OK);
    assert_true(whole > 8);
    for (int max = 1; max <= whole + 1; max++) {
        int const want = max < whole ? max : whole;
        assert_int_equal(tokenizer_encode(t, text, ids, max, &count), ST_OK);
        assert_int_equal(count, want);
        assert_memory_equal(ids, all, (size_t)(want - 1) * sizeof *ids);
        assert_int_equal(ids[want - 1], 1);
    }
    assert_int_equal(tokenizer_encode(t, text, ids, 0, &count), ST_ARG);
    assert_string_equal(error_last()->msg, "tokenizer: room for 0 ids; at least 1 is needed");
    tokenizer_close(&t);
    tokenizer_close(&t);
}

/* What does not fit, in words. */
static void too_long(void **state)
{
    const char *const text = "a red kite drifts over the quiet river";
    struct tokenizer *t;
    int32_t ids[LEN];
    char *rest;
    int whole, count;

    (void)state;
    assert_int_equal(tokenizer_open(&t, MODEL), ST_OK);
    assert_int_equal(tokenizer_encode(t, text, ids, LEN, &whole), ST_OK);
    for (int max = 1; max <= whole + 1; max++) {
        assert_int_equal(tokenizer_measure(t, text, max, &count, &rest), ST_OK);
        assert_int_equal(count, whole);
        assert_int_equal(rest != NULL, max < whole);
        if (rest) /* its last words */
            assert_string_equal(rest, text + strlen(text) - strlen(rest));
        if (max == 1) assert_string_equal(rest, text);
        free(rest);
    }
    assert_int_equal(tokenizer_measure(t, "", 1, &count, &rest), ST_OK);
    assert_int_equal(count, 1);
    assert_null(rest);
    assert_int_equal(tokenizer_measure(t, text, 0, &count, &rest), ST_ARG);
    tokenizer_close(&t);
}

static void own_model(void **state)
{
    char dir[] = "/tmp/unit_tokenizer.XXXXXX";
    struct tokenizer *t;
    int32_t ids[LEN];
    int count;

    (void)state;
    assert_non_null(mkdtemp(dir));
    char *const path = path_join(dir, "spiece.model");
    assert_int_equal(spiece_write(path), ST_OK);
    assert_int_equal(tokenizer_open(&t, path), ST_OK);
    assert_int_equal(tokenizer_vocab(t), spiece_count());
    assert_int_equal(tokenizer_encode(t, "a 日", ids, LEN, &count), ST_OK);
    assert_true(count > 4);
    assert_int_equal(ids[count - 1], 1);
    tokenizer_close(&t);
    assert_int_equal(dir_remove(dir), ST_OK);
    free(path);
}

/* ---- models that lie ----------------------------------------------------------- */

static void add_field(struct strbuf *t, int number, const void *bytes, size_t len)
{
    char const tag = (char)(number << 3 | 2);

    strbuf_add(t, &tag, 1);
    for (size_t n = len;; n >>= 7) {
        char const byte = (char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
        strbuf_add(t, &byte, 1);
        if (n <= 0x7f) break;
    }
    strbuf_add(t, bytes, len);
}

static void add_piece(struct strbuf *t, const char *text, size_t len, float score, int type)
{
    struct strbuf piece = { 0 };
    char tail[7] = { 2 << 3 | 5, 0, 0, 0, 0, 3 << 3, (char)type };

    memcpy(tail + 1, &score, sizeof score);
    add_field(&piece, 1, text, len);
    strbuf_add(&piece, tail, sizeof tail);
    add_field(t, 1, piece.s, piece.len);
    strbuf_free(&piece);
}

/* Enough of a model for the library, and room for one thing more. */
static void add_small_model(struct strbuf *t)
{
    add_piece(t, "<pad>", 5, 0, 3);
    add_piece(t, "</s>", 4, 0, 3);
    add_piece(t, "<unk>", 5, 0, 2);
    add_piece(t, "a", 1, -1, 1);
}

/* A map of one trie unit block and the strings behind it. */
static void add_charsmap(struct strbuf *t, const uint32_t *units, int count, const char *strings,
                         size_t len)
{
    struct strbuf map = { 0 }, spec = { 0 };
    uint32_t const bytes = (uint32_t)count * 4;

    strbuf_add(&map, &bytes, 4);
    strbuf_add(&map, units, bytes);
    strbuf_add(&map, strings, len);
    add_field(&spec, 2, map.s, map.len);
    add_field(t, 3, spec.s, spec.len);
    strbuf_free(&map);
    strbuf_free(&spec);
}

static void refuse(const void *data, size_t len, const char *message)
{
    struct tokenizer *t = NULL;

    assert_int_equal(tokenizer_open_bytes(&t, data, len, "m"), ST_FORMAT);
    assert_string_equal(error_last()->msg, message);
    assert_null(t);
}

static void broken_bytes(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *message;
    } table[] = {
        { "", 0, "m: the file is empty" },
        { "garbage!", 8, "m: byte 0: not a SentencePiece model" },
        { "\x00\x00", 2, "m: byte 0: not a SentencePiece model" },
        { "\x0a", 1, "m: byte 1: the file ends inside a number" },
        { "\x0a\x7f"
          "abc",
          5, "m: byte 2: a field of 127 bytes where 3 are left" },
        { "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11,
          "m: byte 11: a field of 18446744073709551615 bytes where 0 are left" },
        { "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12,
          "m: byte 1: a number of more than 64 bits" },
        { "\x08\x01", 2, "m: byte 0: field 1 has form 0 instead of 2" },
        { "\x12\x02\x18\x02", 4, "m: byte 2: model type 2; only 1, unigram, is read" },
        { "\x12\x02\x1d\x02", 4, "m: byte 3: the file ends inside a number" },
        { "\x0a\x02\x18\x09", 4, "m: byte 2: a piece has type 9; 1 to 6 are known" },
        { "\x0a\x05\x15\x00\x00\xc0\x7f", 7, "m: byte 2: the score of a piece is nan" },
        { "\x0a\x05\x15\x00\x00\x80\xff", 7, "m: byte 2: the score of a piece is -inf" },
        { "\x0a\x03\x0a\x01\x00", 5, "m: byte 4: a piece holds a NUL" },
        { "\x0a\x02\x18\x01", 4, "m: byte 2: a piece of 0 bytes; 1 to 512 are allowed" },
        { "\x22\x02\x0a\x00", 4, "m: holds no pieces" },
        { "\x0a\x03\x0a\x01"
          "a",
          5, "m: unk is not defined." },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(table); i++)
        refuse(table[i].bytes, table[i].len, table[i].message);
}

static void broken_files(void **state)
{
    struct tokenizer *t = NULL;
    char *bytes;
    size_t len;

    (void)state;
    assert_int_equal(tokenizer_open(&t, "no/such.model"), ST_FORMAT);
    assert_non_null(strstr(error_last()->msg, "no/such.model"));
    assert_int_equal(tokenizer_open(&t, "Makefile"), ST_FORMAT);
    assert_int_equal(tokenizer_open(&t, CONFIG), ST_FORMAT);
    assert_string_equal(error_last()->msg,
                        CONFIG ": a JSON text; a SentencePiece model is expected");
    assert_int_equal(file_read(MODEL, 1 << 20, &bytes, &len), ST_OK);
    for (size_t cut = 0; cut < len; cut += 1 + len / 97) {
        assert_int_equal(tokenizer_open_bytes(&t, bytes, cut, "m"), ST_FORMAT);
        assert_null(t);
    }
    free(bytes);
}

static void broken_pieces(void **state)
{
    char *const wide = malloc(513);
    struct strbuf m = { 0 };

    (void)state;
    assert_non_null(wide);
    memset(wide, 'x', 513);
    add_small_model(&m);
    size_t const small = m.len;
    struct tokenizer *t;
    assert_int_equal(tokenizer_open_bytes(&t, m.s, m.len, "m"), ST_OK);
    tokenizer_close(&t);

    add_piece(&m, wide, 513, 0, 1);
    refuse(m.s, m.len, "m: byte 62: a piece of 513 bytes; 1 to 512 are allowed");
    m.len = small;
    add_piece(&m, wide, 65, 0, 4);
    refuse(m.s, m.len, "m: byte 61: a piece of 65 bytes; 1 to 64 are allowed");
    m.len = small;
    add_piece(&m, "a", 1, 0, 1);
    refuse(m.s, m.len, "m: a is already defined.");
    m.len = small;
    add_piece(&m, "<0x00>", 6, 0, 6);
    refuse(m.s, m.len, "m: byte piece <0x00> is found although `byte_fallback` is false.");
    strbuf_free(&m);

    add_piece(&m, "<unk>", 5, 0, 2);
    add_piece(&m, "a", 1, -1, 1);
    refuse(m.s, m.len, "m: no control piece </s>");
    strbuf_free(&m);
    free(wide);
}

/* Unit: offset << 10 | has value << 8 | label; a value: bit 31. */
static void broken_rules(void **state)
{
    enum { BLOCK = 256, LEAF = 1 << 8 };
    uint32_t units[BLOCK];
    struct strbuf m = { 0 };

    (void)state;
    for (int i = 0; i < BLOCK; i++) units[i] = 1u << 31;
    units[0] = 0;
    add_small_model(&m);
    size_t const small = m.len;

    add_field(&m, 3,
              "\x12\x03"
              "abc",
              5);
    refuse(m.s, m.len, "m: 3 bytes of normalisation rules; 4 to 4194304 are allowed");
    m.len = small;
    add_charsmap(&m, units, 3, "", 1);
    refuse(m.s, m.len, "m: the normalisation rules lead to unit 255 of 3");
    m.len = small;
    add_charsmap(&m, units, BLOCK, "", 0);
    refuse(m.s, m.len, "m: a normalisation trie of 1024 bytes in 1028 bytes of rules");

    m.len = small;
    units[0] = 1u << 10; /* children at 1 ^ byte: 'a' at 0x60 */
    units['a' ^ 1] = 5000u << 10 | 'a';
    add_charsmap(&m, units, BLOCK, "", 1);
    refuse(m.s, m.len, "m: the normalisation rules lead to unit 5119 of 256");

    m.len = small;
    units['a' ^ 1] = ('a' ^ 1 ^ 2) << 10 | LEAF | 'a'; /* its value at unit 2 */
    units[2] = 1u << 31 | 77;
    add_charsmap(&m, units, BLOCK, "", 1);
    refuse(m.s, m.len, "m: a normalisation rule points at byte 77 of 1");

    m.len = small;
    units[2] = 1u << 31;
    add_charsmap(&m, units, BLOCK, "no end", 6);
    refuse(m.s, m.len, "m: the text of a normalisation rule does not end within 256 bytes");

    m.len = small;
    units['a' ^ 1] = (uint32_t)'a' << 10 | 'a'; /* back to its own block, where 'a' is itself */
    add_charsmap(&m, units, BLOCK, "", 1);
    refuse(m.s, m.len, "m: the normalisation rules run in a circle");
    strbuf_free(&m);
}

/* C++'s operators new and delete, this program's own: the library's calls for memory, of which one
 * fails. */
static long news, fails_at;
void *_Znwm(size_t n);
void _ZdlPv(void *p);
void _ZdlPvm(void *p, size_t n);
_Noreturn void throw_bad_alloc(void) __asm__("_ZSt17__throw_bad_allocv");

void *_Znwm(size_t n)
{
    void *const p = ++news == fails_at ? NULL : malloc(n ? n : 1);

    if (!p) throw_bad_alloc();
    return p;
}

void _ZdlPv(void *p) { free(p); }
void _ZdlPvm(void *p, size_t n)
{
    (void)n;
    free(p);
}

enum { NO_MEMORY = 40, OPENED, REFUSED, UNTOUCHED }; /* how a child ends */

static int open_without(const struct strbuf *m, long at)
{
    struct tokenizer *t;
    int how;

    pid_t const child = fork();
    if (!child) {
        fclose(stderr); /* the library's last words */
        signal(SIGSEGV, SIG_DFL);
        news = 0;
        fails_at = at;
        status const st = tokenizer_open_bytes(&t, m->s, m->len, "m");
        fails_at = 0;
        _exit(news < at ? UNTOUCHED : st == ST_OK ? OPENED : st == ST_NOMEM ? NO_MEMORY : REFUSED);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &how, 0), child);
    return WIFEXITED(how) ? WEXITSTATUS(how) : NO_MEMORY; /* protobuf aborts, or crashes */
}

/* Wherever memory ends, it is memory that is missing: never a model that is wrong. */
static void no_memory(void **state)
{
    struct strbuf m = { 0 };
    int how = OPENED;
    long at = 0;

    (void)state;
    add_small_model(&m);
    while (how != UNTOUCHED && at < 10000) {
        how = open_without(&m, ++at);
        if (how == REFUSED) print_error("call %ld for memory\n", at);
        assert_int_not_equal(how, REFUSED);
    }
    assert_int_equal(how, UNTOUCHED);
    assert_true(at > 20);
    strbuf_free(&m);
}

/* ComfyUI's text encoders have the model's bytes among their tensors. */
static void among_tensors(void **state)
{
    static const char *const names[] = { "spiece_model", "spiece" };
    static const char text[] = "a red kite drifts over the quiet river";
    char path[] = "/tmp/unit-tokenizer.XXXXXX", head[128], length[8];
    struct tokenizer *plain, *packed;
    int32_t want[LEN], got[LEN];
    struct strbuf file = { 0 };
    struct file_map m;
    int fd, wants, gots;

    (void)state;
    assert_int_equal(file_map(&m, MODEL), ST_OK);
    assert_true((fd = mkstemp(path)) >= 0 && !close(fd));
    for (int i = 0; i < COUNT_OF(names); i++) {
        int const n =
            snprintf(head, sizeof head,
                     "{\"%s\":{\"dtype\":\"U8\",\"shape\":[%zu],\"data_offsets\":[0,%zu]}}",
                     names[i], m.size, m.size);
        for (int b = 0; b < 8; b++) length[b] = (char)(b ? 0 : n);
        strbuf_add(&file, length, sizeof length);
        strbuf_add(&file, head, (size_t)n);
        strbuf_add(&file, m.data, m.size);
        assert_int_equal(file_write(path, file.s, file.len), ST_OK);
        strbuf_free(&file);
        if (i) {
            assert_int_equal(tokenizer_open(&packed, path), ST_FORMAT);
            assert_non_null(strstr(error_last()->msg, "a safetensors file without a tokenizer"));
            continue;
        }
        assert_int_equal(tokenizer_open(&plain, MODEL), ST_OK);
        assert_int_equal(tokenizer_open(&packed, path), ST_OK);
        assert_int_equal(tokenizer_encode(plain, text, want, LEN, &wants), ST_OK);
        assert_int_equal(tokenizer_encode(packed, text, got, LEN, &gots), ST_OK);
        assert_int_equal(gots, wants);
        assert_memory_equal(got, want, (size_t)wants * sizeof *want);
        tokenizer_close(&plain);
        tokenizer_close(&packed);
    }
    file_unmap(&m);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),        cmocka_unit_test(cut_to_fit),
        cmocka_unit_test(too_long),      cmocka_unit_test(own_model),
        cmocka_unit_test(broken_bytes),  cmocka_unit_test(broken_files),
        cmocka_unit_test(broken_pieces), cmocka_unit_test(broken_rules),
        cmocka_unit_test(no_memory),     cmocka_unit_test(among_tensors),
    };
    return cmocka_run_group_tests_name("unit_tokenizer", tests, NULL, NULL);
}
