/*
 * format.c - what a job may ask of each codec.
 *
 * The table of codecs is stated here a second time (pipeline/output/av/codec.c has the encoders'
 * side), so that a job is checked without libav. A test holds the two against each other.
 */
#include "jobs/spec/format.h"
#include "base/choice.h"

#include <stdio.h>
#include <string.h>

#define CODECS   "h264|ffv1|prores|av1"
#define ENCODERS "cpu|nvenc|auto" /* in the order of enum clip_encoder */
#define ALL_PIX  "yuv420p|yuv422p|yuv444p|yuv420p10|yuv422p10|yuv444p10"

/* In the order of CODECS. */
static const struct format_codec codecs[] = {
    { .name = "h264",
      .endings = "mp4|mov|mkv",
      .pixes = ALL_PIX,
      .presets = "ultrafast|superfast|veryfast|faster|fast|medium|slow|slower|veryslow|placebo",
      .crf_max = 51,
      .crf = 18,
      .gop = 1,
      .least = 16,
      .pix = "yuv420p",
      .preset = "medium",
      .encoders = ENCODERS,
      .nvenc_pixes = "yuv420p|yuv444p",
      .nvenc_least = 160 },
    { .name = "ffv1",
      .endings = "mkv",
      .pixes = ALL_PIX,
      .least = 16,
      .pix = "yuv444p10",
      .encoders = "cpu|auto" },
    { .name = "prores",
      .endings = "mov|mkv",
      .pixes = "yuv422p10|yuv444p10",
      .profiles = "proxy|lt|standard|hq|4444|4444xq",
      .least = 16,
      .pix = "yuv422p10",
      .encoders = "cpu|auto" },
    { .name = "av1",
      .endings = "mp4|mkv",
      .pixes = "yuv420p|yuv420p10",
      .presets = "0|1|2|3|4|5|6|7|8|9|10|11|12|13",
      .crf_min = 1,
      .crf_max = 63,
      .crf = 30,
      .gop = 2,
      .least = 64,
      .pix = "yuv420p",
      .preset = "8",
      .encoders = "cpu|auto" },
};

const struct format format_default = {
    .file = "clip.mp4",
    .codec = "h264",
    .pix = "yuv420p",
    .preset = "medium",
    .crf = 18,
    .threads = 1,
};

static const struct format_codec *find_codec(const char *name)
{
    return &codecs[choice_find(CODECS, name)];
}

int format_codecs(void) { return COUNT_OF(codecs); }
const struct format_codec *format_codec(int i) { return &codecs[i]; }

struct draft {
    struct format f;
    int codec;
    const struct tree_node *crf;
};

#define AT(member) offsetof(struct draft, member)
#define WORD(key, where)                                                                           \
    {                                                                                              \
        .name = (key), .type = FIELD_TEXT, .to = AT(where), .max = 64                              \
    }

static status read_gop(const struct tree_node *n, void *to)
{
    struct duration *const d = to;

    TRY(duration_read(n, d));
    if (!duration_is_zero(*d) && d->micros <= (int64_t)CLIP_GOP_S * 1000000 &&
        d->pictures <= CLIP_GOP_S * VALUE_RATE_MAX)
        return ST_OK;
    return tree_refuse(n, "a time up to 60s such as 2s, or frames such as 48f");
}

static const struct field format_fields[] = {
    WORD("id", f.id),
    { .name = "file",
      .type = FIELD_READ,
      .to = AT(f.file),
      .read = field_file_name,
      .required = true },
    { .name = "codec", .type = FIELD_CHOICE, .to = AT(codec), .allowed = CODECS, .required = true },
    WORD("pix", f.pix),
    { .name = "crf", .type = FIELD_READ, .to = AT(crf), .read = field_node },
    WORD("preset", f.preset),
    WORD("profile", f.profile),
    { .name = "threads", .type = FIELD_INT, .to = AT(f.threads), .min = 1, .max = 64 },
    { .name = "gop", .type = FIELD_READ, .to = AT(f.gop), .read = read_gop },
    { .name = "encoder", .type = FIELD_CHOICE, .to = AT(f.encoder), .allowed = ENCODERS },
};
const struct field_table format_table = { "output.formats[]", format_fields,
                                          COUNT_OF(format_fields) };

/* Hold the word at `key`, if it is there, against what the codec takes. */
static status check_word(const struct tree_node *n, const char *key, const char *codec,
                         const char *words)
{
    const struct tree_node *const at = tree_find(n, key);
    int place;

    if (!at) return ST_OK;
    if (!words) return tree_fail_key(at, "%s takes no %s; allowed: remove the key", codec, key);
    return field_choice(at, words, &place);
}

static status check_ending(const struct tree_node *n, const struct format *f, const char *endings)
{
    const char *const dot = strrchr(f->file, '.');

    if (dot && choice_find(endings, dot + 1) >= 0) return ST_OK;
    return tree_fail(tree_find(n, "file"),
                     "found %s; allowed: a name that ends in one of .%s for %s",
                     tree_quote(f->file).s, endings, f->codec);
}

static status check_profile(const struct tree_node *n, const struct format *f)
{
    bool const full = !strcmp(f->pix, "yuv444p10");

    if (!f->profile || full == !strncmp(f->profile, "4444", 4)) return ST_OK;
    return tree_refuse(tree_find(n, "profile"), full ? "4444|4444xq with pix yuv444p10"
                                                     : "proxy|lt|standard|hq with pix yuv422p10");
}

static status check_gop(const struct tree_node *n, const struct format_codec *c,
                        struct duration gop)
{
    const struct tree_node *const at = tree_find(n, "gop");

    if (!at) return ST_OK;
    if (!c->gop)
        return tree_fail_key(at, "every frame of %s is a key frame; allowed: remove the key",
                             c->name);
    if (!gop.pictures || gop.pictures >= c->gop) return ST_OK; /* a time is rounded up to it */
    return tree_fail(at, "found %s; allowed for %s: %df or more", tree_quote(at->text).s, c->name,
                     c->gop);
}

status format_check_size(const struct tree_node *n, const struct format *f, int width, int height)
{
    bool const nvenc = f->encoder == CLIP_ENCODER_NVENC;
    const struct format_codec *const c = find_codec(f->codec);
    int const least = nvenc ? c->nvenc_least : c->least;

    if (width >= least && height >= least) return ST_OK;
    return tree_fail(n, "found %s with clip.size %dx%d; allowed: %s%s from %dx%d on", f->codec,
                     width, height, f->codec, nvenc ? " by nvenc" : "", least, least);
}

int format_gop(const struct format *f, struct value_rate rate)
{
    int64_t const pictures = duration_down(f->gop, rate);
    int64_t const usual = duration_down((struct duration){ .micros = 1000000 }, rate);

    if (duration_is_zero(f->gop) || pictures == usual) return 0;
    int const least = find_codec(f->codec)->gop;
    return pictures > least ? (int)pictures : least;
}

status format_read(const struct tree_node *n, struct format *out)
{
    struct draft d = { .f = { .threads = 1, .crf = -1 } };

    TRY(field_read(n, &format_table, &d));
    const struct format_codec *const c = &codecs[d.codec];
    d.f.codec = c->name;
    TRY(check_ending(n, &d.f, c->endings));
    TRY(check_word(n, "encoder", c->name, c->encoders));
    TRY(check_word(n, "pix", c->name,
                   d.f.encoder == CLIP_ENCODER_NVENC ? c->nvenc_pixes : c->pixes));
    TRY(check_word(n, "preset", c->name, c->presets));
    TRY(check_word(n, "profile", c->name, c->profiles));
    if (c->crf_max) d.f.crf = c->crf;
    if (d.crf && !c->crf_max)
        return tree_fail_key(d.crf, "%s takes no crf; allowed: remove the key", c->name);
    TRY(check_gop(n, c, d.f.gop));
    if (d.crf) TRY(field_int(d.crf, c->crf_min, c->crf_max, &d.f.crf));
    if (!d.f.pix) d.f.pix = c->pix;
    if (!d.f.preset) d.f.preset = c->preset;
    TRY(check_profile(n, &d.f));
    *out = d.f;
    return ST_OK;
}
