/*
 * clip_media.h - a finished clip's record, and which files of its folder are its pictures and its
 * latents.
 *
 * The record may have been through anything since it was written, so nothing in it is taken for
 * granted.
 */
#ifndef CLIP_MEDIA_H
#define CLIP_MEDIA_H

#include "base/digest.h"
#include "base/json_tree.h"

/* DIR/clip.json, which the caller frees by json_tree_free. ST_FORMAT if it cannot be read. */
status clip_record_read(struct json_node **root, const char *dir) MUST_USE;

struct clip_media {
    char *video, *latents; /* paths of the first video and of the latents; owned; NULL where
                                       it names no file of the folder itself */
    int64_t pictures, latent_frames; /* 0: not in it */
};

/* ST_FORMAT: the folder has no clip.json that can be read; then there is nothing to free. */
status clip_media_read(struct clip_media *out, const char *dir) MUST_USE;
void clip_media_free(struct clip_media *m); /* and sets it to nothing */

/* ST_FORMAT unless it has both. */
status clip_media_check(const struct clip_media *m, const char *dir) MUST_USE;

/* What stands for both files, by their bytes: the same for a clip that is made again to the same
 * bytes, whatever else its record says. `stop` as digest_file_unless has it. ST_FORMAT where one of
 * them is not there. */
status clip_media_hash(const char *dir, bool (*stop)(void *arg), void *arg,
                       char hex[DIGEST_HEX]) MUST_USE;

#endif /* CLIP_MEDIA_H */
