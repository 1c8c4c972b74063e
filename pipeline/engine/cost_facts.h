/* cost_facts.h - a model at one size in the words of the cost model. */
#ifndef COST_FACTS_H
#define COST_FACTS_H

#include "cluster/cost.h"
#include "pipeline/line/line.h"

/* Borrowed. */
struct cost_facts {
    const struct dit_shape *shape;
    const struct kv_policy *policy;
    enum dtype act;
    struct line_mode mode;
    int64_t latent_h, latent_w;
    int64_t vae_base; /* see vae.h */
};

/* ST_ARG for a size that the decoder does not take. */
status cost_facts_shape(struct cost_shape *out, const struct cost_facts *f) MUST_USE;

/* All but the text encoder's work. */
void cost_facts_work(struct cost_work *out, const struct cost_facts *f);

#endif /* COST_FACTS_H */
