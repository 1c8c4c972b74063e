/*
 * video_pictures.h - pictures out of a file: a still, or the end of a video, at a clip's size and
 * rate.
 *
 * Any format that libav reads. A picture of another size is scaled until it covers the clip's and
 * cut evenly on both sides. Of a video, picture k of the clip's rate is the one that is shown half
 * a picture's time behind k / fps: files whose clocks are coarse, as .mkv's, give each of their
 * pictures once.
 */
#ifndef VIDEO_PICTURES_H
#define VIDEO_PICTURES_H

#include "base/base.h"

/* At most so much in memory. */
enum { VIDEO_PICTURES_MIB = 2048 };

struct video_pictures_config {
    const char *path;
    int width, height; /* wanted, even */
    int fps_num, fps_den;
    int64_t count; /* of a video the last so many; 0: the file is a still, its first picture */
    bool (*stop)(void *arg); /* asked before each of the file's pictures: give up if it says so;
                                NULL: nobody does */
    void *stop_arg;
};

struct video_pictures {
    int64_t count;
    int width, height;
    uint16_t *rgb; /* [count, height, width, 3], 0..65535; owned */
};

/* ST_FORMAT: not a file with pictures, one that is damaged, fewer pictures than wanted; ST_ARG:
 * more than fit; ST_CANCELED: a stop. video_pictures_free after success. */
status video_pictures_read(struct video_pictures *out,
                           const struct video_pictures_config *c) MUST_USE;
void video_pictures_free(struct video_pictures *p); /* safe on a zeroed one; zeroes it */

#endif /* VIDEO_PICTURES_H */
