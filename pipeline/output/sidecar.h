/*
 * sidecar.h - clip.json: where a clip comes from and what is in it.
 *
 * docs/clip.md lists every key. Keys are always there; what is not known is null
 * or an empty list. Texts are UTF-8 and borrowed. A seed goes beyond the whole
 * numbers that JSON readers keep, so it stands as text.
 */
#ifndef SIDECAR_H
#define SIDECAR_H

#include "base/kv_policies.h"
#include "pipeline/output/av/video.h"
#include "pipeline/output/quality.h"

enum { SIDECAR_POLICY_KEYS = 16 };

struct sidecar_pair {
    const char *name, *value;
};

/* `count` entries; zeroed = none. */
struct sidecar_pairs {
    const struct sidecar_pair *at;
    int count;
};

/* A prompt in force from a block on; see the job's schedule. */
struct sidecar_prompt {
    const char *text;
    const char *asked_at, *asked_blend; /* as the job says: "45s" */
    int64_t block, blend_blocks;        /* as rendered */
    int64_t first_picture;
    const char *change; /* "cut", "recache"; NULL: none of them */
};

/* An adapter as the card or the job gives it. */
struct sidecar_lora {
    const char *file;
    int rank;     /* 0: as the file's shapes say */
    double alpha; /* 0: as the file says */
    double scale;
};

/* What whoever renders the clip knows before it begins. */
struct sidecar_info {
    /* identity */
    const char *task_id, *content_id, *numerics_id, *job, *clip, *world, *owner;

    /* generation */
    const struct sidecar_prompt *prompt;
    int prompts;
    const char *negative;
    uint64_t seed;
    const char *noise; /* the counter-based generator and its key: NOISE_SCHEME */
    const char *scheduler;
    const double *step; /* timesteps, falling */
    int steps;
    const double *first_step; /* of the first block that is not given; NULL: as the others' */
    int first_steps;
    const char *start, *start_file, *start_sha256; /* "video": what is given; NULL: nothing */
    int64_t start_blocks;                          /* so many blocks */
    bool warp;
    double shift, guidance;                              /* guidance 1: none */
    const char *precision;                               /* "bf16" */
    const char *window;                                  /* "rolling" */
    int frames_per_block, attention_frames, sink_frames; /* latent frames */
    const char *sink_positions;                          /* NULL: the usual ones */
    const char *policy;                                  /* NULL: the window's own */
    const char *policy_key[SIDECAR_POLICY_KEYS];         /* its numbers */
    double policy_value[SIDECAR_POLICY_KEYS];
    int policy_keys;
    const struct kv_profile *heads; /* of the policy; NULL: none */
    struct sidecar_pairs numerics;  /* that the job asks for */
    struct sidecar_pairs values;    /* of the sweep's axes */
    const struct sidecar_lora *lora;
    int loras;

    /* provenance */
    const char *model, *family;
    struct sidecar_pairs model_files; /* path, hash */
    const char *model_id_rule;        /* what the ids have of these files, in words */
    const char *model_hash_rule;      /* what those hashes are of; NULL: sha256 of the file */
    const char *program, *commit, *build;
    struct sidecar_pairs libraries; /* name, version */
    const char *backend, *device;   /* "cpu"; the processor's name */
    const char *text_backend;       /* the one that embedded the prompts */
    const char *kernels;            /* what decides the backend's bits */
    struct sidecar_pairs hosts;     /* name, what runs there */
    int ranks, stages;
    const char *determinism, *wire, *exchange; /* line_determinism_name and so on */

    /* rights */
    struct sidecar_pairs labels;
    const char *model_license;
};

/* What is known when it is over. */
struct sidecar_run {
    double wall;                 /* seconds, without those in which there was no work */
    const char *const *stage;    /* names */
    const double *stage_seconds; /* as many */
    int stages;
    int64_t peak_bytes;
    int64_t resumed_from; /* block; 0: from the start */
    int retries;
    const char *const *error; /* of earlier attempts */
    int errors;
};

struct sidecar_file {
    const char *name;
    int64_t bytes;
    char sha256[DIGEST_HEX];
};

struct sidecar_video {
    const char *file;
    struct video_facts facts;
};

/* Pictures first .. first + count - 1 came as one block. */
struct sidecar_block {
    int64_t first, count;
    char sha256[DIGEST_HEX]; /* of their 8-bit RGB */
};

struct clip_embeddings;

struct sidecar {
    const struct sidecar_info *about;
    const struct sidecar_run *run;
    const char *attempt;
    int width, height, fps_num, fps_den;
    int64_t pictures;
    const struct sidecar_file *file;
    int files;
    const struct sidecar_video *video;
    int videos;
    const struct sidecar_block *block;
    int64_t blocks;
    char pictures_sha256[DIGEST_HEX];
    const char *latents_file, *latents_dtype; /* NULL: none */
    int64_t latents_shape[4];
    const struct clip_embeddings *embeddings; /* without a file: none */
    const char *preview_file;                 /* NULL: none */
    const struct quality *quality;
};

/* Write it at `path`, complete or not at all, fsynced, and read it back. ST_ARG names a text that
 * is not UTF-8 or a number that is not finite; ST_IO, ST_NOMEM. */
status sidecar_write(const char *path, const struct sidecar *s) MUST_USE;

#endif /* SIDECAR_H */
