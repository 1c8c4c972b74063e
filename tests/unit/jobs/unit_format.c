/* unit_format.c - what a job may ask of a codec is what the codec takes. */
#include "tests/support/unit.h"

#include "base/choice.h"
#include "jobs/spec/format.h"
#include "pipeline/output/av/codec.h"

#include <stdio.h>

static void same(const char *a, const char *b)
{
    assert_int_equal(a != NULL, b != NULL);
    if (a) assert_string_equal(a, b);
}

/* Resolve `pix` of codec i in every container; what the job's table fills in counts. */
static void takes(const struct format_codec *f, const char *pix)
{
    for (const char *end = f->endings; end; end = strchr(end, '|') ? strchr(end, '|') + 1 : NULL) {
        char path[32];
        struct codec_choice choice;
        snprintf(path, sizeof path, "a.%.*s", (int)strcspn(end, "|"), end);
        struct video_config const c = {
            .path = path,
            .codec = f->name,
            .pix = pix,
            .preset = f->preset,
            .has_crf = f->crf_max > 0,
            .crf = f->crf,
            .width = 64,
            .height = 64,
            .fps_num = 16,
            .fps_den = 1,
        };
        if (codec_choose(&choice, &c) != ST_OK) print_error("%s\n", error_last()->msg);
        assert_int_equal(codec_choose(&choice, &c), ST_OK);
    }
}

static void tables_agree(void **state)
{
    char word[CODEC_PRESET];

    (void)state;
    assert_int_equal(format_codecs(), codec_count());
    for (int i = 0; i < format_codecs(); i++) {
        const struct format_codec *const f = format_codec(i);
        const struct codec *const c = codec_at(i);
        const struct codec_encoding *const cpu = &c->by[CODEC_CPU];
        const struct codec_encoding *const nvenc = &c->by[CODEC_NVENC];
        same(f->name, c->name);
        same(f->endings, c->containers);
        same(f->presets, cpu->presets);
        same(f->preset, c->preset);
        same(f->profiles, c->profiles);
        assert_int_equal(f->crf_max > 0, c->crf_max > 0);
        if (f->crf_max > 0) {
            assert_int_equal(f->crf_min, c->crf_min);
            assert_int_equal(f->crf_max, c->crf_max);
            assert_int_equal(f->crf, c->crf);
        }
        assert_int_equal(f->gop, c->gop);
        same(f->nvenc_pixes, nvenc->pixes);
        assert_int_equal(f->nvenc_least, nvenc->least);
        assert_int_equal(nvenc->name != NULL, strstr(f->encoders, "nvenc") != NULL);
        for (int w = 0; nvenc->name && choice_at(word, sizeof word, cpu->presets, w); w++)
            assert_true(choice_at(word, sizeof word, nvenc->presets, w));
        assert_int_equal(strlen(f->pixes), strlen(cpu->pixes)); /* the same words, in any order */
        for (const char *p = f->pixes; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
            char pix[32];
            snprintf(pix, sizeof pix, "%.*s", (int)strcspn(p, "|"), p);
            takes(f, pix);
        }
        takes(f, f->pix);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(tables_agree) };
    return cmocka_run_group_tests_name("unit_format", tests, NULL, NULL);
}
