/* unit_contact.c - the contact sheet: cells spread over the clip, and reduced. */
#include "tests/support/unit.h"

#include "base/strbuf.h"
#include "pipeline/output/av/codec.h"
#include "pipeline/output/output_internal.h"
#include "tests/support/clips.h"

enum { WIDE = 2 * CONTACT_WIDTH, CELL = CONTACT_WIDTH + CONTACT_GAP };

/* Cell k shows candidate 4 k: columns of 4 k and 4 k + 1, whose mean rounds up. */
static void see_sheet(void *arg, int64_t i, int64_t pts, bool key, const unsigned char *planes,
                      size_t len)
{
    int const columns = 20, width = CONTACT_GAP + columns * CELL, down = 2 + CONTACT_GAP;

    (void)arg, (void)i, (void)pts, (void)key;
    assert_int_equal(len, 3 * width * (CONTACT_GAP + 3 * down));
    for (int k = 0; k < 60; k++) {
        int const x = CONTACT_GAP + k % columns * CELL, y = CONTACT_GAP + k / columns * down;
        const unsigned char *const cell = planes + 3 * (y * width + x);
        int const want = k < 50 ? 4 * k + 1 : cell[-3]; /* no cell: background */
        assert_int_equal(cell[0], want);
        assert_int_equal(cell[3 * (width + CONTACT_WIDTH - 1) + 2], want);
        assert_int_not_equal(cell[-3], 4 * k + 1);
    }
}

static void sheet_is_spread_and_reduced(void **state)
{
    char *const top = clips_folder(), *const path = path_join(top, "sheet.png");
    uint8_t rgb[5 * WIDE * 3]; /* the fifth row fills no square */
    struct clips_file file;
    struct contact *s;
    struct written sheet;
    struct contact_config c = { .path = path, .width = WIDE, .height = 5, .columns = 20 };

    (void)state;
    ok(contact_open(&s, &c));
    assert_int_equal(contact_commit(s, &sheet), ST_ARG);
    for (int k = 0; k < 200; k++) {
        for (int i = 0; i < (int)sizeof rgb; i++) rgb[i] = (uint8_t)(k + i / 3 % 2);
        contact_add(s, rgb);
    }
    ok(contact_commit(s, &sheet));
    contact_close(&s);
    clips_decode(&file, path, see_sheet, NULL);
    assert_int_equal(file.frames, 1);
    assert_string_equal(file.pix, "rgb24");
    c.columns = 0;
    assert_int_equal(contact_open(&s, &c), ST_ARG);
    assert_null(s);
    c.path = "sheet.jpg";
    assert_int_equal(contact_open(&s, &c), ST_ARG);
    assert_string_equal(error_last()->msg, "sheet.jpg: a contact sheet's name must end in .png");
    free(path);
    clips_folder_drop(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(sheet_is_spread_and_reduced) };

    codec_quiet();
    return cmocka_run_group_tests_name("unit_contact", tests, NULL, NULL);
}
