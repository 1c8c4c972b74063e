/*
 * model_spec.h - a model: which files make it, and how it is run. Plain data, whole in itself.
 *
 * What a model card says, as the renderer sees it. spec_json.h has its JSON form. All texts are
 * the model's own; model_spec_free frees them.
 */
#ifndef MODEL_SPEC_H
#define MODEL_SPEC_H

#include "base/base.h"
#include "base/digest.h"
#include "base/kv_policies.h"

enum { MODEL_STEPS = 16, MODEL_LORAS = 16, LORA_MOST = 65536 /* rank, alpha, scale */ };

/* An adapter: scale * alpha / rank * B A is added to the weights it names. */
struct model_lora {
    char *file, *outer_key; /* outer_key NULL: the file's own choice */
    int rank;               /* 0: as the file's shapes say */
    double alpha;           /* 0: as the file says */
    double scale;
};

/* A file of the model as it was when the model's id was made (base/file_sample.h). */
enum { MODEL_FILE_IDENTITY = 256, MODEL_FILES = 4096 };
struct model_file {
    char *path;
    char identity[MODEL_FILE_IDENTITY], sum[DIGEST_HEX];
};

struct model_spec {
    char *name, *family, *license; /* "wan2.1-t2v"; license NULL: not said */
    char *card;                    /* path of the card, for messages and as the group's name */

    char *weights;
    char *outer_key; /* NULL: the file's own choice (weights.h) */
    char *config;    /* config.json: the transformer's shape */
    char *encoder, *tokenizer;
    char *vae;
    struct model_lora *lora; /* in the order they are added */
    int loras;

    double step[MODEL_STEPS]; /* falling, the first 1000, in (0, 1000] */
    int steps;
    double first_step[MODEL_STEPS]; /* likewise: of a clip's first block that is not given */
    int first_steps;                /* 0: as the others */
    bool warp;                      /* step d stands for the shifted schedule's entry 1000 - d */
    double shift;

    int frames_per_block; /* latent frames */
    enum window_kind window;
    int attention_frames; /* latent frames a block sees, its own and the sink's included */
    int sink_frames;      /* 0, or frames_per_block */
    enum kv_sink sink;
    enum kv_rule rule;
    double key[KV_KEYS_COUNT]; /* the policy's own numbers, and 0 for others */
    int keys;                  /* KV_KEYS_COUNT; 0 where the rule is plain (kv_rule_is_plain) */
    struct kv_profile profile; /* of heads; layers 0 where the policy has none */

    char id[DIGEST_HEX]; /* stands for the bytes of the files (card_identify); "": not known */
    bool whole;          /* it is of all their bytes; else of samples of large ones */
    struct model_file *file;
    int files;
};

void model_loras_free(struct model_lora *lora, int count);
/* Make paths that are relative to `dir` absolute. ST_NOMEM: some may be done. */
status model_spec_resolve_paths(struct model_spec *m, const char *dir) MUST_USE;
void model_spec_free(struct model_spec *m); /* safe on a zeroed one; zeroes it */

#endif /* MODEL_SPEC_H */
