/* model_spec.c - where a model's files are, and its end. */
#include "jobs/spec/model_spec.h"
#include "base/strbuf.h"

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

static status place_path(char **path, const char *dir)
{
    char *const placed = path_join(dir, *path);

    if (!placed) return fail(ST_NOMEM, "%s: no memory for its path", *path);
    free(*path);
    *path = placed;
    return ST_OK;
}

status model_spec_resolve_paths(struct model_spec *m, const char *dir)
{
    char **const texts[] = {
        &m->card, &m->weights, &m->config, &m->encoder, &m->tokenizer, &m->vae
    };

    for (int i = 0; i < COUNT_OF(texts); i++) TRY(place_path(texts[i], dir));
    for (int i = 0; i < m->loras; i++) TRY(place_path(&m->lora[i].file, dir));
    for (int i = 0; i < m->files; i++) TRY(place_path(&m->file[i].path, dir));
    return ST_OK;
}
