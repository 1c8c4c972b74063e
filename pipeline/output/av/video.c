/* video.c - one video file: pictures in, packets out, hashes of what was encoded and written. */
#include "pipeline/output/av/video.h"
#include "base/strbuf.h"
#include "pipeline/output/av/av_internal.h"

#include <libavformat/avformat.h>
#include <libavutil/error.h>
#include <stdlib.h>
#include <string.h>

struct video {
    struct video_facts facts;
    char *path;
    struct av_file file;
    AVFormatContext *mux;
    AVCodecContext *enc;
    AVStream *stream; /* the mux's */
    AVFrame *frame;
    AVPacket *packet;
    struct digest planes;
    struct packet_sum packets;
};

static status av_fail(status st, const struct video *v, const char *what, int r)
{
    char why[AV_ERROR_MAX_STRING_SIZE];

    av_strerror(r, why, sizeof why);
    return fail(st, "%s: %s: %s", v->path, what, why);
}

static status open_mux(struct video *v, const struct video_config *c)
{
    const char *const ending = v->facts.choice.container;
    AVDictionary *options = NULL;
    int r = avformat_alloc_output_context2(&v->mux, NULL,
                                           strcmp(ending, "mkv") ? ending : "matroska", v->path);

    if (r < 0) return av_fail(ST_DEVICE, v, "no muxer for this container", r);
    v->mux->flags |= AVFMT_FLAG_BITEXACT; /* else Matroska draws random ids */
    v->stream = avformat_new_stream(v->mux, NULL);
    if (!v->stream || avcodec_parameters_from_context(v->stream->codecpar, v->enc) < 0 ||
        (c->comment && av_dict_set(&v->mux->metadata, "comment", c->comment, 0) < 0))
        return fail(ST_NOMEM, "%s: no memory for its header", v->path);
    v->stream->time_base = v->enc->time_base;
    v->stream->avg_frame_rate = v->enc->framerate;
    v->stream->r_frame_rate = v->enc->framerate;
    v->stream->sample_aspect_ratio = v->enc->sample_aspect_ratio;

    TRY(av_file_open(&v->file, v->path, v->mux));
    if (strcmp(ending, "mkv") && av_dict_set(&options, "movflags", "+faststart", 0) < 0)
        return fail(ST_NOMEM, "%s: no memory for its header", v->path);
    r = avformat_write_header(v->mux, &options);
    av_dict_free(&options);
    return av_file_result(&v->file, r, "writing the header");
}

status video_open(struct video **out, const struct video_config *c)
{
    struct video *const v = *out = calloc(1, sizeof *v);
    status st = ST_OK;

    if (!v) return fail(ST_NOMEM, "%s: no memory", c->path);
    TRY_OUT(codec_choose(&v->facts.choice, c));
    v->path = str_format("%s", c->path);
    v->packet = av_packet_alloc();
    if (!v->path || !v->packet) FAIL_OUT(ST_NOMEM, "%s: no memory", c->path);
    TRY_OUT(digest_open(&v->planes));
    TRY_OUT(packet_sum_open(&v->packets, v->facts.choice.codec->framing));
    TRY_OUT(encoder_open(&v->enc, &v->facts.choice, c));
    TRY_OUT(encoder_frame(&v->frame, v->enc));
    TRY_OUT(open_mux(v, c));
out:
    if (st != ST_OK) video_close(out);
    return st;
}

/* Write what the encoder has ready. frame NULL: and all it still holds back. */
static status write_packets(struct video *v, const AVFrame *frame)
{
    int r = avcodec_send_frame(v->enc, frame);

    if (r < 0) return av_fail(ST_DEVICE, v, "the encoder failed", r);
    for (;;) {
        r = avcodec_receive_packet(v->enc, v->packet);
        if (r == AVERROR(EAGAIN) || r == AVERROR_EOF) return ST_OK;
        if (r < 0) return av_fail(ST_DEVICE, v, "the encoder failed", r);
        v->facts.keyframes += (v->packet->flags & AV_PKT_FLAG_KEY) != 0;
        v->packet->duration = 1;
        v->packet->stream_index = v->stream->index;
        av_packet_rescale_ts(v->packet, v->enc->time_base, v->stream->time_base);
        TRY(packet_sum_add(&v->packets, v->packet, false));
        r = av_interleaved_write_frame(v->mux, v->packet);
        TRY(av_file_result(&v->file, r, "writing"));
    }
}

static status copy_plane(struct video *v, int plane, const unsigned char *from)
{
    const struct pix_info *const p = pix_info(v->facts.choice.pix);
    AVFrame *const f = v->frame;
    int const across = plane ? p->across : 1, down = plane ? p->down : 1;
    size_t const row = (size_t)(f->width / across) * (p->bits > 8 ? 2 : 1);
    int const rows = f->height / down;

    for (int y = 0; y < rows; y++)
        memcpy(f->data[plane] + (ptrdiff_t)y * f->linesize[plane], from + (size_t)y * row, row);
    return digest_add(&v->planes, from, row * (size_t)rows);
}

status video_push(struct video *v, const unsigned char *const plane[3])
{
    AVFrame *const f = v->frame;
    int const r = av_frame_make_writable(f);

    if (r < 0) return av_fail(ST_NOMEM, v, "no memory for a picture", r);
    for (int i = 0; i < 3; i++) TRY(copy_plane(v, i, plane[i]));
    f->pts = v->facts.frames++;
    av_compat_frame_duration(f, 1);
    return write_packets(v, f);
}

status video_commit(struct video *v)
{
    if (!v->facts.frames) return fail(ST_ARG, "%s: no frame was pushed", v->path);
    TRY(write_packets(v, NULL));
    int const r = av_write_trailer(v->mux);
    TRY(av_file_result(&v->file, r, "writing the trailer"));
    TRY(av_file_commit(&v->file, v->facts.sha256));
    v->facts.bytes = v->file.record.size;
    TRY(digest_end(&v->planes, v->facts.planes_sha256));
    return packet_sum_end(&v->packets, v->facts.packets_sha256);
}

void video_close(struct video **v)
{
    if (!*v) return;
    struct video *const old = *v;
    *v = NULL;
    avformat_free_context(old->mux);
    av_file_close(&old->file);
    encoder_close(&old->enc, old->facts.frames > 0);
    av_frame_free(&old->frame);
    av_packet_free(&old->packet);
    digest_close(&old->planes);
    packet_sum_close(&old->packets);
    free(old->path);
    free(old);
}

const struct video_facts *video_facts(const struct video *v) { return &v->facts; }
