/*
 * av_compat.h - where FFmpeg 5.1 and newer versions differ; nothing else has an #if.
 */
#ifndef AV_COMPAT_H
#define AV_COMPAT_H

#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <stdbool.h>

/* AVFrame.duration came with libavutil 57.30 (FFmpeg 6.0). */
static inline void av_compat_frame_duration(AVFrame *f, int64_t duration)
{
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
    f->duration = duration;
#else
    f->pkt_duration = duration;
#endif
}

/* AVCodec.pix_fmts gave way to a query in libavcodec 61.13 (FFmpeg 7.1). A codec
 * that lists nothing takes anything. */
static inline bool av_compat_takes(const AVCodec *codec, enum AVPixelFormat format)
{
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)
    const void *list = NULL;
    if (avcodec_get_supported_config(NULL, codec, AV_CODEC_CONFIG_PIX_FORMAT, 0, &list, NULL) < 0)
        return false;
    const enum AVPixelFormat *p = list;
#else
    const enum AVPixelFormat *p = codec->pix_fmts;
#endif
    if (!p) return true;
    while (*p != AV_PIX_FMT_NONE && *p != format) p++;
    return *p == format && format != AV_PIX_FMT_NONE;
}

#endif /* AV_COMPAT_H */
