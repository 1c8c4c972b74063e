/* sink_show.h - a clip of the pattern through a sink, for its tests. */
#ifndef SINK_SHOW_H
#define SINK_SHOW_H

#include "pipeline/output/clip_writer.h"

enum {
    SINK_W = 64,
    SINK_H = 48,
    SINK_BLOCK = 12, /* pictures */
    SINK_VALUES = 3 * SINK_W * SINK_H,
    SINK_LATENT = 16 * (SINK_H / 8) * (SINK_W / 8)
};

extern const struct video_config sink_formats[2]; /* clip.mp4, master.mkv */
extern const struct sidecar_info sink_about;

/* The first of the formats alone; no latents, no preview. */
struct clip_sink_config sink_config(const char *dir, int64_t pictures);

/* Push pictures from..from + n - 1 of the pattern as one block; or n of rgb. */
status sink_push(struct clip_writer *s, int64_t from, int n) MUST_USE;
status sink_push_rgb(struct clip_writer *s, const float *rgb, int n) MUST_USE;

/* Latents from..from + n - 1 of a pattern; at most 4. */
status sink_push_latents(struct clip_writer *s, int64_t from, int n) MUST_USE;

/* Names in a folder, sorted: "a b c". */
void sink_lists(const char *dir, const char *want);

void sink_latents_match(const char *dir, const char *name, enum dtype dtype, int64_t frames);
void sink_png_is(const char *dir, const char *name, int width, int height);

#endif /* SINK_SHOW_H */
