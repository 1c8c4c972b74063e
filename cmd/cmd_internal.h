/* cmd_internal.h - what the small commands of several files share. */
#ifndef CMD_INTERNAL_H
#define CMD_INTERNAL_H

#include "base/base.h"
#include "jobs/spec/card.h"

#include <jansson.h>

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
    int dim;          /* of a transformer its width; else 0 */
    char detail[INSPECT_DETAIL]; /* its sizes */
    char form[INSPECT_DETAIL];
    char outer_key[INSPECT_DETAIL]; /* that was taken; "": the file has none */
    char wrong[INSPECT_WRONG];
    char card[INSPECT_CARD];
};

/* Opens it once for each part that it could be; no tensor is read. What is wrong with a part is no
 * failure. ST_FORMAT if it cannot be opened. */
status inspect_model(struct inspect_model *out, const char *path, const char *outer_key) MUST_USE;

/* Nothing is printed of what is no part. */
void inspect_model_print(const struct inspect_model *m);
json_t *inspect_model_json(const struct inspect_model *m);

/* JSON is UTF-8; a path and a torch file's names may be any bytes: each that is not is a `?`. */
json_t *inspect_text(const char *s);

/* ---- inspect_folder.c: a folder of several parts */

/* Print what is in it, of each part what inspect_model says, and what is missing. *listed: it is
 * such a folder; else nothing is printed. ST_FORMAT. */
status inspect_folder(const char *path, bool json, bool *listed) MUST_USE;

/* ---- model_folder.c: the parts of a model that lie in a folder, each told by what is in it */

enum { MODEL_PARTS = 64 };

/* A part with a path of its own. Transformers, text encoders, VAEs and LoRAs go by the words of
 * inspect_model; `tokenizer` and `config.json` by these. */
struct model_part {
    const char *what;
    char *path;      /* owned */
    char *outer_key; /* that was taken; owned; "": there is none */
    int dim;         /* of a transformer and of a config.json the width; else 0 */
};

struct model_folder {
    char *dir; /* owned, without a slash at its end */
    struct model_part part[MODEL_PARTS];
    int parts, files;
};

/* Looks into a folder and those in it. A file stands for the folder that it lies in, or where hubs
 * and ComfyUI have folders for each kind (transformer, diffusion_models, unet), for the one around
 * that. What is no part of a model, or cannot be read, is passed over. ST_FORMAT: there is no such
 * path, or it holds more than anybody keeps. Whoever reads, frees, after a failure too. */
status model_folder_read(struct model_folder *out, const char *path) MUST_USE;
void model_folder_free(struct model_folder *f);

/* The first part of the kind from `from` on; NULL: there is none. */
const struct model_part *model_folder_find(const struct model_folder *f, const char *what,
                                           int from);

/* The path behind the folder. */
const char *model_folder_inside(const struct model_folder *f, const char *path);

/* ---- card_like.c: the released card whose steps, window and license a card takes over */

struct card_like {
    struct card card;
    bool sure;   /* it was asked for, or the file has the name of the release's */
    char *names; /* of all cards that come with the program, "a, b"; owned */
};

/* `asked`: the path of a card, or the name of one that comes with the program; NULL: that whose
 * weights are named as these, else the plainest of their width. Whoever chooses, closes. */
status card_like_choose(struct card_like *out, const struct model_part *weights,
                        const char *asked) MUST_USE;
void card_like_close(struct card_like *l); /* safe after a failure */

#endif /* CMD_INTERNAL_H */
