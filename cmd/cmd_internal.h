/* cmd_internal.h - what the small commands of several files share. */
#ifndef CMD_INTERNAL_H
#define CMD_INTERNAL_H

#include "base/base.h"

/* ---- inspect_clip.c: how a clip changes from its first pictures to its last */

/* Whether the path is a clip's folder, or a video file by its ending. */
bool is_clip(const char *path);

/* Print the clip's measures (drift.h), of a folder its first video file's and its latents', as a
 * table or as JSON. ST_FORMAT. */
status inspect_clip(const char *path, bool json) MUST_USE;

#endif /* CMD_INTERNAL_H */
