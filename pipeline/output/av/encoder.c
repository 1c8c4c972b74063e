/* encoder.c - a libavcodec context set up as the choice says, and closed without hanging. */
#include "base/strbuf.h"
#include "pipeline/output/av/av_internal.h"

#include <libavutil/error.h>
#include <libavutil/opt.h>
#include <string.h>

enum AVPixelFormat encoder_format(enum pix p)
{
    static const enum AVPixelFormat formats[PIX_COUNT] = {
        [PIX_YUV420P] = AV_PIX_FMT_YUV420P,     [PIX_YUV422P] = AV_PIX_FMT_YUV422P,
        [PIX_YUV444P] = AV_PIX_FMT_YUV444P,     [PIX_YUV420P10] = AV_PIX_FMT_YUV420P10,
        [PIX_YUV422P10] = AV_PIX_FMT_YUV422P10, [PIX_YUV444P10] = AV_PIX_FMT_YUV444P10,
    };
    return formats[p];
}

/* The private options of the encoder, as "name=value:name=value". */
static void add_settings(struct strbuf *t, const struct codec_choice *k)
{
    const struct codec_encoding *const e = k->encoder;

    if (k->preset[0]) strbuf_addf(t, "preset=%s:", k->preset);
    if (e->always) strbuf_addf(t, "%s:", e->always);
    if (e->on_avx512 && __builtin_cpu_supports("avx512f")) strbuf_addf(t, "%s:", e->on_avx512);
    if (k->profile) strbuf_addf(t, "profile=%s:", k->profile);
    if (e->crf) strbuf_addf(t, "%s=%d:", e->crf, k->crf);
    if (e->threads) strbuf_addf(t, "%s=%d:", e->threads, k->threads);
    if (t->len) t->s[--t->len] = '\0'; /* the last colon */
}

static void set_common(AVCodecContext *ctx, const struct codec_choice *k,
                       const struct video_config *c)
{
    ctx->width = c->width;
    ctx->height = c->height;
    ctx->pix_fmt = encoder_format(k->pix);
    ctx->time_base = (AVRational){ c->fps_den, c->fps_num };
    ctx->framerate = (AVRational){ c->fps_num, c->fps_den };
    ctx->sample_aspect_ratio = (AVRational){ 1, 1 };
    ctx->thread_count = k->threads;
    ctx->gop_size = k->gop;
    ctx->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_CLOSED_GOP;
    ctx->color_primaries = AVCOL_PRI_BT709;
    ctx->color_trc = k->transfer == CODEC_SRGB ? AVCOL_TRC_IEC61966_2_1 : AVCOL_TRC_BT709;
    ctx->colorspace = AVCOL_SPC_BT709;
    ctx->color_range = AVCOL_RANGE_MPEG;
    if (pix_info(k->pix)->across == 2) ctx->chroma_sample_location = AVCHROMA_LOC_LEFT;
    if (!strcmp(k->codec->name, "ffv1")) {
        ctx->level = 3;
        ctx->gop_size = 1;
        ctx->slices = 4;
        ctx->thread_type = FF_THREAD_SLICE;
    }
}

status encoder_open(AVCodecContext **out, const struct codec_choice *k,
                    const struct video_config *c)
{
    const AVCodec *const av = avcodec_find_encoder_by_name(k->encoder->name);
    char why[AV_ERROR_MAX_STRING_SIZE];
    struct strbuf words = { 0 };
    AVDictionary *options = NULL;
    status st = ST_OK;
    int r;

    *out = avcodec_alloc_context3(av);
    add_settings(&words, k);
    if (!av || !*out || words.failed)
        FAIL_OUT(ST_NOMEM, "%s: no memory for the encoder %s", c->path, k->encoder->name);
    set_common(*out, k, c);
    r = av_dict_parse_string(&options, words.s, "=", ":", 0);
    if (r >= 0) r = avcodec_open2(*out, av, &options);
    if (r < 0) {
        av_strerror(r, why, sizeof why);
        st = fail(ST_DEVICE, "%s: the encoder %s refuses %dx%d %s at %d/%d with %s: %s", c->path,
                  k->encoder->name, c->width, c->height, pix_info(k->pix)->name, c->fps_num,
                  c->fps_den, words.s, why);
    } else if (av_dict_count(options)) {
        st = fail(ST_DEVICE, "%s: the encoder %s does not know the setting %s", c->path,
                  k->encoder->name, av_dict_get(options, "", NULL, AV_DICT_IGNORE_SUFFIX)->key);
    }
out:
    strbuf_free(&words);
    av_dict_free(&options);
    if (st != ST_OK) avcodec_free_context(out);
    return st;
}

status encoder_frame(AVFrame **out, const AVCodecContext *ctx)
{
    AVFrame *const f = *out = av_frame_alloc();

    if (f) {
        f->format = ctx->pix_fmt;
        f->width = ctx->width;
        f->height = ctx->height;
        f->color_primaries = ctx->color_primaries;
        f->color_trc = ctx->color_trc;
        f->colorspace = ctx->colorspace;
        f->color_range = ctx->color_range;
        f->chroma_location = ctx->chroma_sample_location;
        f->sample_aspect_ratio = ctx->sample_aspect_ratio;
        if (av_frame_get_buffer(f, 0) >= 0) return ST_OK;
    }
    av_frame_free(out);
    return fail(ST_NOMEM, "no memory for a picture of %dx%d", ctx->width, ctx->height);
}

/* One blank picture. */
static void feed_blank(AVCodecContext *ctx)
{
    AVFrame *f;

    if (encoder_frame(&f, ctx) != ST_OK) return;
    for (int i = 0; i < AV_NUM_DATA_POINTERS && f->buf[i]; i++)
        memset(f->buf[i]->data, 0, (size_t)f->buf[i]->size);
    f->pts = 0;
    (void)avcodec_send_frame(ctx, f);
    av_frame_free(&f);
}

void encoder_close(AVCodecContext **ctx, bool fed)
{
    AVPacket *packet;

    if (!*ctx) return;
    if (!fed) feed_blank(*ctx);
    packet = av_packet_alloc();
    if (packet && avcodec_send_frame(*ctx, NULL) >= 0)
        while (avcodec_receive_packet(*ctx, packet) == 0) av_packet_unref(packet);
    av_packet_free(&packet);
    avcodec_free_context(ctx);
}
