/*
 * clip_spec.h - one clip to make: plain data, whole in itself.
 *
 * What jobs are expanded to and all that the renderer sees of them: no YAML, no job, no card
 * behind it. spec_json.h has its JSON form, which rank 0 sends to the other ranks and a queue
 * stores. All texts are the clip's own; clip_spec_free frees them.
 */
#ifndef CLIP_SPEC_H
#define CLIP_SPEC_H

#include "base/base.h"
#include "base/digest.h"

enum {
    CLIP_ID = 17,      /* 16 hex digits and a NUL */
    CLIP_TIME = 32,    /* a spelled duration, "1m30s", and a NUL */
    CLIP_FORMATS = 16, /* files of a clip at most */
};

enum { CLIP_OTHER_FILES = 4 }; /* beside its formats: clip.json, latents, embeddings, preview */
enum { CLIP_GOP_S = 60 };      /* longest GOP, in seconds */

enum clip_precision { CLIP_BF16, CLIP_F32 };
const char *clip_precision_name(enum clip_precision p); /* "bf16", "f32" */

/* What a job may ask of how its clips are computed, in the words of the options of these names;
 * else whoever renders decides. */
#define CLIP_WIRE_CHOICES        "act|fp8"
#define CLIP_DETERMINISM_CHOICES "strict|batch"
#define CLIP_KERNELS_CHOICES     "1|2|3|4"
enum clip_numeric_key { CLIP_WIRE, CLIP_DETERMINISM, CLIP_KERNELS, CLIP_NUMERICS };
struct clip_numerics {
    int choice[CLIP_NUMERICS]; /* place among its choices, from 1; 0: nothing is asked */
};
const char *clip_numeric_name(enum clip_numeric_key k); /* "wire", "determinism", "kernels" */
/* The word that is asked for; false and "": none is. */
enum { CLIP_WORD = 16 };
bool clip_numeric_word(char word[CLIP_WORD], const struct clip_numerics *n,
                       enum clip_numeric_key k);
bool clip_numerics_same(const struct clip_numerics *a, const struct clip_numerics *b);

/* How a prompt takes over from the one before it: mixed with it, at once where `blend` is 0; as a
 * new scene, which the cache policy has a rule for; or at once, with a recache: what its first
 * block looks back on is computed anew under it. A blend is of the first kind alone. */
enum clip_change { CLIP_BLEND, CLIP_CUT, CLIP_RECACHE };
const char *clip_change_name(enum clip_change c); /* "blend", "cut", "recache" */

/* A prompt from block `block` on. During the `blend` blocks from there the embedding is mixed:
 * block + i has (i + 1) / (blend + 1) of this prompt and the rest of the one before. 0: at
 * once. */
struct clip_prompt {
    int64_t block, blend;
    char *text;                          /* variables filled in; not yet cleaned */
    char at[CLIP_TIME], over[CLIP_TIME]; /* as asked for: when, and how long the blend */
    bool moved;                          /* `at` is not on a block boundary */
    enum clip_change change;
};

/* An axis of the sweep with its value, or a label. */
struct clip_pair {
    char *name, *value;
};

/* What encodes a file: auto is a card's encoder where it opens and takes the clip, else the
 * processor's; settled before the clip is handed over, from then on none is auto. */
enum clip_encoder { CLIP_ENCODER_CPU, CLIP_ENCODER_NVENC, CLIP_ENCODER_AUTO };
const char *clip_encoder_name(enum clip_encoder e); /* "cpu", "nvenc", "auto" */

/* What players are told of the pictures' transfer function; the pictures are the same. */
enum clip_transfer { CLIP_BT709, CLIP_SRGB };

/* One video file. profile NULL: the one that goes with pix; preset NULL: the codec has none. */
struct clip_format {
    char *file, *codec, *pix, *preset, *profile;
    int crf;     /* -1: the codec has none */
    int threads; /* of the encoder */
    enum clip_encoder encoder;
    int gop; /* pictures from one key frame to the next at most; 0: a second, rounded down */
};

/* What a clip's first blocks are, where they are not rendered. */
enum clip_start_kind {
    CLIP_START_NONE,
    CLIP_START_LATENTS,
    CLIP_START_IMAGE,
    CLIP_START_VIDEO,
    CLIP_START_CLIP
};
const char *
clip_start_name(enum clip_start_kind k); /* "none", "latents", "image", "video", "clip" */

struct clip_start {
    enum clip_start_kind kind;
    char *file;              /* of a finished clip its folder; NULL: none */
    int64_t pictures;        /* the last so many of a video or clip, whole blocks; else 0 */
    char sha256[DIGEST_HEX]; /* of the file; of a clip that of clip_media_hash; "": not known */
};

/* That hash, of what is there now; `stop` as digest_file_unless has it. */
status clip_start_hash(const struct clip_start *s, bool (*stop)(void *arg), void *arg,
                       char hex[DIGEST_HEX]) MUST_USE;

struct clip_spec {
    char *job, *owner; /* owner NULL: none */
    int64_t index;     /* in the job, from 0 */
    char *name;        /* of its folder */
    char *dir;         /* where the folder will appear; NULL until somebody has decided */
    int priority;      /* 0-100, higher first */
    enum clip_precision precision;
    struct clip_numerics numerics;

    int width, height; /* pixels */
    int64_t fps_num, fps_den;
    uint64_t seed;
    int64_t pictures; /* of the video */
    int64_t blocks;
    int frames_per_block; /* latent frames; the model's */
    struct clip_start start;
    int64_t checkpoint; /* blocks from one to the next; 0: none are made */
    bool extendable;    /* an extension folder is kept with the finished clip */
    char *extends; /* the extension folder of the shorter clip that this one extends; NULL: none */
    int64_t timeout_ms; /* it fails if it takes longer, from its first block on; 0: however long */
    int64_t stall_ms;   /* likewise, from one block that is encoded to the next */
    int64_t grace_ms;   /* a stop waits for it so long at most; 0: until it lies safe */

    struct clip_prompt *prompt; /* rising by block, the first at block 0 */
    int prompts;
    struct clip_pair *value; /* of the sweep's axes */
    int values;
    struct clip_pair *label;
    int labels;

    struct clip_format *format; /* at most CLIP_FORMATS */
    int formats;
    enum clip_transfer transfer;
    char *latents, *latents_dtype;       /* file; "bf16" or "f32". NULL: none */
    char *embeddings, *embeddings_dtype; /* of the prompts; likewise */
    char *preview;                       /* file of the contact sheet. NULL: none */
    int preview_columns;

    /* "" if the model was not identified. content_id stands for all that makes the pictures;
     * task_id for that and the files made of them; model_id for the bytes of the model. */
    char content_id[CLIP_ID], task_id[CLIP_ID], model_id[DIGEST_HEX];
};

void clip_spec_free(struct clip_spec *c); /* safe on a zeroed one; zeroes it */

bool clip_recaches(const struct clip_spec *c); /* does a prompt of it? */

/* Pictures of a clip of so many blocks, and a block's first picture. */
int64_t clip_pictures(int64_t blocks, int frames_per_block);
int64_t clip_first_picture(int64_t block, int frames_per_block);
/* The least number of blocks that has so many pictures. */
int64_t clip_blocks(int64_t pictures, int frames_per_block);

#endif /* CLIP_SPEC_H */
