/*
 * card.h - a model card: which files make a model, and how it is run.
 *
 * A card is one YAML map (docs/job.md has every key). Checkpoints of the same
 * network differ in how many levels they step through and what a block attends
 * to; the card is the only place that says so.
 */
#ifndef CARD_H
#define CARD_H

#include "base/file_hash.h"
#include "jobs/spec/model_spec.h"
#include "jobs/yaml/yaml_schema.h"

enum { CARD_BLOCKS = 30 /* attended to */, CARD_BYTES = 1 << 16 };

enum card_family { CARD_WAN21_T2V };

/* Plain data. Texts are the card's own; paths stand as written when absolute, else
 * behind the folder of the card. */
struct card {
    const char *name;
    enum card_family family;
    char *path; /* of the card itself */

    char *weights;
    const char *outer_key; /* NULL: the file's own choice (weights.h) */
    char *config;          /* config.json: the transformer's shape */
    char *encoder, *tokenizer;
    char *vae;
    struct model_lora *lora; /* a job's stand behind the card's */
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
    int sink_frames;      /* 0, or frames_per_block: the clip's first block stays attended to */
    enum kv_sink sink;    /* usual unless the card says */
    enum kv_rule rule;    /* likewise */
    double key[KV_KEYS_COUNT]; /* the policy's own numbers */
    struct kv_profile profile; /* its heads, where it has to have one */

    unsigned starts; /* set of 1 << enum clip_start_kind: what its clips may go on from */

    int width, height; /* pixels it was trained at; 0: the card does not say */

    const char *license;

    struct tree *tree; /* what the texts above point into */
};

/* A FIELD_READ of `starts`: to is an unsigned *. */
status starts_read(const struct tree_node *n, void *to) MUST_USE;

/* `path` is for messages and for what the card's paths are relative to; nothing is
 * opened. ST_FORMAT "path:line:column: key: what". card_close frees after success;
 * after a failure there is nothing to free. */
status card_parse(struct card *out, const char *text, size_t len, const char *path) MUST_USE;
status card_load(struct card *out, const char *path) MUST_USE; /* reads the file */
void card_close(struct card *c);                               /* safe on a zeroed one; zeroes it */

/* Behind the card's own LoRAs those of a job; copies. */
status card_add_loras(struct card *c, const struct model_lora *lora, int count) MUST_USE;

/* ST_FORMAT with every file of the card that is not there, or plainly is something else (a Git LFS
 * pointer, a web page: base/file_kind.h), one a line. Paths must be UTF-8. `spared`: the key of one
 * that need not be there, "text.encoder"; or NULL. */
status card_check_files(const struct card *c, const char *spared) MUST_USE;

/* 64 hex digits that stand for the bytes of the model's files. By rule->whole all of them go in;
 * else a file of at most 64 MiB whole, and a larger one by its size and 64 pieces of 1 MiB spread
 * evenly over it, the first and the last included (a torch file's last piece holds the checksums of
 * all its parts). ST_FORMAT if a file is missing. */
status card_fingerprint(const struct card *c, const struct file_hash_rule *rule,
                        char hex[DIGEST_HEX]) MUST_USE;

/* The same into m->id, and all files as they are now into m->file; of a model that card_spec has
 * made. */
status card_identify(struct model_spec *m, const struct card *c,
                     const struct file_hash_rule *rule) MUST_USE;

/* The same for those who know no cards. Its id stays empty; card_identify fills it. ST_NOMEM. */
status card_spec(struct model_spec *out, const struct card *c) MUST_USE;

const char *card_family_name(enum card_family f); /* "wan2.1-t2v" */

/* The tables of a card's keys, ended by NULL. */
extern const struct field_table *const card_tables[];

#endif /* CARD_H */
