/* unit_numerics.c - what is used is in the id of the numerics, and what a clip asks for is used. */
#include "tests/support/unit.h"

#include "pipeline/engine/engine.h"

#include <stdio.h>

/* A backend that only has a name: one of the processor's, or a level of the cards'. */
#define BACKEND(say)                                                                               \
    static const char *say##_kernels(char text[KERN_TEXT])                                         \
    {                                                                                              \
        snprintf(text, KERN_TEXT, #say);                                                           \
        return text;                                                                               \
    }
BACKEND(avx)
BACKEND(amx)

static const struct kern_backend plain = { .name = "cpu", .kernels = avx_kernels };
static const struct kern_backend tiles = { .name = "cpu", .kernels = amx_kernels };
static const struct kern_backend oracle = { .name = "ref", .kernels = avx_kernels };

static const struct engine_options usual = { .backend = &plain, .text_backend = &plain };

static void expect_id(const struct engine_options *o, bool same)
{
    char id[ENGINE_NUMERICS], other[ENGINE_NUMERICS];

    assert_int_equal(engine_numerics_id(&usual, id), ST_OK);
    assert_int_equal(engine_numerics_id(o, other), ST_OK);
    assert_int_equal(strlen(id), ENGINE_NUMERICS - 1);
    assert_int_equal(!strcmp(id, other), same);
}

/* Each part of what is used changes the id; what only changes how fast it goes does not. */
static void what_is_used(void **state)
{
    static const struct {
        struct engine_options o;
        bool same;
    } rows[] = {
        { { .backend = &plain, .text_backend = &plain }, true },
        { { .backend = &plain, .text_backend = &plain, .threads = 3, .ranks_per_line = 2 }, true },
        { { .backend = &plain, .text_backend = &plain, .device_name = "a card" }, true },
        { { .backend = &tiles, .text_backend = &plain }, false },
        { { .backend = &oracle, .text_backend = &plain }, false },
        { { .backend = &plain, .text_backend = &tiles }, false },
        { { .backend = &plain, .text_backend = &oracle }, false },
        { { .backend = &plain, .text_backend = &plain, .mode.wire = LINE_FP8 }, false },
        { { .backend = &plain, .text_backend = &plain, .mode.determinism = LINE_BATCH }, false },
        { { .backend = &plain, .text_backend = &plain, .mode.exchange = LINE_HEADS }, false },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) expect_id(&rows[i].o, rows[i].same);
}

/* Places among the choices, from 1. */
enum { ACT = 1, FP8 = 2, STRICT = 1, BATCH = 2 };

/* What is asked stands in place of what the options say, and changes the id with it. */
static void what_is_asked(void **state)
{
    static const struct {
        struct line_mode said;
        struct clip_numerics asked;
        struct line_mode used;
    } rows[] = {
        { { .wire = LINE_FP8 }, { { 0 } }, { .wire = LINE_FP8 } },
        { { .wire = LINE_ACT }, { { [CLIP_WIRE] = FP8 } }, { .wire = LINE_FP8 } },
        { { .wire = LINE_FP8 }, { { [CLIP_WIRE] = ACT } }, { .wire = LINE_ACT } },
        { { .determinism = LINE_STRICT },
          { { [CLIP_DETERMINISM] = BATCH } },
          { .determinism = LINE_BATCH } },
        { { .determinism = LINE_BATCH },
          { { [CLIP_DETERMINISM] = STRICT } },
          { .determinism = LINE_STRICT } },
        { { .exchange = LINE_HEADS },
          { { [CLIP_WIRE] = FP8, [CLIP_DETERMINISM] = BATCH } },
          { .wire = LINE_FP8, .determinism = LINE_BATCH, .exchange = LINE_HEADS } },
    };

    (void)state;
    for (int i = 0; i < COUNT_OF(rows); i++) {
        struct engine_options said = usual, out;
        const struct kern_backend *backend = &plain;
        struct line_mode mode = rows[i].said;
        said.backend = said.text_backend = kern_backend_find("ref");
        said.mode = rows[i].said;
        assert_int_equal(engine_adapt_options(&out, &said, &rows[i].asked), ST_OK);
        assert_int_equal(engine_apply_numerics(&backend, &mode, &rows[i].asked), ST_OK);
        assert_ptr_equal(backend, &plain);
        assert_memory_equal(&out.mode, &rows[i].used, sizeof out.mode);
        assert_memory_equal(&mode, &rows[i].used, sizeof mode);
        assert_ptr_equal(out.text_backend, said.text_backend);
    }
}

/* Kernels are a level of the cards' backend: another takes its place, also for the prompts if it
 * embeds them, or none does and it is said. */
static void asked_kernels(void **state)
{
    static const struct kern_backend card = { .name = "cuda-0", .on_cards = true };
    const struct clip_numerics asked = { { [CLIP_KERNELS] = 1 } };
    const struct kern_backend *const level = kern_backend_of_cards(1), *backend = &plain;
    struct engine_options o = usual, out;
    struct line_mode mode = { 0 };

    (void)state;
    assert_int_equal(engine_apply_numerics(&backend, &mode, &asked), ST_ARG);
    assert_string_equal(error_last()->msg,
                        "numerics.kernels: 1 is of the cuda backend; this is cpu");
    backend = &card;
    assert_int_equal(engine_apply_numerics(&backend, &mode, &asked), level ? ST_OK : ST_ARG);
    if (level) assert_ptr_equal(backend, level);
    else assert_string_equal(error_last()->msg, "numerics.kernels: this program has no level 1");
    o.backend = o.text_backend = &card;
    status const st = engine_adapt_options(&out, &o, &asked);
    if (!level) assert_int_equal(st, ST_ARG);
    else if (level->absent()) assert_int_equal(st, ST_DEVICE);
    else assert_ptr_equal(out.text_backend, level);
    o.text_backend = &plain;
    if (st == ST_OK) assert_int_equal(engine_adapt_options(&out, &o, &asked), ST_OK);
    if (st == ST_OK) assert_ptr_equal(out.text_backend, &plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_used),
        cmocka_unit_test(what_is_asked),
        cmocka_unit_test(asked_kernels),
    };
    return cmocka_run_group_tests_name("unit_numerics", tests, NULL, NULL);
}
