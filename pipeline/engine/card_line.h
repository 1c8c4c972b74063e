/* card_line.h - a model's numbers, as the line wants them. */
#ifndef CARD_LINE_H
#define CARD_LINE_H

#include "jobs/spec/model_spec.h"
#include "pipeline/cache/kv_policy.h"
#include "pipeline/dit/dit.h"

struct card_line {
    struct schedule schedule;
    struct kv_policy policy;
    struct dit_shape shape;
};

/* Reads the model's config.json. ST_FORMAT if the numbers do not fit one another. */
status card_line_read(struct card_line *out, const struct model_spec *m) MUST_USE;

#endif /* CARD_LINE_H */
