/* model_check.h - a model's files opened as a render would open them, and nothing loaded. */
#ifndef MODEL_CHECK_H
#define MODEL_CHECK_H

#include "base/error_list.h"
#include "jobs/spec/model_spec.h"

/* Adds an entry for each file that a render would refuse, "CARD: KEY: what": the names, shapes and
 * dtypes of weights, LoRAs, text encoder and VAE, the transformer's config, the tokenizer, and
 * whether they fit one another. A key of which an entry tells already is passed over. Fails with
 * what is not the files' fault. */
status model_check(struct error_list *wrong, const struct model_spec *m) MUST_USE;

#endif /* MODEL_CHECK_H */
