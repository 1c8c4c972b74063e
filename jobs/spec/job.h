/*
 * job.h - a job file: one or several jobs, each a YAML document.
 *
 * A job is read and validated to the last key (docs/job.md has every key). What a
 * later version does is refused by name; nothing is ignored. No file but the job's
 * own text is looked at; clip.h makes clips of a job and a model card.
 */
#ifndef JOB_H
#define JOB_H

#include "jobs/spec/axis.h"
#include "jobs/spec/format.h"
#include "jobs/yaml/duration.h"

enum { JOB_PROMPT_BYTES = 16384, JOB_FORMATS = CLIP_FORMATS, JOB_LABELS = 64, JOB_AFTERS = 64 };

enum job_exists { JOB_SKIP, JOB_ERROR, JOB_VERSION };        /* output.on_exists */
enum job_quantize { JOB_QUANTIZE_WARN, JOB_QUANTIZE_ERROR }; /* a time off a block boundary */
enum job_long_prompts { JOB_LONG_WARN, JOB_LONG_ERROR }; /* more tokens than the encoder takes */

/* One entry of the prompt schedule. `text` is a template. */
struct job_prompt {
    struct duration at, blend;
    int change; /* enum clip_change */
    const char *text;
    const struct tree_node *node; /* of the entry; of `prompt` if the job has just one */
};

/* What the clips begin with. `path`: a template, of the kind's file. */
struct job_start {
    enum clip_start_kind kind;
    const char *path, *latents, *image, *video, *clip; /* path: the one that is given */
    struct duration last;                              /* of a video or clip: so much of its end */
    bool force;                   /* also with a model that was not made for it */
    const struct tree_node *node; /* of the path; NULL: none */
};

/* The clip of a job, or what its clips share. */
struct job_clip {
    int width, height; /* pixels */
    struct value_rate fps;
    struct duration length;
    uint64_t seed;
};

/* A job that must end before this one begins in a queue. */
struct job_after {
    const char *job; /* its name, or its number in the queue: name and 8 hex digits */
    int any;         /* any end will do; else success */
    const struct tree_node *node;
};

/* How the job is run. */
struct job_run {
    int max_worlds;                /* that work on it at a time; 0: no limit */
    int max_failed;                /* clips; -1: no limit */
    bool max_failed_in_percent;    /* of the clips */
    int errors, crashes, preempts; /* of a clip, before it fails */
    struct duration backoff;       /* before it is tried again: times the tries so far */
    bool given;                    /* any of these: a queue's, a render of files heeds none */
    struct duration checkpoint;    /* of video, from one to the next; none: no checkpoints */
    struct duration clip, stall;   /* longest time of a clip, and from one block to the next */
    struct duration grace;         /* from a stop to the end where things stand. All three: none */
};

/* Texts and nodes belong to the job's file. */
struct job {
    const struct tree_node *node; /* the document */
    const char *name, *owner;     /* owner NULL: none */
    int priority;
    char *model;                          /* path of the card, behind the folder of the job file */
    const struct tree_node *model_sha256; /* a text: the model's id, else it is refused; or NULL */
    int precision;                        /* enum clip_precision */
    struct clip_numerics numerics;
    const struct tree_node *numerics_node; /* of the map; NULL: nothing is asked */
    struct model_lora *lora;               /* behind those of the card */
    int loras;
    const struct tree_node *window; /* over the card's (window.c), or NULL */

    struct job_clip clip;

    struct job_prompt *prompt; /* rising in time is checked with the clip's rate */
    int prompts;
    int quantize; /* enum job_quantize */
    struct job_start start;
    int long_prompts; /* enum job_long_prompts; clips do not show it, whoever makes them does */

    struct {
        struct axis axis[AXIS_COUNT];
        int axes;
        const struct tree_node *node;         /* sweep, or NULL */
        const struct tree_node *combine_node; /* NULL: product of all */
        int max_clips;
    } sweep;

    struct {
        char *dir;                         /* behind the folder of the job file */
        const char *name;                  /* template of a clip's folder */
        const struct tree_node *name_node; /* NULL: the default stands in */
        int on_exists;                     /* enum job_exists */
        struct format format[JOB_FORMATS];
        int formats;
        const char *latents, *latents_dtype;       /* file; "bf16" or "f32". NULL: none */
        const char *embeddings, *embeddings_dtype; /* of the prompts; likewise */
        const char *preview;                       /* file of the contact sheet. NULL: none */
        bool extendable;                           /* what `rollmill extend` needs is kept */
        int preview_columns;
        int transfer; /* enum clip_transfer */
    } output;

    const struct tree_node *labels; /* a map of texts, or NULL */

    struct job_after *after;
    int afters;
    struct job_run run;
};

/* The jobs of one file. */
struct job_file {
    struct tree *tree;
    struct job *job;
    int jobs;
};

/* `path` is for messages and for what relative paths are relative to; nothing is
 * opened. ST_FORMAT "path:line:column: key.path: what". job_close frees after success;
 * after a failure there is nothing to free. */
status job_parse(struct job_file *out, const char *text, size_t len, const char *path) MUST_USE;
status job_load(struct job_file *out, const char *path) MUST_USE; /* reads the file */
void job_close(struct job_file *f); /* safe on a zeroed one; zeroes it */

/* The tables of a job's keys, ended by NULL. */
extern const struct field_table *const job_tables[];

const char *job_exists_name(int on_exists); /* "skip", "error", "version" */

#endif /* JOB_H */
