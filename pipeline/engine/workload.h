/*
 * workload.h - a group of clips in the numbers of the line, the footprint and the cost model.
 *
 * Known from the small files alone: nothing is loaded, nothing is written. `plan` and `bench`
 * read it for job files, the engine for the group that it is about to render.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include "cluster/cost.h"
#include "pipeline/cache/kv_policy.h"
#include "pipeline/dit/dit.h"
#include "pipeline/engine/work_source.h"
#include "pipeline/line/line.h"

/* A model's numbers, as the line wants them. */
struct card_line {
    struct schedule schedule;
    struct kv_policy policy;
    struct dit_shape shape;
};

/* Reads the model's config.json. ST_FORMAT if the numbers do not fit one another. */
status card_line_read(struct card_line *out, const struct model_spec *m) MUST_USE;

/* All plain data; what is borrowed is the caller's. */
struct workload {
    const struct model_spec *model;
    const struct clip_spec *clip; /* the first of the group */
    struct work_outlook known;
    const int64_t *clip_blocks; /* [known.clips]; NULL: not known. The caller's to set */

    struct schedule schedule;
    struct kv_policy policy;
    struct dit_shape shape;
    enum dtype act;
    int64_t latent_h, latent_w;
    int64_t vae_base;      /* see vae.h */
    int64_t picture_bytes; /* of a picture in all formats of the group */
    int contexts;          /* see workload_contexts */
};

/* Reads config.json and the head of the VAE's file. ST_FORMAT at what is wrong in one of them.
 * Nothing to free. */
status workload_read(struct workload *out, const struct work_item *first,
                     const struct work_outlook *known) MUST_USE;

/* For the cost model. ST_ARG for a size that the decoder does not take. */
status workload_shape(struct cost_shape *out, const struct workload *m,
                      struct line_mode mode) MUST_USE;

/* All but the text encoder's work (see plan_work). */
void workload_cost(struct cost_work *out, const struct workload *m);

/* Different embeddings of all clips: texts, and every block that mixes two. 0: not known, as more
 * clips may come. */
int workload_contexts(const struct work_outlook *known);

/* Is a line to be opened for clips with a recache? */
bool workload_recaches(const struct work_outlook *known, const struct kv_policy *p);

/* The model's LoRAs as dit_open takes them; how many. Borrows from m. */
int workload_adapters(struct weight_adapter out[MODEL_LORAS], const struct model_spec *m);

/* How the transformer is measured, its LoRAs left out. Borrows from m. */
struct dit_config workload_dit(const struct workload *m);

#endif /* WORKLOAD_H */
