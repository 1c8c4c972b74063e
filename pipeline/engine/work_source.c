/* work_source.c - which clips can share a line. */
#include "pipeline/engine/work_source.h"

#include <string.h>

bool work_same_group(const struct work_item *a, const struct work_item *b)
{
    return !strcmp(a->model->card, b->model->card) && !strcmp(a->model->id, b->model->id) &&
           a->clip->precision == b->clip->precision && a->clip->width == b->clip->width &&
           a->clip->height == b->clip->height;
}
