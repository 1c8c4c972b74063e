/* output_formats.h - a clip's video files, as those who make pictures and encode them want them. */
#ifndef OUTPUT_FORMATS_H
#define OUTPUT_FORMATS_H

#include "jobs/spec/clip_spec.h"
#include "pipeline/output/av/codec.h"

/* The clip's file i; path is its name alone. Borrows from c. */
struct video_config clip_video_config(const struct clip_spec *c, int i);

/* The pixel formats of all files: a set of enum pix. */
unsigned clip_pixel_formats(const struct clip_spec *c);

/* Bytes of a picture with those (pixels_layout), at the clip's size. */
int64_t clip_picture_bytes(const struct clip_spec *c);

#endif /* OUTPUT_FORMATS_H */
