/* encoder.h - one libavcodec encoder, set up as a codec_choice says. */
#ifndef ENCODER_H
#define ENCODER_H

#include "pipeline/output/av/codec.h"

#include <libavcodec/avcodec.h>

enum AVPixelFormat encoder_format(enum pix p);

/* Open: time base fps_den / fps_num, closed GOPs, global headers, BT.709
 * primaries, transfer and matrix, limited range. ST_DEVICE if it refuses.
 * encoder_close when done. */
status encoder_open(AVCodecContext **out, const struct codec_choice *k,
                    const struct video_config *c) MUST_USE;

/* A frame of the encoder's size and format with the colour tags on it.
 * ST_NOMEM; av_frame_free when done. */
status encoder_frame(AVFrame **out, const AVCodecContext *ctx) MUST_USE;

/* NULL inside is fine; sets NULL. What it still holds is drained first, and if it
 * was not yet fed a picture it gets a blank one: SVT-AV1 waits for ever when it
 * is closed without a picture or without its end of stream. */
void encoder_close(AVCodecContext **ctx, bool fed);

#endif /* ENCODER_H */
