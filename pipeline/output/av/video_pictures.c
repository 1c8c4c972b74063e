/*
 * video_pictures.c - a file's pictures decoded, scaled and kept, the newest of them in a ring.
 *
 * Where a video ends is only known at its end, so all of it is decoded; a picture that falls out
 * of the ring has cost its conversion. One thread and bit-exact scaling: the same file gives the
 * same numbers everywhere.
 */
#include "pipeline/output/av/video_pictures.h"
#include "pipeline/output/av/av_internal.h"

#include <libswscale/swscale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const struct video_pictures_config *c;
    struct av_decoder decoder;
    struct SwsContext *scale;

    uint16_t *ring; /* [room, height, width, 3] */
    int64_t room;
    size_t picture; /* numbers of one */
    int64_t shown;  /* pictures at the clip's rate, ever; the newest is at (shown - 1) % room */
    int64_t frames; /* of the file, so far */
    int64_t begin;  /* time of the file's first one */
    int64_t last;   /* of the newest one, from there */
    int64_t length; /* how long that is shown */
};

static status open_ring(struct reader *r)
{
    const struct video_pictures_config *const c = r->c;

    r->room = c->count ? c->count : 1;
    r->picture = (size_t)c->width * (size_t)c->height * 3;
    size_t const bytes = r->picture * sizeof *r->ring;
    if ((uint64_t)r->room > ((uint64_t)VIDEO_PICTURES_MIB << 20) / bytes)
        return fail(ST_ARG, "%s: %lld pictures of %dx%d; at most %d MiB of them can be taken",
                    c->path, (long long)r->room, c->width, c->height, VIDEO_PICTURES_MIB);
    r->ring = malloc(bytes * (size_t)r->room);
    if (r->ring) return ST_OK;
    return fail(ST_NOMEM, "%s: no memory for %lld pictures", c->path, (long long)r->room);
}

/* ---- a picture to numbers ---- */

/* Pixels that need not be square: by how much they are wider than high. */
static double pixel_ratio(const struct av_decoder *d)
{
    AVRational const a = av_guess_sample_aspect_ratio(d->in, d->stream, d->frame);
    return a.num > 0 && a.den > 0 ? av_q2d(a) : 1;
}

/* Cut to the clip's ratio, as much on both sides; on even pixels, for chroma stands on these. */
static status cut_frame(struct reader *r)
{
    AVFrame *const f = r->decoder.frame;
    double const ratio = (double)r->c->width / r->c->height / pixel_ratio(&r->decoder);
    int const wide = (int)lround(f->height * ratio), high = (int)lround(f->width / ratio);
    int const left = wide < f->width ? (f->width - wide) / 4 * 2 : 0;
    int const top = high < f->height ? (f->height - high) / 4 * 2 : 0;

    if (f->width - 2 * left < 1 || f->height - 2 * top < 1)
        return fail(ST_FORMAT, "%s: a picture of %dx%d cannot be cut to %dx%d", r->c->path,
                    f->width, f->height, r->c->width, r->c->height);
    f->crop_left = f->crop_right = (size_t)left;
    f->crop_top = f->crop_bottom = (size_t)top;
    int const e = av_frame_apply_cropping(f, AV_FRAME_CROP_UNALIGNED);
    return e < 0 ? av_decoder_fail(&r->decoder, "cutting a picture", e) : ST_OK;
}

/* The decoder's frame to a place of the ring. Frames of a file may differ in size and format. */
static status convert_frame(struct reader *r, uint16_t *to)
{
    int const flags =
        SWS_BICUBIC | SWS_ACCURATE_RND | SWS_BITEXACT | SWS_FULL_CHR_H_INT | SWS_FULL_CHR_H_INP;
    int const w = r->c->width, h = r->c->height;
    uint8_t *const data[] = { (uint8_t *)to };
    int const line[] = { w * 3 * (int)sizeof *to };

    TRY(cut_frame(r));
    AVFrame *const f = r->decoder.frame;
    r->scale = sws_getCachedContext(r->scale, f->width, f->height, (enum AVPixelFormat)f->format, w,
                                    h, AV_PIX_FMT_RGB48, flags, NULL, NULL, NULL);
    if (!r->scale)
        return fail(ST_FORMAT, "%s: pictures of %dx%d in a form that cannot be converted",
                    r->c->path, f->width, f->height);
    av_decoder_set_colours(&r->decoder, r->scale, SWS_CS_DEFAULT);
    int const rows =
        sws_scale(r->scale, (const uint8_t *const *)f->data, f->linesize, 0, f->height, data, line);
    return rows == h ? ST_OK
                     : av_decoder_fail(&r->decoder, "converting a picture",
                                       rows < 0 ? rows : AVERROR_BUG);
}

/* ---- a video at the clip's rate ---- */

static uint16_t *place_of(const struct reader *r, int64_t i)
{
    return r->ring + (size_t)(i % r->room) * r->picture;
}

/* Is the clip's picture i shown before `time` of the file? */
static bool is_before(const struct reader *r, int64_t i, int64_t time)
{
    AVRational const half = { r->c->fps_den, 2 * r->c->fps_num };
    return av_compare_ts(2 * i + 1, half, time, r->decoder.stream->time_base) < 0;
}

/* What was shown last is shown until `time`; its copy is the newest in the ring. What would fall
 * out of it again at once is only counted. */
static status show_until(struct reader *r, int64_t time, const uint16_t *newest)
{
    AVRational const picture = { r->c->fps_den, r->c->fps_num };
    int64_t end = av_rescale_q(time, r->decoder.stream->time_base, picture);

    if (end < 0 || end > INT32_MAX)
        return fail(ST_FORMAT, "%s: a picture at a time that no video has", r->c->path);
    while (is_before(r, end, time)) end++;
    while (end > 0 && !is_before(r, end - 1, time)) end--;
    if (end - r->shown > r->room) r->shown = end - r->room;
    while (r->shown < end) memcpy(place_of(r, r->shown++), newest, r->picture * sizeof *newest);
    return ST_OK;
}

static int64_t length_of(const struct reader *r)
{
    AVRational const rate = r->decoder.stream->avg_frame_rate;
    AVRational const picture = { r->c->fps_den, r->c->fps_num };
    return av_rescale_q(1, rate.num > 0 && rate.den > 0 ? av_inv_q(rate) : picture,
                        r->decoder.stream->time_base);
}

/* newest: room for one picture, the file's newest. */
static status take_frame(struct reader *r, uint16_t *newest)
{
    int64_t const pts = r->decoder.frame->best_effort_timestamp;

    if (r->frames++ == 0) r->begin = pts == AV_NOPTS_VALUE ? 0 : pts;
    else {
        int64_t const time = pts == AV_NOPTS_VALUE ? r->last + r->length : pts - r->begin;
        if (time < r->last)
            return fail(ST_FORMAT, "%s: its pictures are not in the order of their times",
                        r->c->path);
        TRY(show_until(r, time, newest));
        r->last = time;
    }
    return convert_frame(r, newest);
}

static status check_stop(const struct video_pictures_config *c)
{
    return c->stop && c->stop(c->stop_arg) ? fail(ST_CANCELED, "%s: stopped", c->path) : ST_OK;
}

/* Of a still, the first frame alone. */
static status decode_file(struct reader *r, uint16_t *newest)
{
    bool more = true;

    r->length = length_of(r);
    while (r->c->count || !r->frames) {
        TRY(check_stop(r->c));
        TRY(av_decoder_next(&r->decoder, &more));
        if (!more) break;
        TRY(take_frame(r, newest));
    }
    if (!r->frames) return fail(ST_FORMAT, "%s: found no picture in it", r->c->path);
    if (!r->c->count) memcpy(place_of(r, r->shown++), newest, r->picture * sizeof *newest);
    else TRY(show_until(r, r->last + r->length, newest));
    if (r->shown >= r->room) return ST_OK;
    return fail(ST_FORMAT, "%s: found %lld pictures at %d/%d a second; %lld are wanted", r->c->path,
                (long long)r->shown, r->c->fps_num, r->c->fps_den, (long long)r->room);
}

/* ---- all of it ---- */

/* The ring's oldest to the front. */
static status unroll_ring(const struct reader *r, struct video_pictures *out)
{
    size_t const bytes = r->picture * sizeof *r->ring;
    uint16_t *const to = malloc(bytes * (size_t)r->room);

    if (!to)
        return fail(ST_NOMEM, "%s: no memory for %lld pictures", r->c->path, (long long)r->room);
    for (int64_t i = 0; i < r->room; i++)
        memcpy(to + (size_t)i * r->picture, place_of(r, r->shown - r->room + i), bytes);
    *out = (struct video_pictures){
        .count = r->room, .width = r->c->width, .height = r->c->height, .rgb = to
    };
    return ST_OK;
}

status video_pictures_read(struct video_pictures *out, const struct video_pictures_config *c)
{
    struct reader r = { .c = c };
    uint16_t *newest = NULL;
    status st = ST_OK;

    *out = (struct video_pictures){ 0 };
    TRY_OUT(open_ring(&r));
    newest = malloc(r.picture * sizeof *newest);
    if (!newest) FAIL_OUT(ST_NOMEM, "%s: no memory for a picture", c->path);
    TRY_OUT(av_decoder_open(&r.decoder, c->path));
    TRY_OUT(decode_file(&r, newest));
    TRY_OUT(unroll_ring(&r, out));
out:
    sws_freeContext(r.scale);
    av_decoder_close(&r.decoder);
    free(newest);
    free(r.ring);
    return st;
}

void video_pictures_free(struct video_pictures *p)
{
    free(p->rgb);
    *p = (struct video_pictures){ 0 };
}
