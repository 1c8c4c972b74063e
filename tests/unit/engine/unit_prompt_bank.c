/* unit_prompt_bank.c - however many different prompts there are, the bank holds few embeddings.
 * What it asks for is answered here (--wrap). */
#include "tests/support/unit.h"

#include "pipeline/engine/dispatch/dispatch_internal.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { PROMPTS = 200000, TOKENS = 4, DIM = 1024, ROWS = TOKENS * DIM * (int)sizeof(float) };

status __wrap_prompt_request(struct group *t, const char *const *text, int texts,
                             struct prompt_answer *answer, struct group_verdict *failed);
status __wrap_prompt_request_end(struct group *t);

static atomic_int asked;

/* Rows that begin with the text's number. */
status __wrap_prompt_request(struct group *t, const char *const *text, int texts,
                             struct prompt_answer *answer, struct group_verdict *failed)
{
    (void)t;
    *failed = (struct group_verdict){ .st = ST_OK };
    for (int i = 0; i < texts; i++) {
        answer[i] = (struct prompt_answer){ .tokens = TOKENS, .rows = malloc(ROWS) };
        if (!answer[i].rows) return fail(ST_NOMEM, "rows");
        answer[i].rows[0] = (float)atoi(text[i]);
        asked++;
    }
    return ST_OK;
}

status __wrap_prompt_request_end(struct group *t)
{
    (void)t;
    return ST_OK;
}

/* What a clip gets: its own rows. */
static void expect_rows(struct prompt_bank *p, const struct clip_spec *spec, int number)
{
    struct live_clip live = { .spec = *spec };

    assert_int_equal(prompt_bank_give(p, &live), ST_OK);
    assert_int_equal(live.texts, 1);
    assert_true(live.text[0].rows[0] == (float)number);
    free(live.text[0].rows);
    free(live.text);
    free(live.text_of);
}

static void flat(void **state)
{
    static struct group t;
    struct comm world = { .size = 1 };
    struct clip_spec clip[PROMPT_TOGETHER];
    struct clip_prompt prompt[PROMPT_TOGETHER];
    const struct clip_spec *all[PROMPT_TOGETHER];
    char text[PROMPT_TOGETHER][16];
    struct group_verdict failed;
    struct prompt_bank *p;
    size_t most = 0;

    (void)state;
    t.world = &world;
    t.g.shape.text_dim = DIM;
    assert_int_equal(dispatch_list_open(&t.work), ST_OK); /* which the bank wakes */
    assert_int_equal(prompt_bank_open(&p, &t), ST_OK);
    assert_int_equal(prompt_bank_start(p), ST_OK);
    size_t const before = mallinfo2().uordblks;
    for (int at = 0; at < PROMPTS; at += PROMPT_TOGETHER) {
        for (int i = 0; i < PROMPT_TOGETHER; i++) {
            snprintf(text[i], sizeof text[i], "%d", at + i);
            prompt[i] = (struct clip_prompt){ .text = text[i] };
            clip[i] = (struct clip_spec){ .prompt = &prompt[i], .prompts = 1 };
            all[i] = &clip[i];
        }
        assert_int_equal(prompt_bank_ask(p, all, PROMPT_TOGETHER), ST_OK);
        while (!prompt_bank_has(p, all[0])) {
            prompt_bank_collect(p, &failed);
            assert_int_equal(failed.st, ST_OK);
        }
        for (int i = 0; i < PROMPT_TOGETHER; i++) {
            assert_true(prompt_bank_has(p, all[i]));
            expect_rows(p, all[i], at + i);
        }
        size_t const now = mallinfo2().uordblks;
        if (now > before && now - before > most) most = now - before;
    }
    assert_int_equal(asked, PROMPTS);
    assert_in_range(most, ROWS, (size_t)(PROMPTS_KEPT + 2 * PROMPT_TOGETHER) * (ROWS + 256));
    prompt_bank_close(&p);
    dispatch_list_close(&t.work);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(flat) };

    mallopt(M_ARENA_MAX, 1); /* so that what one thread makes and another frees is counted alike */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    return cmocka_run_group_tests_name("unit_prompt_bank", tests, NULL, NULL);
}
