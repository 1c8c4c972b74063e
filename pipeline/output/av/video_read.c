/* video_read.c - a file's frames, turned into 8-bit RGB by libswscale. */
#include "pipeline/output/av/video_read.h"
#include "pipeline/output/av/av_internal.h"

#include <libavutil/imgutils.h>
#include <libswscale/swscale.h>
#include <stdlib.h>

struct reader {
    struct av_decoder decoder;
    struct SwsContext *scale;
    int width, height;
    enum AVPixelFormat format;
    uint8_t *rgb8; /* [height, width, 3] */
    int64_t first; /* its time, in units of the stream */
    int64_t count;
    video_visit visit;
    void *arg;
};

/* By the first picture: what the others must be like, and how they become RGB. Untagged colours
 * are taken for BT.709 in limited range. */
static status begin_pictures(struct reader *r)
{
    const AVFrame *const f = r->decoder.frame;
    int const bytes = av_image_get_buffer_size(AV_PIX_FMT_RGB24, f->width, f->height, 1);

    if (bytes <= 0) return av_decoder_fail(&r->decoder, "size of its pictures", bytes);
    r->width = f->width;
    r->height = f->height;
    r->format = (enum AVPixelFormat)f->format;
    r->first = f->best_effort_timestamp;
    r->rgb8 = malloc((size_t)bytes);
    r->scale = sws_getContext(f->width, f->height, r->format, f->width, f->height, AV_PIX_FMT_RGB24,
                              SWS_BICUBIC | SWS_ACCURATE_RND, NULL, NULL, NULL);
    if (!r->rgb8 || !r->scale)
        return av_decoder_fail(&r->decoder, "its pixel format", AVERROR(ENOMEM));
    av_decoder_set_colours(&r->decoder, r->scale, SWS_CS_ITU709);
    return ST_OK;
}

static status show_picture(struct reader *r)
{
    const AVFrame *const f = r->decoder.frame;

    if (!r->count++) TRY(begin_pictures(r));
    if (f->width != r->width || f->height != r->height || f->format != (int)r->format)
        return fail(ST_FORMAT,
                    "%s: picture %lld is %dx%d in format %d; allowed: %dx%d in format %d as the "
                    "first one",
                    r->decoder.path, (long long)r->count - 1, f->width, f->height, f->format,
                    r->width, r->height, (int)r->format);
    uint8_t *const to[4] = { r->rgb8 };
    int const stride[4] = { 3 * r->width };
    sws_scale(r->scale, (const uint8_t *const *)f->data, f->linesize, 0, f->height, to, stride);
    return r->visit(r->arg, r->rgb8, r->width, r->height,
                    (double)(f->best_effort_timestamp - r->first) *
                        av_q2d(r->decoder.stream->time_base));
}

status video_read(const char *path, video_visit visit, void *arg)
{
    struct reader r = { .visit = visit, .arg = arg };
    bool more = true;
    status st = ST_OK;

    TRY_OUT(av_decoder_open(&r.decoder, path));
    TRY_OUT(av_decoder_next(&r.decoder, &more));
    if (!more) FAIL_OUT(ST_FORMAT, "%s: holds no picture", path);
    while (more) {
        TRY_OUT(show_picture(&r));
        TRY_OUT(av_decoder_next(&r.decoder, &more));
    }
out:
    sws_freeContext(r.scale);
    free(r.rgb8);
    av_decoder_close(&r.decoder);
    return st;
}
