/*
 * video_mux.c - packets of all segments into one file, once, at the end.
 *
 * A picture's time is its number; the packets' order in decoding gives the other time that
 * containers want: packet i is decoded at i - delay, delay being the most that any comes behind its
 * turn. Both are exact whatever the encoders of the segments said, and grow without a gap
 * across segments.
 */
#include "base/journal.h"
#include "pipeline/output/av/av_internal.h"

#include <libavformat/avformat.h>
#include <libavutil/error.h>
#include <string.h>

struct mux {
    const struct video_mux *c;
    AVFormatContext *av;
    AVStream *stream; /* av's */
    AVPacket *packet;
    struct journal_reader in;
    struct av_file file;
};

static status mux_fail(status st, const struct mux *m, const char *what, int r)
{
    char why[AV_ERROR_MAX_STRING_SIZE];

    av_strerror(r, why, sizeof why);
    return fail(st, "%s: %s: %s", m->c->path, what, why);
}

static status make_stream(struct mux *m)
{
    const AVCodecContext *const enc = m->c->enc;

    m->stream = avformat_new_stream(m->av, NULL);
    if (!m->stream || avcodec_parameters_from_context(m->stream->codecpar, enc) < 0 ||
        (m->c->comment && av_dict_set(&m->av->metadata, "comment", m->c->comment, 0) < 0))
        return fail(ST_NOMEM, "%s: no memory for its header", m->c->path);
    m->stream->time_base = enc->time_base;
    m->stream->avg_frame_rate = enc->framerate;
    m->stream->r_frame_rate = enc->framerate;
    m->stream->sample_aspect_ratio = enc->sample_aspect_ratio;
    return ST_OK;
}

static status write_header(struct mux *m)
{
    bool const indexed = strcmp(m->c->container, "mkv") != 0;
    AVDictionary *options = NULL;

    TRY(av_file_open(&m->file, m->c->path, m->av));
    if (indexed && av_dict_set(&options, "movflags", "+faststart", 0) < 0)
        return fail(ST_NOMEM, "%s: no memory for its header", m->c->path);
    int const r = avformat_write_header(m->av, &options);
    av_dict_free(&options);
    return av_file_result(&m->file, r, "writing the header");
}

static status open_mux(struct mux *m)
{
    const char *const ending = m->c->container;
    int const r = avformat_alloc_output_context2(
        &m->av, NULL, strcmp(ending, "mkv") ? ending : "matroska", m->c->path);

    if (r < 0) return mux_fail(ST_DEVICE, m, "no muxer for this container", r);
    m->av->flags |= AVFMT_FLAG_BITEXACT; /* else Matroska draws random ids */
    m->packet = av_packet_alloc();
    if (!m->packet) return fail(ST_NOMEM, "%s: no memory for a packet", m->c->path);
    TRY(make_stream(m));
    return write_header(m);
}

/* The packet that was read last, the file's i-th. */
static status write_packet(struct mux *m, int64_t i)
{
    AVPacket *const p = m->packet;
    int r = av_new_packet(p, (int)m->in.len);

    if (r < 0) return mux_fail(ST_NOMEM, m, "no memory for a packet", r);
    memcpy(p->data, m->in.bytes, m->in.len);
    p->pts = packet_pts(m->in.number);
    p->dts = i - m->c->delay;
    p->flags = packet_flags(m->in.number);
    p->duration = 1;
    p->stream_index = m->stream->index;
    av_packet_rescale_ts(p, m->c->enc->time_base, m->stream->time_base);
    r = av_interleaved_write_frame(m->av, p);
    return av_file_result(&m->file, r, "writing");
}

/* The packets were written a while ago by this process: what is wrong with them is the disk's
 * fault. */
static status blame_disk(status st)
{
    if (st != ST_FORMAT) return st;
    struct error const why = *error_last();
    return fail(ST_IO, "%s", why.msg);
}

static status write_packets(struct mux *m)
{
    int64_t i = 0;
    bool more = true;

    for (;;) {
        TRY(blame_disk(journal_read(&m->in, PACKET_BYTES, &more)));
        if (!more) return ST_OK;
        if (m->in.number >= 0) TRY(write_packet(m, i++));
    }
}

status video_mux(const struct video_mux *c, int64_t *bytes, char sha256[DIGEST_HEX])
{
    struct mux m = { .c = c, .in.fd = -1 };
    status st = ST_OK;

    TRY_OUT(blame_disk(journal_reader_open(&m.in, c->packets, c->packet_bytes)));
    TRY_OUT(open_mux(&m));
    TRY_OUT(write_packets(&m));
    TRY_OUT(av_file_result(&m.file, av_write_trailer(m.av), "writing the trailer"));
    TRY_OUT(av_file_commit(&m.file, sha256));
    *bytes = m.file.record.size;
out:
    journal_reader_close(&m.in);
    av_packet_free(&m.packet);
    avformat_free_context(m.av);
    av_file_close(&m.file);
    return st;
}
