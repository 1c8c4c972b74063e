/*
 * av_decoder.c - the frames of a file, one after another: demuxed and decoded by libav.
 *
 * The file is untrusted: libav judges it, and frames beyond MOST_PIXELS are not allocated. One
 * thread, so the same file gives the same numbers everywhere.
 */
#include "base/strbuf.h"
#include "pipeline/output/av/av_internal.h"

#include <libswscale/swscale.h>
#include <stdlib.h>

enum { MOST_PIXELS = 1 << 28 };

/* Codes of the system that may be over soon; libav's own, and the rest, are the file's fault. */
static bool may_pass(int code)
{
    static const int soon[] = { EIO, ESTALE, EMFILE, ENFILE, ETIMEDOUT };

    for (int i = 0; i < COUNT_OF(soon); i++)
        if (code == AVERROR(soon[i])) return true;
    return false;
}

status av_decoder_fail(const struct av_decoder *d, const char *what, int code)
{
    char why[AV_ERROR_MAX_STRING_SIZE];
    status const kind = code == AVERROR(ENOMEM) ? ST_NOMEM : may_pass(code) ? ST_IO : ST_FORMAT;

    av_strerror(code, why, sizeof why);
    return fail(kind, "%s: %s: %s", d->path, what, why);
}

int av_open_input(AVFormatContext **in, const char *path)
{
    char *const url = str_format("file:%s", path);
    int code = AVERROR(ENOMEM);

    if (url) do
            code = avformat_open_input(in, url, NULL, NULL);
        while (code == AVERROR(EINTR));
    free(url);
    return code;
}

static status open_file(struct av_decoder *d)
{
    int e = av_open_input(&d->in, d->path);

    if (e >= 0) e = avformat_find_stream_info(d->in, NULL);
    return e < 0 ? av_decoder_fail(d, "no picture or video can be read", e) : ST_OK;
}

static status open_codec(struct av_decoder *d)
{
    const AVCodec *codec = NULL;
    int const stream = av_find_best_stream(d->in, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);

    if (stream < 0) return av_decoder_fail(d, "found no picture in it", stream);
    d->stream = d->in->streams[stream];
    d->codec = avcodec_alloc_context3(codec);
    d->packet = av_packet_alloc();
    d->frame = av_frame_alloc();
    if (!d->codec || !d->packet || !d->frame)
        return fail(ST_NOMEM, "%s: no memory for a decoder", d->path);
    int e = avcodec_parameters_to_context(d->codec, d->stream->codecpar);
    d->codec->thread_count = 1;
    d->codec->max_pixels = MOST_PIXELS;
    if (e >= 0) e = avcodec_open2(d->codec, codec, NULL);
    return e < 0 ? av_decoder_fail(d, "its decoder", e) : ST_OK;
}

status av_decoder_open(struct av_decoder *d, const char *path)
{
    *d = (struct av_decoder){ .path = path };
    TRY(open_file(d));
    return open_codec(d);
}

void av_decoder_close(struct av_decoder *d)
{
    av_frame_free(&d->frame);
    av_packet_free(&d->packet);
    avcodec_free_context(&d->codec);
    avformat_close_input(&d->in);
    *d = (struct av_decoder){ 0 };
}

/* The stream's next packet to the codec; behind the last one, the end. */
static status feed_packet(struct av_decoder *d)
{
    int e;

    while ((e = av_read_frame(d->in, d->packet)) >= 0 &&
           d->packet->stream_index != d->stream->index)
        av_packet_unref(d->packet);
    if (e < 0 && e != AVERROR_EOF) return av_decoder_fail(d, "reading it", e);
    e = avcodec_send_packet(d->codec, e < 0 ? NULL : d->packet);
    av_packet_unref(d->packet);
    return e < 0 ? av_decoder_fail(d, "a damaged picture", e) : ST_OK;
}

status av_decoder_next(struct av_decoder *d, bool *more)
{
    int e;

    while ((e = avcodec_receive_frame(d->codec, d->frame)) == AVERROR(EAGAIN)) TRY(feed_packet(d));
    *more = e >= 0;
    return *more || e == AVERROR_EOF ? ST_OK : av_decoder_fail(d, "a damaged picture", e);
}

void av_decoder_set_colours(const struct av_decoder *d, struct SwsContext *scale, int untagged)
{
    const AVFrame *const f = d->frame;
    const int *const rgb = sws_getCoefficients(untagged);
    int const matrix = f->colorspace == AVCOL_SPC_UNSPECIFIED ? untagged : (int)f->colorspace;

    (void)sws_setColorspaceDetails(scale, sws_getCoefficients(matrix),
                                   f->color_range == AVCOL_RANGE_JPEG, rgb, 1, 0, 1 << 16, 1 << 16);
}
