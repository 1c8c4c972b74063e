/* dit_time.c - the time network, run once: what it says of each level is constant. */
#include "pipeline/dit/dit_internal.h"

#include <math.h>
#include <stdlib.h>

/* Row k: cos(t_k f_i) for i < half, then sin; f_i = 10000^(-i/half), in f64. */
static void fill_sinusoid(float *out, const struct schedule *schedule, int levels, int freq_dim)
{
    int const half = freq_dim / 2;

    for (int k = 0; k < levels; k++) {
        double const t = k < schedule->entries ? (double)schedule->timestep[k] : 0.0;
        for (int i = 0; i < half; i++) {
            double const angle = t * pow(10000.0, -(double)i / half);
            out[k * freq_dim + i] = (float)cos(angle);
            out[k * freq_dim + half + i] = (float)sin(angle);
        }
    }
}

/* The network's small tensors, in memory of the backend. */
struct time_run {
    struct tensor wave;   /* [levels, freq_dim] */
    struct tensor hidden; /* [levels, d] */
    struct tensor e, se;  /* [levels, d]: e, SiLU(e) */
    struct tensor e0;     /* [levels, 6*d] */
};

static status place_time_run(struct time_run *r, const struct dit *d, struct arena *a)
{
    int64_t const n = d->levels, dim = d->shape.dim;

    TRY(tensor_place(&r->wave, a, DT_F32, DIMS(n, d->shape.freq_dim)));
    TRY(tensor_place(&r->hidden, a, DT_F32, DIMS(n, dim)));
    TRY(tensor_place(&r->e, a, DT_F32, DIMS(n, dim)));
    TRY(tensor_place(&r->se, a, DT_F32, DIMS(n, dim)));
    return tensor_place(&r->e0, a, DT_F32, DIMS(n, DIT_MODS * dim));
}

static status run_time_network(struct time_run *r, const struct dit_time *t, struct kern_ctx *ctx)
{
    TRY(dit_linear(ctx, &t->in, &r->wave, &r->hidden, KERN_ACT_SILU));
    TRY(dit_linear(ctx, &t->out, &r->hidden, &r->e, KERN_ACT_NONE));
    TRY(dit_linear(ctx, &t->out, &r->hidden, &r->se, KERN_ACT_SILU));
    return dit_linear(ctx, &t->project, &r->se, &r->e0, KERN_ACT_NONE);
}

/* out[which, level] = modulation + time part, with 1 added to the scales. Host memory. */
static void add_layer_modulation(const struct dit *d, float *out, const float *modulation,
                                 const float *e0)
{
    int64_t const dim = d->shape.dim;

    for (int which = 0; which < DIT_MODS; which++, modulation += dim) {
        float const one = which == DIT_SCALE1 || which == DIT_SCALE2 ? 1.0f : 0.0f;
        for (int level = 0; level < d->levels; level++, out += dim) {
            const float *const e = e0 + ((int64_t)level * DIT_MODS + which) * dim;
            for (int64_t i = 0; i < dim; i++) out[i] = one + (modulation[i] + e[i]);
        }
    }
}

static void add_head_modulation(const struct dit *d, float *out, const float *modulation,
                                const float *e)
{
    int64_t const dim = d->shape.dim;

    for (int level = 0; level < d->levels; level++)
        for (int64_t i = 0; i < dim; i++) {
            out[level * dim + i] = modulation[i] + e[level * dim + i];
            out[(d->levels + level) * dim + i] = 1.0f + (modulation[dim + i] + e[level * dim + i]);
        }
}

static status combine_modulation(struct dit *d, const struct time_run *r)
{
    const struct kern_backend *const b = d->ctx->backend;
    int64_t const row = (int64_t)d->levels * DIT_MODS * d->shape.dim;
    float *const time = malloc((size_t)row * sizeof *time);
    float *const file = malloc((size_t)DIT_MODS * (size_t)d->shape.dim * sizeof *file);
    float *const sum = malloc((size_t)row * sizeof *sum);
    status st = ST_OK;

    if (!time || !file || !sum)
        FAIL_OUT(ST_NOMEM, "no memory for modulation of %d levels", d->levels);
    TRY_OUT(b->download(d->ctx, time, &r->e0));
    for (int l = 0; l < d->shape.layers; l++) {
        struct tensor const to =
            tensor_slice(&d->layer_mod, (int64_t)l * d->levels * DIT_MODS, d->levels * DIT_MODS);
        TRY_OUT(b->download(d->ctx, file, &d->layer[l].modulation));
        TRY_OUT(b->sync(d->ctx));
        add_layer_modulation(d, sum, file, time);
        TRY_OUT(b->upload(d->ctx, &to, sum));
        TRY_OUT(b->sync(d->ctx));
    }
    TRY_OUT(b->download(d->ctx, time, &r->e));
    TRY_OUT(b->download(d->ctx, file, &d->head_modulation));
    TRY_OUT(b->sync(d->ctx));
    add_head_modulation(d, sum, file, time);
    TRY_OUT(b->upload(d->ctx, &d->head_mod, sum));
    TRY_OUT(b->sync(d->ctx));
out:
    free(time);
    free(file);
    free(sum);
    return st;
}

status dit_modulate(struct dit *d, const struct dit_time *t, const struct schedule *schedule)
{
    const struct kern_backend *const b = d->ctx->backend;
    struct time_run r;
    struct arena a;
    void *memory = NULL;
    float *wave = NULL;
    status st = ST_OK;

    arena_measure(&a, "time network");
    TRY_OUT(place_time_run(&r, d, &a));
    TRY_OUT(b->alloc(d->ctx, a.used, &memory));
    arena_over(&a, "time network", memory, a.used);
    TRY_OUT(place_time_run(&r, d, &a));

    wave = malloc(tensor_bytes(&r.wave));
    if (!wave) FAIL_OUT(ST_NOMEM, "no memory for time sinusoid");
    fill_sinusoid(wave, schedule, d->levels, d->shape.freq_dim);
    TRY_OUT(b->upload(d->ctx, &r.wave, wave));
    TRY_OUT(run_time_network(&r, t, d->ctx));
    TRY_OUT(combine_modulation(d, &r));
out:
    free(wave);
    if (memory) b->free(d->ctx, memory);
    return st;
}
