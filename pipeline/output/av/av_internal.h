/* av_internal.h - the one place that knows FFmpeg versions, and the encoder under video.c. */
#ifndef AV_INTERNAL_H
#define AV_INTERNAL_H

#include "pipeline/output/av/codec.h"

#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <stdbool.h>

/* ---- FFmpeg 5.1 and newer ---- */

/* Where FFmpeg 5.1 and newer versions differ; nothing else has an #if. */

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

/* ---- encoder.c ---- */

/* One libavcodec encoder, set up as a codec_choice says. */

enum AVPixelFormat encoder_format(enum pix p);

/* Open: time base fps_den / fps_num, closed GOPs, global headers, BT.709
 * primaries, transfer and matrix, limited range. ST_DEVICE if it refuses.
 * encoder_close when done. */
status encoder_open(AVCodecContext **out, const struct codec_choice *k,
                    const struct video_config *c) MUST_USE;

/* A frame of the encoder's size and format with the colour tags on it.
 * ST_NOMEM; av_frame_free when done. */
status encoder_frame(AVFrame **out, const AVCodecContext *ctx) MUST_USE;

/* NULL inside is fine; sets NULL. What it still holds is drained first, and if it
 * was not yet fed a picture it gets a blank one: SVT-AV1 waits for ever when it
 * is closed without a picture or without its end of stream. */
void encoder_close(AVCodecContext **ctx, bool fed);

/* ---- packets between encoder and container ---- */

/* Records of a journal: a packet's number holds the number of its picture and its flags; the first
 * record, negative, is what the encoder says in front. */
enum { PACKET_FLAGS = 256, PACKET_BYTES = 1 << 30, PACKET_DELAY = 16 };
static inline int64_t packet_number(int64_t pts, int flags)
{
    return pts * PACKET_FLAGS + (flags & (PACKET_FLAGS - 1));
}
static inline int64_t packet_pts(int64_t number) { return number / PACKET_FLAGS; }
static inline int packet_flags(int64_t number) { return (int)(number % PACKET_FLAGS); }

/* ---- video_mux.c ---- */

struct video_mux {
    const char *path, *container;
    const char *comment;       /* NULL: none */
    const AVCodecContext *enc; /* of any segment */
    const char *packets;       /* their journal, `bytes` of it */
    int64_t bytes;
    int64_t delay; /* see video_mux.c */
};

/* Write the file, and to disk. ST_IO, ST_DEVICE; ST_FORMAT for packets that are damaged. */
status video_mux(const struct video_mux *c) MUST_USE;

#endif /* AV_INTERNAL_H */
