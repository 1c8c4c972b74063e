/* codec.c - what this program makes with each codec, and the choice for one file. */
#include "pipeline/output/av/codec.h"
#include "base/choice.h"
#include "pipeline/output/av/av_internal.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct codec codecs[] = {
    { .name = "h264",
      .framing = CODEC_NALS,
      .containers = "mp4|mov|mkv",
      .preset = "medium",
      .crf_max = 51,
      .crf = 18,
      .gop = 1,
      .by = { [CODEC_CPU] = { .name = "libx264",
                              .pixes = "yuv420p|yuv422p|yuv444p|yuv420p10|yuv422p10|yuv444p10",
                              .presets = "ultrafast|superfast|veryfast|faster|fast|medium|slow|"
                                         "slower|veryslow|placebo",
                              .least = 2,
                              .crf = "crf",
                              /* x264 0.164 decides by bytes it has not written when its AVX-512
                               * code runs: the same pictures, other files. */
                              .on_avx512 = "x264-params=asm=avx2" },
              [CODEC_NVENC] = { .name = "h264_nvenc",
                                .pixes = "yuv420p|yuv444p",
                                .presets = "p1|p1|p2|p3|p3|p4|p5|p6|p7|p7",
                                .least = 160, /* the newest cards ask for the most */
                                .always = "rc=constqp",
                                .crf = "qp" } } },
    { .name = "ffv1",
      .containers = "mkv",
      .crf_max = -1,
      .by = { [CODEC_CPU] = { .name = "ffv1",
                              .pixes = "yuv444p10|yuv420p|yuv422p|yuv444p|yuv420p10|yuv422p10",
                              .least = 16,
                              .always = "slicecrc=1" } } },
    { .name = "prores",
      .containers = "mov|mkv",
      .crf_max = -1,
      .profiles = "proxy|lt|standard|hq|4444|4444xq",
      .by = { [CODEC_CPU] = { .name = "prores_ks",
                              .pixes = "yuv422p10|yuv444p10",
                              .least = 16,
                              .always = "vendor=apl0" } } },
    { .name = "av1",
      .framing = CODEC_OBUS,
      .containers = "mp4|mkv",
      .preset = "8",
      .crf_min = 1, /* the encoder takes 0 for unset */
      .crf_max = 63,
      .crf = 30,
      .gop = 2 /* of 1 the encoder makes frames that are no key frames */,
      .by = { [CODEC_CPU] = { .name = "libsvtav1",
                              .pixes = "yuv420p|yuv420p10",
                              .presets = "0|1|2|3|4|5|6|7|8|9|10|11|12|13",
                              .least = 64,
                              .crf = "crf",
                              .threads = "svtav1-params=lp" } } },
};

int codec_count(void) { return COUNT_OF(codecs); }

const struct codec *codec_at(int i) { return &codecs[i]; }

const char *codec_transfer_name(enum codec_transfer t)
{
    return t == CODEC_SRGB ? "iec61966-2-1" : "bt709";
}

static status choose_codec(struct codec_choice *out, const struct video_config *c)
{
    char known[128] = "";

    for (int i = 0; i < COUNT_OF(codecs); i++) {
        size_t const n = strlen(known);
        snprintf(known + n, sizeof known - n, "%s%s", i ? "|" : "", codecs[i].name);
        if (c->codec && !strcmp(codecs[i].name, c->codec)) out->codec = &codecs[i];
    }
    if (out->codec) return ST_OK;
    return fail(ST_ARG, "%s: codec `%s` is not known; allowed: %s", c->path,
                c->codec ? c->codec : "", known);
}

static status choose_container(struct codec_choice *out, const struct video_config *c)
{
    const char *const slash = strrchr(c->path, '/');
    const char *const dot = strrchr(slash ? slash : c->path, '.');

    if (dot && choice_find(out->codec->containers, dot + 1) >= 0) {
        out->container = dot + 1;
        return ST_OK;
    }
    return fail(ST_ARG, "%s: the file name must end in one of .%s, the containers for %s", c->path,
                out->codec->containers, c->codec);
}

static status choose_encoder(struct codec_choice *out, const struct video_config *c)
{
    out->encoder = &out->codec->by[c->encoder];
    if (out->encoder->name) return ST_OK;
    return fail(ST_ARG, "%s: %s has no encoder on a card", c->path, c->codec);
}

static status choose_pix(struct codec_choice *out, const struct video_config *c)
{
    char first[16];
    const char *const list = out->encoder->pixes;

    choice_at(first, sizeof first, list, 0);
    const char *const name = c->pix ? c->pix : first;
    if (choice_find(list, name) < 0 || !pix_from_name(&out->pix, name))
        return fail(ST_ARG, "%s: %s has no pix `%s`; allowed: %s", c->path, out->encoder->name,
                    name, list);
    const struct pix_info *const p = pix_info(out->pix);
    if (c->width % p->across || c->height % p->down)
        return fail(ST_ARG, "%s: %dx%d in %s: %s must be even", c->path, c->width, c->height, name,
                    p->down == 2 ? "width and height" : "the width");
    return ST_OK;
}

static status choose_word(const char **out, const struct video_config *c, const char *what,
                          const char *word, const char *list)
{
    if (!word) return ST_OK;
    if (!list) return fail(ST_ARG, "%s: %s takes no %s", c->path, c->codec, what);
    if (choice_find(list, word) < 0)
        return fail(ST_ARG, "%s: %s has no %s `%s`; allowed: %s", c->path, c->codec, what, word,
                    list);
    *out = word;
    return ST_OK;
}

/* What the encoder has at the place of the job's word. */
static status choose_preset(struct codec_choice *out, const struct video_config *c)
{
    const char *const words = out->codec->by[CODEC_CPU].presets;
    const char *word = out->codec->preset;

    TRY(choose_word(&word, c, "preset", c->preset, words));
    if (word)
        choice_at(out->preset, sizeof out->preset, out->encoder->presets, choice_find(words, word));
    return ST_OK;
}

static status choose_settings(struct codec_choice *out, const struct video_config *c)
{
    const struct codec *const k = out->codec;

    out->crf = c->has_crf ? c->crf : k->crf_max < 0 ? -1 : k->crf;
    if (c->has_crf && k->crf_max < 0) return fail(ST_ARG, "%s: %s takes no crf", c->path, c->codec);
    if (c->has_crf && (c->crf < k->crf_min || c->crf > k->crf_max))
        return fail(ST_ARG, "%s: %s takes crf %d..%d, not %d", c->path, c->codec, k->crf_min,
                    k->crf_max, c->crf);
    TRY(choose_preset(out, c));

    bool const full = pix_info(out->pix)->across == 1;
    if (k->profiles) out->profile = full ? "4444" : "hq";
    TRY(choose_word(&out->profile, c, "profile", c->profile, k->profiles));
    if (k->profiles && full != (strncmp(out->profile, "4444", 4) == 0))
        return fail(ST_ARG, "%s: %s profile %s does not go with pix %s", c->path, c->codec,
                    out->profile, pix_info(out->pix)->name);
    return ST_OK;
}

static status check_numbers(const struct codec_choice *k, const struct video_config *c)
{
    const struct codec_encoding *const e = k->encoder;

    if (c->width < e->least || c->height < e->least || c->width > 16384 || c->height > 16384)
        return fail(ST_ARG, "%s: %dx%d; %s takes width and height %d..16384", c->path, c->width,
                    c->height, e->name, e->least);
    if (c->fps_num < 1 || c->fps_den < 1 || c->fps_num / c->fps_den >= CODEC_FPS_MAX)
        return fail(ST_ARG, "%s: %d/%d frames per second; allowed: above 0, below %d", c->path,
                    c->fps_num, c->fps_den, CODEC_FPS_MAX);
    if (c->threads < 0 || c->threads > 64)
        return fail(ST_ARG, "%s: %d encoder threads; allowed: 1..64", c->path, c->threads);
    if (c->gop && !k->codec->gop)
        return fail(ST_ARG, "%s: every frame of %s is a key frame: it takes no gop", c->path,
                    c->codec);
    if (c->gop && (c->gop < k->codec->gop || c->gop > CODEC_GOP_MAX))
        return fail(ST_ARG, "%s: a key frame every %d frames; allowed: %d..%d", c->path, c->gop,
                    k->codec->gop, CODEC_GOP_MAX);
    return ST_OK;
}

status codec_choose(struct codec_choice *out, const struct video_config *c)
{
    *out = (struct codec_choice){ 0 };
    TRY(choose_codec(out, c));
    TRY(choose_encoder(out, c));
    TRY(choose_container(out, c));
    TRY(check_numbers(out, c));
    TRY(choose_pix(out, c));
    TRY(choose_settings(out, c));
    out->threads = c->threads ? c->threads : 1;
    out->transfer = c->transfer;
    int const second = c->fps_num / c->fps_den > 1 ? c->fps_num / c->fps_den : 1;
    out->gop = c->gop ? c->gop : second;

    const AVCodec *const av = avcodec_find_encoder_by_name(out->encoder->name);
    char libs[CODEC_LIBS];
    if (!av)
        return fail(ST_DEVICE, "%s: %s needs the encoder %s, which is not in %s", c->path, c->codec,
                    out->encoder->name, codec_libs(libs));
    if (!av_compat_takes(av, encoder_format(out->pix)))
        return fail(ST_DEVICE, "%s: the encoder %s of %s takes no %s", c->path, out->encoder->name,
                    codec_libs(libs), pix_info(out->pix)->name);
    return ST_OK;
}

void codec_quiet(void)
{
    av_log_set_level(AV_LOG_ERROR);
    setenv("SVT_LOG", "1", 0);
}

const char *codec_libs(char buf[CODEC_LIBS])
{
    unsigned const f = avformat_version(), c = avcodec_version(), u = avutil_version();

    snprintf(buf, CODEC_LIBS, "libavformat %u.%u.%u, libavcodec %u.%u.%u, libavutil %u.%u.%u",
             AV_VERSION_MAJOR(f), AV_VERSION_MINOR(f), AV_VERSION_MICRO(f), AV_VERSION_MAJOR(c),
             AV_VERSION_MINOR(c), AV_VERSION_MICRO(c), AV_VERSION_MAJOR(u), AV_VERSION_MINOR(u),
             AV_VERSION_MICRO(u));
    return buf;
}
