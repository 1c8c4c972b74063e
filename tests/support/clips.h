/* clips.h - test pictures, a scratch folder, and decoding a file back. */
#ifndef CLIPS_H
#define CLIPS_H

#include "pipeline/output/av/video.h"

/* Picture `i` of a smooth moving pattern, [height, width, 3], -1..1. */
void clips_picture(float *rgb, int width, int height, int64_t i);

/* Push picture `i` of it. */
status clips_push(struct video *v, int width, int height, int64_t i) MUST_USE;

/* A new folder under /tmp, malloc'ed; clips_folder_drop removes and frees it. */
char *clips_folder(void);
void clips_folder_drop(char *dir);

/* Called for each decoded picture: rows without padding, Y, Cb, Cr. */
typedef void (*clips_see)(void *arg, int64_t i, int64_t pts, bool key, const unsigned char *planes,
                          size_t len);

struct clips_file {
    int64_t frames;
    int tb_num, tb_den; /* unit of pts, seconds */
    char pix[16];       /* libav's name */
    bool tagged, srgb;  /* bt709 primaries, transfer and matrix, limited range */
    char comment[64];
};

/* Decode all of a file; asserts that it can be. */
void clips_decode(struct clips_file *out, const char *path, clips_see see, void *arg);

#endif /* CLIPS_H */
