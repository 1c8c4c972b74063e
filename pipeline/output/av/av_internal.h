/* av_internal.h - the one place that knows FFmpeg versions, the encoder under video.c, the decoder
 * under what reads files. */
#ifndef AV_INTERNAL_H
#define AV_INTERNAL_H

#include "base/file_record.h"
#include "pipeline/output/av/codec.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
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

/* avio's write callback got a const with libavformat 61 (FFmpeg 7.0). */
#if LIBAVFORMAT_VERSION_MAJOR >= 61
typedef const uint8_t av_compat_bytes;
#else
typedef uint8_t av_compat_bytes;
#endif

/* ---- encoder.c ---- */

/* One libavcodec encoder, set up as a codec_choice says. */

enum AVPixelFormat encoder_format(enum pix p);

/* Open: time base fps_den / fps_num, closed GOPs, global headers, BT.709
 * primaries and matrix, the choice's transfer, limited range. ST_DEVICE if it refuses.
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

/* ---- av_decoder.c ---- */

struct SwsContext;

/* The frames of a file's best video stream, or of its still picture. Stays where it is while
 * open. */
struct av_decoder {
    const char *path; /* the caller's */
    AVFormatContext *in;
    AVStream *stream;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame; /* the newest; may differ in size and format from the one before */
};

/* ST_FORMAT if the file is missing or libav finds no picture in it; ST_IO for what may be over
 * soon; ST_NOMEM. av_decoder_close when done, also after a failure. */
status av_decoder_open(struct av_decoder *d, const char *path) MUST_USE;
/* *more false: there is none behind the last. ST_FORMAT if the file is damaged. */
status av_decoder_next(struct av_decoder *d, bool *more) MUST_USE;
void av_decoder_close(struct av_decoder *d); /* safe on a zeroed one; zeroes it */

/* Fails with libav's words for its code: ST_NOMEM, ST_IO or ST_FORMAT. */
status av_decoder_fail(const struct av_decoder *d, const char *what, int code);

/* The file opened to be read, again where a signal interrupts that: libav's code. */
int av_open_input(AVFormatContext **in, const char *path);

/* The frame's matrix and range for a conversion to RGB; SWS_CS_* for a frame that names none. Where
 * formats have no matrix between them (RGB to RGB) nothing is set. */
void av_decoder_set_colours(const struct av_decoder *d, struct SwsContext *scale, int untagged);

/* ---- av_file.c ---- */

/* The file under a muxer: what libavformat hands over goes to its place in the file by pwrite, and
 * is recorded on the way (file_record.h). Stays where it is while open. */
struct av_file {
    struct file_record record;
    AVIOContext *io;
    int fd;
    int64_t at, read_at;
    status st; /* of the first call that failed */
    struct error why;
};

/* Make the file, which must not be there, and set mux->pb. ST_IO, ST_NOMEM. */
status av_file_open(struct av_file *f, const char *path, AVFormatContext *mux) MUST_USE;

/* What has failed so far, in its own words; libav's code `r` and `what` if it was none of ours. */
status av_file_result(struct av_file *f, int r, const char *what) MUST_USE;

/* Write what libavformat holds, fsync, close, and read all of it back. ST_IO. */
status av_file_commit(struct av_file *f, char sha256[DIGEST_HEX]) MUST_USE;
void av_file_close(struct av_file *f); /* safe on a zeroed one, zeroes it; after the muxer */

/* ---- packet_sum.c ---- */

/* The hash of a stream's packets, the same before and behind a container: a container keeps the
 * parts of a packet, but may put them together another way (codec.h, codec_framing). */
struct packet_sum {
    struct digest digest;
    enum codec_framing framing;
};
status packet_sum_open(struct packet_sum *s, enum codec_framing framing) MUST_USE;
/* As the encoder gives it, or as a container gives it back. */
status packet_sum_add(struct packet_sum *s, const AVPacket *p, bool from_container) MUST_USE;
status packet_sum_end(struct packet_sum *s, char sha256[DIGEST_HEX]) MUST_USE;
void packet_sum_close(struct packet_sum *s); /* safe on a zeroed one */

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
    const char *packets;       /* their journal, so many bytes of it */
    int64_t packet_bytes;
    int64_t delay; /* see video_mux.c */
};

/* Write the file, which must not be there, to disk, and read it back. *bytes, sha256: its own.
 * ST_IO, ST_DEVICE; ST_FORMAT for packets that are damaged. */
status video_mux(const struct video_mux *c, int64_t *bytes, char sha256[DIGEST_HEX]) MUST_USE;

#endif /* AV_INTERNAL_H */
