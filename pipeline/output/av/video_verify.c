/* video_verify.c - a finished file is read back: one packet a frame, each at its own time and
 * with the content that the encoder gave it. */
#include "pipeline/output/av/av_internal.h"
#include "pipeline/output/av/video.h"

#include <libavformat/avformat.h>
#include <libavutil/error.h>
#include <libavutil/mathematics.h>
#include <stdlib.h>
#include <string.h>

static status open_demux(AVFormatContext **in, AVPacket **packet, const char *path)
{
    char why[AV_ERROR_MAX_STRING_SIZE];
    int r = av_open_input(in, path);

    *packet = av_packet_alloc();
    if (r >= 0 && !*packet) r = AVERROR(ENOMEM);
    if (r >= 0) return ST_OK;
    av_strerror(r, why, sizeof why);
    return fail(ST_MISMATCH, "%s: cannot be read back: %s", path, why);
}

/* The next packet's frame is marked as seen. */
static status see_packet(const char *path, const AVPacket *p, AVRational base,
                         AVRational frame_time, unsigned char *seen, int64_t frames)
{
    int64_t const pts = p->pts;
    int64_t const i = pts == AV_NOPTS_VALUE ? -1 : av_rescale_q(pts, base, frame_time);

    if (i < 0 || i >= frames || seen[i] || av_rescale_q(i, frame_time, base) != pts)
        return fail(ST_MISMATCH, "%s: time %lld in units of %d/%d s matches no frame", path,
                    (long long)pts, base.num, base.den);
    seen[i] = 1;
    return ST_OK;
}

status video_verify(const char *path, const struct video_facts *f, int fps_num, int fps_den)
{
    AVRational const frame_time = { fps_den, fps_num };
    AVFormatContext *in = NULL;
    AVPacket *packet = NULL;
    unsigned char *const seen = calloc(1, (size_t)f->frames);
    struct packet_sum sum = { 0 };
    char hex[DIGEST_HEX];
    int64_t packets = 0;
    status st = ST_OK;

    if (!seen) FAIL_OUT(ST_NOMEM, "%s: no memory to check %lld frames", path, (long long)f->frames);
    TRY_OUT(packet_sum_open(&sum, f->choice.codec->framing));
    TRY_OUT(open_demux(&in, &packet, path));
    if (in->nb_streams != 1)
        FAIL_OUT(ST_MISMATCH, "%s: %u streams, expected one", path, in->nb_streams);
    for (; av_read_frame(in, packet) >= 0; packets++) {
        TRY_OUT(see_packet(path, packet, in->streams[0]->time_base, frame_time, seen, f->frames));
        TRY_OUT(packet_sum_add(&sum, packet, true));
        av_packet_unref(packet);
    }
    if (packets != f->frames)
        FAIL_OUT(ST_MISMATCH, "%s: %lld frames, expected %lld", path, (long long)packets,
                 (long long)f->frames);
    TRY_OUT(packet_sum_end(&sum, hex));
    if (strcmp(hex, f->packets_sha256) != 0)
        st = fail(ST_MISMATCH, "%s: its packets are not those of the encoder", path);
out:
    av_packet_free(&packet);
    avformat_close_input(&in);
    packet_sum_close(&sum);
    free(seen);
    return st;
}
