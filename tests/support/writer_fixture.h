/* writer_fixture.h - a clip of the pattern through a sink, for its tests. */
#ifndef WRITER_FIXTURE_H
#define WRITER_FIXTURE_H

#include "pipeline/output/clip_writer.h"

enum {
    WRITER_W = 64,
    WRITER_H = 48,
    WRITER_BLOCK = 12, /* pictures */
    WRITER_VALUES = 3 * WRITER_W * WRITER_H,
    WRITER_LATENT = 16 * (WRITER_H / 8) * (WRITER_W / 8)
};

extern const struct video_config writer_formats[2]; /* clip.mp4, master.mkv */
extern const struct sidecar_info writer_about;

/* The first of the formats alone; no latents, no preview. */
struct clip_writer_config writer_config(const char *dir, int64_t pictures);

/* Push pictures from..from + n - 1 of the pattern as one block; or n of rgb. */
status writer_push(struct clip_writer *s, int64_t from, int n) MUST_USE;
status writer_push_rgb(struct clip_writer *s, const float *rgb, int n) MUST_USE;

/* Latents from..from + n - 1 of a pattern; at most 4. */
status writer_push_latents(struct clip_writer *s, int64_t from, int n) MUST_USE;

/* Names in a folder, sorted: "a b c". */
void writer_lists(const char *dir, const char *want);

void writer_latents_match(const char *dir, const char *name, enum dtype dtype, int64_t frames);
void writer_png_is(const char *dir, const char *name, int width, int height);

#endif /* WRITER_FIXTURE_H */
