/* model_spec.c - a model's end. */
#include "jobs/spec/model_spec.h"

#include <stdlib.h>

void model_loras_free(struct model_lora *lora, int count)
{
    for (int i = 0; i < count; i++) {
        free(lora[i].file);
        free(lora[i].outer_key);
    }
    free(lora);
}

void model_spec_free(struct model_spec *m)
{
    char *const texts[] = { m->name,      m->family, m->license, m->card,      m->weights,
                            m->outer_key, m->config, m->encoder, m->tokenizer, m->vae };

    for (int i = 0; i < COUNT_OF(texts); i++) free(texts[i]);
    model_loras_free(m->lora, m->loras);
    for (int i = 0; i < m->files; i++) free(m->file[i].path);
    free(m->file);
    *m = (struct model_spec){ 0 };
}
