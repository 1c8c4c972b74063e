/*
 * workload.h - what jobs ask of a line: the card's model at the clips' size, known
 * from the small files alone. Nothing is loaded, nothing is written.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include "jobs/spec/clip_spec.h"
#include "jobs/spec/job.h"
#include "jobs/spec/model_spec.h"
#include "pipeline/dit/schedule.h"
#include "pipeline/engine/cost_facts.h"

struct workload {
    struct job_file *file;
    int files;
    struct model_spec card;
    const struct job *job;  /* the first one */
    struct clip_spec first; /* its first clip */

    struct schedule schedule;
    struct kv_policy policy;
    struct dit_shape shape;
    enum dtype act;
    int width, height;
    int64_t latent_h, latent_w;
    int64_t vae_base;
    int64_t picture_bytes; /* of a picture as bytes, the most of all jobs */

    int clips;
    int64_t blocks, pictures; /* of all clips */
    int64_t *clip_blocks;     /* [clips] */
    int texts;                /* distinct prompts */
    int contexts;             /* different embeddings: texts, and every block that mixes two */
    int64_t tokens;           /* of all texts */
    char *text;               /* the first prompt */
};

/* precision: "f32" or "bf16" to overrule the jobs, or NULL. ST_FORMAT at what is wrong in
 * a job, its card or config.json, for files of the card that are missing but the text
 * encoder's, or if the jobs differ in card, precision or size. workload_close frees, also
 * after a failure. */
status workload_open(struct workload *out, char *const *paths, int count,
                     const char *precision) MUST_USE;
void workload_close(struct workload *m); /* safe on a zeroed one; zeroes it */

/* For the cost model. Borrows from m. */
struct cost_facts workload_facts(const struct workload *m, struct line_mode mode);

/* How the transformer is opened. Borrows from m. */
struct dit_config workload_dit(const struct workload *m);

const char *workload_precision(const struct workload *m); /* "f32", "bf16" */

#endif /* WORKLOAD_H */
