/* output_formats.c - from the words of a clip's files to what the codecs and the decoder take. */
#include "pipeline/engine/output_formats.h"

struct video_config clip_video_config(const struct clip_spec *c, int i)
{
    const struct clip_format *const f = &c->format[i];

    return (struct video_config){
        .path = f->file,
        .codec = f->codec,
        .encoder = f->encoder == CLIP_ENCODER_NVENC ? CODEC_NVENC : CODEC_CPU,
        .pix = f->pix,
        .has_crf = f->crf >= 0,
        .crf = f->crf,
        .preset = f->preset,
        .profile = f->profile,
        .threads = f->threads,
        .gop = f->gop,
        .transfer = c->transfer == CLIP_SRGB ? CODEC_SRGB : CODEC_BT709,
        .width = c->width,
        .height = c->height,
        .fps_num = (int)c->fps_num,
        .fps_den = (int)c->fps_den,
    };
}

unsigned clip_pixel_formats(const struct clip_spec *c)
{
    unsigned set = 0;

    for (int i = 0; i < c->formats; i++) {
        enum pix p;
        if (pix_from_name(&p, c->format[i].pix)) set |= 1u << p;
    }
    return set;
}

int64_t clip_picture_bytes(const struct clip_spec *c)
{
    return pixels_layout(c->width, c->height, clip_pixel_formats(c)).bytes;
}
