/*
 * clip.h - a job and its model card become clips: resolved, unique, plain data.
 *
 * A clip of N blocks of B latent frames has 1 + 4 (N B - 1) pictures (the first
 * latent frame gives one picture, every later one four): 12 N - 3 for B = 3. A job
 * asks for P = round(length * fps) pictures. N is the least number of blocks whose
 * pictures cover P, and the video is cut to exactly P pictures.
 *
 * The prompt of a block is the one in force at the block's first picture, which is
 * picture 0 for block 0 and picture 4 N B - 3 for block N. A time therefore rounds
 * up to a block; the time asked for is kept.
 */
#ifndef CLIP_H
#define CLIP_H

#include "base/strbuf.h"
#include "jobs/spec/card.h"
#include "jobs/spec/clip_spec.h"
#include "jobs/spec/job.h"

enum { CLIP_BUDGET = 512 << 20 /* bytes of all clips of a job */ };

struct clip_list {
    struct clip_spec *clip;
    int count;
};

struct clip_options {
    const char *model_id;  /* stands for the bytes of the model, such as card_fingerprint's
                              digits. NULL: clips get no ids */
    const char *precision; /* "f32", "bf16"; NULL: the job's */
};

/* Make all clips of a job, each whole in itself but for dir, which stays NULL. Files of axes are
 * read. ST_FORMAT at the key that is wrong. clip_free after success; after a failure
 * there is nothing to free. */
status clip_expand(struct clip_list *out, struct job *job, const struct card *card,
                   const struct clip_options *o) MUST_USE;
void clip_free(struct clip_list *l); /* safe on a zeroed one; zeroes it */

/* Load the card that a job names. A missing one is an error of the job's line. */
status clip_card(struct card *out, const struct job *job) MUST_USE;

/* Set content_id and task_id; clip_expand does it. model_id and all else are set. */
status clip_identify(struct clip_spec *c, const struct card *card) MUST_USE;

/* Set the length to `pictures`, and the ids to those of a job with that length. c is the shorter
 * clip, with its model_id. */
status clip_lengthen(struct clip_spec *c, const struct model_spec *m, int64_t pictures) MUST_USE;

enum { CLIP_LIBRARY = 64 };
const char *clip_library(char buf[CLIP_LIBRARY]); /* "jansson 2.14" */

/* An expanded job as JSON, for `check --json` and for records. Append one object: the job, its
 * files, and every clip with its blocks, prompts and ids (null without). Seeds stand as text, for
 * they go beyond what JSON readers hold. */
status clip_json(struct strbuf *out, const struct job *job, const struct card *card,
                 const struct clip_list *clips) MUST_USE;

#endif /* CLIP_H */
