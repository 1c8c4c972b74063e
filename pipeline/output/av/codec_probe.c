/* codec_probe.c - a small encoder is opened and closed again. */
#include "pipeline/output/av/av_internal.h"
#include "pipeline/output/av/codec.h"

#include <libavutil/log.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 256 };

static _Thread_local char said[200]; /* the last of an encoder's words */

static void keep_message(void *from, int level, const char *format, va_list args)
{
    (void)from;
    if (level > AV_LOG_ERROR) return;
    vsnprintf(said, sizeof said, format, args);
    said[strcspn(said, "\n")] = '\0';
}

static status try_encoder(const struct codec *c, enum codec_encoder e)
{
    char path[16];
    AVCodecContext *ctx = NULL;
    struct codec_choice choice;
    snprintf(path, sizeof path, "probe.%.3s", c->containers);
    struct video_config const config = { .path = path,
                                         .codec = c->name,
                                         .encoder = e,
                                         .width = SIDE,
                                         .height = SIDE,
                                         .fps_num = 16,
                                         .fps_den = 1 };

    TRY(codec_choose(&choice, &config));
    TRY(encoder_open(&ctx, &choice, &config));
    encoder_close(&ctx, false);
    return ST_OK;
}

void codec_probe(struct codec_probe *out, const struct codec *c, enum codec_encoder e)
{
    *out = (struct codec_probe){ 0 };
    said[0] = '\0';
    av_log_set_callback(keep_message);
    out->opens = try_encoder(c, e) == ST_OK;
    av_log_set_callback(av_log_default_callback);
    if (out->opens) return;
    snprintf(out->why, sizeof out->why, "%.255s%s%s", error_last()->msg, said[0] ? ": " : "", said);
    error_clear();
}
