/* video_read.c - demuxed and decoded by libavcodec, turned into 8-bit RGB by libswscale. */
#include "pipeline/output/av/video_read.h"
#include "base/strbuf.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>
#include <stdlib.h>

struct reader {
    const char *path;
    AVFormatContext *in;
    AVCodecContext *dec;
    AVPacket *packet;
    AVFrame *frame;
    struct SwsContext *scale;
    int stream, width, height;
    enum AVPixelFormat format;
    uint8_t *rgb8; /* [height, width, 3] */
    int64_t first; /* its time, in units of the stream */
    int64_t count;
    video_visit visit;
    void *arg;
};

static status refuse(const struct reader *r, const char *what, int error)
{
    return fail(error == AVERROR(ENOMEM) ? ST_NOMEM : ST_FORMAT, "%s: %s: %s", r->path, what,
                av_err2str(error));
}

static status open_reader(struct reader *r)
{
    const AVCodec *codec = NULL;
    char *const url = str_format("file:%s", r->path);
    int e = url ? avformat_open_input(&r->in, url, NULL, NULL) : AVERROR(ENOMEM);

    free(url);
    if (e < 0) return refuse(r, "cannot be opened as a video", e);
    e = avformat_find_stream_info(r->in, NULL);
    if (e < 0) return refuse(r, "no video", e);
    r->stream = av_find_best_stream(r->in, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (r->stream < 0) return refuse(r, "no video stream", r->stream);
    r->dec = avcodec_alloc_context3(codec);
    r->packet = av_packet_alloc();
    r->frame = av_frame_alloc();
    if (!r->dec || !r->packet || !r->frame) return refuse(r, "decoding", AVERROR(ENOMEM));
    e = avcodec_parameters_to_context(r->dec, r->in->streams[r->stream]->codecpar);
    if (e >= 0) e = avcodec_open2(r->dec, codec, NULL);
    return e < 0 ? refuse(r, "its decoder", e) : ST_OK;
}

/* By the first picture: what the others must be like, and how they become RGB. Untagged colours
 * are taken for BT.709 in limited range. */
static status begin_pictures(struct reader *r)
{
    const AVFrame *const f = r->frame;
    int const bytes = av_image_get_buffer_size(AV_PIX_FMT_RGB24, f->width, f->height, 1);
    int const matrix = f->colorspace == AVCOL_SPC_UNSPECIFIED ? SWS_CS_ITU709 : (int)f->colorspace;

    if (bytes <= 0) return refuse(r, "size of its pictures", bytes);
    r->width = f->width;
    r->height = f->height;
    r->format = (enum AVPixelFormat)f->format;
    r->first = f->best_effort_timestamp;
    r->rgb8 = malloc((size_t)bytes);
    r->scale = sws_getContext(f->width, f->height, r->format, f->width, f->height, AV_PIX_FMT_RGB24,
                              SWS_BICUBIC | SWS_ACCURATE_RND, NULL, NULL, NULL);
    if (!r->rgb8 || !r->scale) return refuse(r, "its pixel format", AVERROR(ENOMEM));
    sws_setColorspaceDetails(r->scale, sws_getCoefficients(matrix),
                             f->color_range == AVCOL_RANGE_JPEG, sws_getCoefficients(SWS_CS_ITU709),
                             1, 0, 1 << 16, 1 << 16);
    return ST_OK;
}

static status show_picture(struct reader *r)
{
    const AVFrame *const f = r->frame;
    AVRational const unit = r->in->streams[r->stream]->time_base;

    if (!r->count++) TRY(begin_pictures(r));
    if (f->width != r->width || f->height != r->height || f->format != (int)r->format)
        return fail(ST_FORMAT,
                    "%s: picture %lld is %dx%d in format %d; allowed: %dx%d in format %d as the "
                    "first one",
                    r->path, (long long)r->count - 1, f->width, f->height, f->format, r->width,
                    r->height, (int)r->format);
    uint8_t *const to[4] = { r->rgb8 };
    int const stride[4] = { 3 * r->width };
    sws_scale(r->scale, (const uint8_t *const *)f->data, f->linesize, 0, f->height, to, stride);
    return r->visit(r->arg, r->rgb8, r->width, r->height,
                    (double)(f->best_effort_timestamp - r->first) * av_q2d(unit));
}

/* NULL: the file has ended. */
static status decode_packet(struct reader *r, const AVPacket *packet)
{
    int e = avcodec_send_packet(r->dec, packet);

    if (e < 0) return refuse(r, "cannot be decoded", e);
    while ((e = avcodec_receive_frame(r->dec, r->frame)) >= 0) TRY(show_picture(r));
    return e == AVERROR(EAGAIN) || e == AVERROR_EOF ? ST_OK : refuse(r, "cannot be decoded", e);
}

status video_read(const char *path, video_visit visit, void *arg)
{
    struct reader r = { .path = path, .visit = visit, .arg = arg };
    status st = ST_OK;
    int e;

    TRY_OUT(open_reader(&r));
    while ((e = av_read_frame(r.in, r.packet)) >= 0) {
        if (r.packet->stream_index == r.stream) st = decode_packet(&r, r.packet);
        av_packet_unref(r.packet);
        if (st != ST_OK) goto out;
    }
    if (e != AVERROR_EOF) TRY_OUT(refuse(&r, "breaks off", e));
    TRY_OUT(decode_packet(&r, NULL));
    if (!r.count) st = fail(ST_FORMAT, "%s: holds no picture", path);
out:
    sws_freeContext(r.scale);
    free(r.rgb8);
    av_frame_free(&r.frame);
    av_packet_free(&r.packet);
    avcodec_free_context(&r.dec);
    avformat_close_input(&r.in);
    return st;
}
