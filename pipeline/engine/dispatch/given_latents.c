/* given_latents.c - a file of latents: its shape, then its numbers. */
#include "pipeline/engine/dispatch/dispatch_internal.h"
#include "pipeline/weights/weights.h"

#include <math.h>

static status find_latents(struct given_latents *g, int channels, int64_t h, int64_t w)
{
    const char *const path = weights_path(g->w);
    char shape[WEIGHT_SHAPE];

    g->at = weights_find(g->w, "latents");
    if (g->at < 0) return fail(ST_FORMAT, "%s: found no tensor `latents`", path);
    const struct weight_info *const info = weights_at(g->w, g->at);
    const struct tensor *const t = &info->t;
    if (!info->usable || t->ndim != 4 || t->dim[0] < 1 || t->dim[1] != channels || t->dim[2] != h ||
        t->dim[3] != w || (t->dtype != DT_F32 && t->dtype != DT_BF16))
        return fail(ST_FORMAT,
                    "%s: latents: found %s %s; allowed: F32 or BF16 [frames, %d, %lld, %lld]", path,
                    info->dtype, weight_shape(info, shape), channels, (long long)h, (long long)w);
    g->frames = t->dim[0];
    g->count = tensor_count(t);
    return ST_OK;
}

status given_latents_open(struct given_latents *out, const char *path, int channels, int64_t h,
                          int64_t w)
{
    *out = (struct given_latents){ .w = NULL };
    TRY(weights_open(&out->w, path, NULL));
    status const st = find_latents(out, channels, h, w);
    if (st != ST_OK) given_latents_close(out);
    return st;
}

void given_latents_close(struct given_latents *g) { weights_close(&g->w); }

status given_latents_read(struct given_latents *g, int64_t frames, float *to)
{
    struct tensor t = weights_at(g->w, g->at)->t;
    int64_t const first = (g->frames - frames) * (g->count / g->frames);
    const void *data;

    TRY(weights_fetch(g->w, g->at, &data));
    t.data = (void *)(uintptr_t)data;
    for (int64_t i = first; i < g->count; i++) {
        to[i - first] = tensor_get(&t, i);
        if (!isfinite(to[i - first]))
            return fail(ST_FORMAT, "%s: latents: number %lld is not finite", weights_path(g->w),
                        (long long)i);
    }
    return ST_OK;
}
