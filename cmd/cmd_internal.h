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

/* ---- inspect_model.c: which part of a model a checkpoint is, whether all of it is there, and what
 * a card says for it */

enum { INSPECT_DETAIL = 160, INSPECT_WRONG = 1024, INSPECT_CARD = 4352 };

/* form: of the file, and of its names where they are not the Wan release's. wrong: what a render
 * would refuse, a line each; "": nothing. card: lines of one. */
struct inspect_model {
    const char *what; /* "transformer", "text encoder", "VAE", "LoRA"; NULL: none of them */
    char detail[INSPECT_DETAIL]; /* its sizes */
    char form[INSPECT_DETAIL];
    char outer_key[INSPECT_DETAIL]; /* that was taken; "": the file has none */
    char wrong[INSPECT_WRONG];
    char card[INSPECT_CARD];
};

/* Opens it once for each part that it could be; no tensor is read. What is wrong with a part is no
 * failure. ST_FORMAT if it cannot be opened. */
status inspect_model(struct inspect_model *out, const char *path, const char *outer_key) MUST_USE;

#endif /* CMD_INTERNAL_H */
