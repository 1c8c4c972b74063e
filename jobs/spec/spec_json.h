/*
 * spec_json.h - clips and models as JSON: what rank 0 sends to the other ranks and a queue
 * stores. One object each, on one line. Reading trusts nothing: ST_FORMAT names the key that
 * is missing or has not the stated form. Seeds are text, for they go beyond what JSON readers
 * hold.
 */
#ifndef SPEC_JSON_H
#define SPEC_JSON_H

#include "base/strbuf.h"
#include "jobs/spec/clip_spec.h"
#include "jobs/spec/model_spec.h"

/* Append; out of memory is remembered in `out`. */
status clip_spec_to_json(struct strbuf *out, const struct clip_spec *c) MUST_USE;
status model_spec_to_json(struct strbuf *out, const struct model_spec *m) MUST_USE;
/* The same but for where and when its files lie on this machine: alike for the same bytes. */
status model_spec_asked_json(struct strbuf *out, const struct model_spec *m) MUST_USE;

/* After a failure there is nothing to free. */
status clip_spec_from_json(struct clip_spec *out, const char *json, size_t len) MUST_USE;
status model_spec_from_json(struct model_spec *out, const char *json, size_t len) MUST_USE;

#endif /* SPEC_JSON_H */
