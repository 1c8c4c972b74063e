/* model_spec.c - a model's names and its end. */
#include "jobs/spec/model_spec.h"

#include <stdlib.h>

const char *model_window_name(enum model_window w)
{
    return w == MODEL_ROLLING ? "rolling" : "block";
}

const char *model_sink_name(enum model_sink s)
{
    static const char *const names[] = { "usual", "fixed", "moving" };
    return names[s];
}

void model_spec_free(struct model_spec *m)
{
    char *const texts[] = { m->name,      m->family, m->license, m->card,      m->weights,
                            m->outer_key, m->config, m->encoder, m->tokenizer, m->vae };

    for (int i = 0; i < COUNT_OF(texts); i++) free(texts[i]);
    *m = (struct model_spec){ 0 };
}
