/* video_verify.c - a finished file is read back: one packet a frame, each at its own time. */
#include "base/strbuf.h"
#include "pipeline/output/av/video.h"

#include <libavformat/avformat.h>
#include <libavutil/error.h>
#include <libavutil/mathematics.h>
#include <stdlib.h>
#include <string.h>

static status open_demux(AVFormatContext **in, AVPacket **packet, const char *path)
{
    char why[AV_ERROR_MAX_STRING_SIZE];
    char *const url = str_format("file:%s", path);
    int r = url ? avformat_open_input(in, url, NULL, NULL) : AVERROR(ENOMEM);

    free(url);
    *packet = av_packet_alloc();
    if (r >= 0 && !*packet) r = AVERROR(ENOMEM);
    if (r >= 0) return ST_OK;
    av_strerror(r, why, sizeof why);
    return fail(ST_MISMATCH, "%s: cannot be read back: %s", path, why);
}

status video_verify(const char *path, int64_t frames, int fps_num, int fps_den)
{
    AVRational const frame_time = { fps_den, fps_num };
    AVFormatContext *in = NULL;
    AVPacket *packet = NULL;
    unsigned char *const seen = calloc(1, (size_t)frames);
    int64_t packets = 0;
    status st = ST_OK;

    if (!seen) return fail(ST_NOMEM, "%s: no memory to check %lld frames", path, (long long)frames);
    TRY_OUT(open_demux(&in, &packet, path));
    if (in->nb_streams != 1)
        FAIL_OUT(ST_MISMATCH, "%s: %u streams, expected one", path, in->nb_streams);
    AVRational const base = in->streams[0]->time_base;
    for (; av_read_frame(in, packet) >= 0; packets++) {
        int64_t const pts = packet->pts;
        int64_t const i = pts == AV_NOPTS_VALUE ? -1 : av_rescale_q(pts, base, frame_time);
        av_packet_unref(packet);
        if (i < 0 || i >= frames || seen[i] || av_rescale_q(i, frame_time, base) != pts)
            FAIL_OUT(ST_MISMATCH, "%s: packet %lld: time %lld in units of %d/%d s matches no frame",
                     path, (long long)packets, (long long)pts, base.num, base.den);
        seen[i] = 1;
    }
    if (packets != frames)
        st = fail(ST_MISMATCH, "%s: %lld frames, expected %lld", path, (long long)packets,
                  (long long)frames);
out:
    av_packet_free(&packet);
    avformat_close_input(&in);
    free(seen);
    return st;
}
