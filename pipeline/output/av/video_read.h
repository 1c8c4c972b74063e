/*
 * video_read.h - a video file's pictures, decoded one after another.
 *
 * Any file that this libav decodes; what has several streams is read by its best video stream.
 * The file is untrusted: libav judges it, and a picture of another size than the first is refused.
 */
#ifndef VIDEO_READ_H
#define VIDEO_READ_H

#include "base/base.h"

/* rgb8: [height, width, 3], borrowed for the call; seconds: when it is shown, from the first
 * picture on. What is not ST_OK ends the reading and is returned. */
typedef status (*video_visit)(void *arg, const uint8_t *rgb8, int width, int height,
                              double seconds);

/* ST_FORMAT if the file is missing, is no video, or breaks off; ST_NOMEM. */
status video_read(const char *path, video_visit visit, void *arg) MUST_USE;

#endif /* VIDEO_READ_H */
