/*
 * video.c - pictures in, packets into a file of their own, a hash of what was encoded; the video's
 * file is made of the packets at the end.
 *
 * A segment is what one encoder makes. It ends where the caller seals it, all the same whether
 * anything was ever stopped: the next encoder knows nothing of the pictures before, so whoever goes
 * on from a seal in another process encodes the same bytes. Times are not the encoder's but
 * follow from the pictures' numbers (video_mux.c), so segments join without a gap.
 */
#include "pipeline/output/av/video.h"
#include "base/file.h"
#include "base/journal.h"
#include "base/strbuf.h"
#include "pipeline/output/av/av_internal.h"

#include <libavutil/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The packets' first record: what an encoder says once, in front of its pictures. */
enum { HEADER_RECORD = -1 };

struct video {
    struct video_config c; /* of its strings those that are needed again are own */
    struct video_facts facts;
    char *path, *packets_path, *comment, *profile;
    struct journal packets;
    bool committed;       /* the file is there: the packets are wanted until close */
    struct strbuf header; /* what the first segment's encoder says in front */
    int64_t count, delay;
    AVCodecContext *enc; /* NULL: none is open, since the last seal */
    int64_t fed;         /* pictures, to this encoder */
    AVFrame *frame;
    AVPacket *packet;
    struct digest planes;
    struct packet_sum sum; /* of the packets as the encoder gave them */
};

static status av_fail(status st, const struct video *v, const char *what, int r)
{
    char why[AV_ERROR_MAX_STRING_SIZE];

    av_strerror(r, why, sizeof why);
    return fail(st, "%s: %s: %s", v->path, what, why);
}

/* The settings are the same for every segment, so what their encoders say in front is, too. */
static status check_header(const struct video *v, const void *bytes, size_t len)
{
    if (len == v->header.len && (!len || !memcmp(bytes, v->header.s, len))) return ST_OK;
    return fail(ST_MISMATCH, "%s: these packets are of another encoder than this one",
                v->packets_path);
}

static status open_segment(struct video *v)
{
    TRY(encoder_open(&v->enc, &v->facts.choice, &v->c));
    v->fed = 0;
    if (!v->enc) return fail(ST_NOMEM, "%s: no encoder", v->path);
    const char *const says = (const char *)v->enc->extradata;
    size_t const len = (size_t)v->enc->extradata_size;
    if (v->packets.size) return check_header(v, says, len);
    strbuf_add(&v->header, says, len);
    if (v->header.failed) return fail(ST_NOMEM, "%s: no memory for its header", v->path);
    return journal_append(&v->packets, HEADER_RECORD, says, len);
}

static void close_segment(struct video *v) { encoder_close(&v->enc, v->fed > 0); }

status video_open(struct video **out, const struct video_config *c)
{
    struct video *const v = *out = calloc(1, sizeof *v);
    status st = ST_OK;

    if (!v) return fail(ST_NOMEM, "%s: no memory", c->path);
    v->packets.fd = -1;
    v->c = *c;
    v->path = str_format("%s", c->path);
    v->packets_path = c->packets ? str_format("%s", c->packets) : str_format("%s.packets", c->path);
    v->comment = str_format("%s", c->comment ? c->comment : "");
    v->profile = str_format("%s", c->profile ? c->profile : "");
    v->packet = av_packet_alloc();
    if (!v->path || !v->packets_path || !v->comment || !v->profile || !v->packet)
        FAIL_OUT(ST_NOMEM, "%s: no memory", c->path);
    v->c.path = v->path;
    v->c.profile = c->profile ? v->profile : NULL;
    TRY_OUT(codec_choose(&v->facts.choice, &v->c));
    if (path_exists(c->path)) FAIL_OUT(ST_IO, "%s: is there already", c->path);
    TRY_OUT(digest_open(&v->planes));
    TRY_OUT(packet_sum_open(&v->sum, v->facts.choice.codec->framing));
    TRY_OUT(journal_open(&v->packets, v->packets_path));
    TRY_OUT(open_segment(v));
    TRY_OUT(encoder_frame(&v->frame, v->enc));
out:
    if (st != ST_OK) video_close(out);
    return st;
}

static status keep_packet(struct video *v)
{
    const AVPacket *const p = v->packet;

    v->facts.keyframes += (p->flags & AV_PKT_FLAG_KEY) != 0;
    if (v->count - p->pts > v->delay) v->delay = v->count - p->pts;
    if (v->enc->has_b_frames > v->delay) v->delay = v->enc->has_b_frames;
    v->count++;
    TRY(packet_sum_add(&v->sum, p, false));
    return journal_append(&v->packets, packet_number(p->pts, p->flags), p->data, (size_t)p->size);
}

/* Keep what the encoder has ready. frame NULL: and all it still holds back. */
static status take_packets(struct video *v, const AVFrame *frame)
{
    int r = avcodec_send_frame(v->enc, frame);

    if (r < 0) return av_fail(ST_DEVICE, v, "the encoder failed", r);
    for (;;) {
        r = avcodec_receive_packet(v->enc, v->packet);
        if (r == AVERROR(EAGAIN) || r == AVERROR_EOF) return ST_OK;
        if (r < 0) return av_fail(ST_DEVICE, v, "the encoder failed", r);
        status const st = keep_packet(v);
        av_packet_unref(v->packet);
        TRY(st);
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
    if (!v->enc) TRY(open_segment(v));
    for (int i = 0; i < 3; i++) TRY(copy_plane(v, i, plane[i]));
    f->pts = v->facts.frames++;
    v->fed++;
    av_compat_frame_duration(f, 1);
    return take_packets(v, f);
}

/* ---- segments ---------------------------------------------------------------------------- */

status video_seal(struct video *v, struct video_state *out)
{
    if (v->enc) TRY(take_packets(v, NULL));
    close_segment(v);
    TRY(journal_sync(&v->packets));
    *out = (struct video_state){ .frames = v->facts.frames,
                                 .keyframes = v->facts.keyframes,
                                 .bytes = v->packets.size,
                                 .packets = v->count,
                                 .delay = v->delay };
    digest_save(&v->planes, out->planes);
    digest_save(&v->sum.digest, out->sum);
    return ST_OK;
}

/* All records behind the header, which this encoder has written itself. */
static status copy_packets(struct video *v, struct journal_reader *r)
{
    bool more = true;

    for (;;) {
        TRY(journal_read(r, PACKET_BYTES, &more));
        if (!more) return ST_OK;
        if (r->number >= 0) TRY(journal_append(&v->packets, r->number, r->bytes, r->len));
        else TRY(check_header(v, r->bytes, r->len));
    }
}

static status check_state(const struct video *v, const struct video_state *s)
{
    if (s->frames >= 0 && s->packets >= 0 && s->packets <= s->frames && s->keyframes >= 0 &&
        s->keyframes <= s->packets && s->delay >= 0 && s->delay <= s->packets + PACKET_DELAY)
        return ST_OK;
    return fail(ST_FORMAT, "%s: %lld packets of %lld frames", v->packets_path,
                (long long)s->packets, (long long)s->frames);
}

status video_resume(struct video *v, const struct video_state *s, const char *packets)
{
    struct journal_reader r;
    status st = ST_OK;

    TRY(check_state(v, s));
    TRY(digest_load(&v->planes, s->planes));
    TRY(digest_load(&v->sum.digest, s->sum));
    TRY(journal_reader_open(&r, packets, s->bytes));
    TRY_OUT(copy_packets(v, &r));
    if (v->packets.size != s->bytes)
        FAIL_OUT(ST_FORMAT, "%s: %lld bytes of packets, of which %lld fit this encoder", packets,
                 (long long)s->bytes, (long long)v->packets.size);
    v->facts.frames = s->frames;
    v->facts.keyframes = s->keyframes;
    v->count = s->packets;
    v->delay = s->delay;
    close_segment(v); /* it has seen no picture: the next begins where the segment would */
out:
    journal_reader_close(&r);
    return st;
}

status video_commit(struct video *v)
{
    if (!v->facts.frames) return fail(ST_ARG, "%s: no frame was pushed", v->path);
    if (v->enc) TRY(take_packets(v, NULL));
    else TRY(open_segment(v)); /* sealed behind the last picture: the header is still wanted */
    TRY(journal_sync(&v->packets));
    TRY(video_mux(&(struct video_mux){ .path = v->path,
                                       .container = v->facts.choice.container,
                                       .comment = *v->comment ? v->comment : NULL,
                                       .enc = v->enc,
                                       .packets = v->packets_path,
                                       .packet_bytes = v->packets.size,
                                       .delay = v->delay },
                  &v->facts.bytes, v->facts.sha256));
    TRY(digest_end(&v->planes, v->facts.planes_sha256));
    TRY(packet_sum_end(&v->sum, v->facts.packets_sha256));
    v->committed = true;
    return ST_OK;
}

void video_close(struct video **v)
{
    if (!*v) return;
    struct video *const old = *v;
    *v = NULL;
    close_segment(old);
    journal_close(&old->packets);
    if (old->committed) (void)!remove(old->packets_path);
    strbuf_free(&old->header);
    av_frame_free(&old->frame);
    av_packet_free(&old->packet);
    digest_close(&old->planes);
    packet_sum_close(&old->sum);
    free(old->path);
    free(old->packets_path);
    free(old->comment);
    free(old->profile);
    free(old);
}

const struct video_facts *video_facts(const struct video *v) { return &v->facts; }
