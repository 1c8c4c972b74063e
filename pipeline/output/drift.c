/* drift.c - measures of single pictures, kept as series; figures of a series. */
#include "pipeline/output/drift.h"
#include "kernels/pixels.h"

#include <math.h>
#include <stdlib.h>

const char *drift_name(enum drift_measure m)
{
    static const char *const names[DRIFT_MEASURES] = { "brightness",  "contrast",
                                                       "saturation",  "sharpness",
                                                       "latent mean", "latent deviation" };
    return names[m];
}

static void free_series(struct drift_series *s)
{
    free(s->value);
    *s = (struct drift_series){ 0 };
}

void drift_free(struct drift *d)
{
    for (int m = 0; m < DRIFT_MEASURES; m++) free_series(&d->series[m]);
    free(d->luma);
    *d = (struct drift){ 0 };
}

static status append_value(struct drift_series *s, double v)
{
    if (s->count == s->room) {
        int64_t const room = s->room ? 2 * s->room : 1024;
        double *const more = realloc(s->value, (size_t)room * sizeof *more);
        if (!more) return fail(ST_NOMEM, "drift: %lld values", (long long)room);
        s->value = more;
        s->room = room;
    }
    s->value[s->count++] = v;
    return ST_OK;
}

/* Standard deviation from sums of n whole numbers and of their squares. */
static double deviation_of(double sum, double squares, double n)
{
    double const mean = sum / n;
    return sqrt(fmax(0, squares / n - mean * mean));
}

static double mean_saturation(const uint8_t *rgb8, int64_t pixels)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < pixels; i++) {
        int const r = rgb8[3 * i], g = rgb8[3 * i + 1], b = rgb8[3 * i + 2];
        int const most = r > g ? (r > b ? r : b) : g > b ? g : b;
        int const least = r < g ? (r < b ? r : b) : g < b ? g : b;
        sum += most - least;
    }
    return (double)sum / (255.0 * (double)pixels);
}

/* Variance of the Laplacian where all four neighbours are there; 0 of a smaller picture. */
static double laplacian_variance(const uint8_t *luma, int width, int height)
{
    int64_t sum = 0, squares = 0, n = 0;

    for (int y = 1; y < height - 1; y++)
        for (int x = 1; x < width - 1; x++) {
            const uint8_t *const p = luma + (int64_t)y * width + x;
            int const v = p[-1] + p[1] + p[-width] + p[width] - 4 * p[0];
            sum += v;
            squares += (int64_t)v * v;
            n++;
        }
    if (!n) return 0;
    double const d = deviation_of((double)sum, (double)squares, (double)n) / 255;
    return d * d;
}

status drift_add_picture(struct drift *d, const uint8_t *rgb8, int width, int height)
{
    int64_t const pixels = (int64_t)width * height;
    int64_t sum = 0, squares = 0;

    if (!d->luma) {
        d->luma = malloc((size_t)pixels);
        d->pixels = pixels;
    }
    if (!d->luma) return fail(ST_NOMEM, "drift: a picture of %lld bytes", (long long)pixels);
    if (pixels != d->pixels)
        return fail(ST_ARG, "drift: a picture of %lld pixels after ones of %lld", (long long)pixels,
                    (long long)d->pixels);
    pixels_to_luma8(d->luma, rgb8, pixels);
    for (int64_t i = 0; i < pixels; i++) {
        sum += d->luma[i];
        squares += (int64_t)d->luma[i] * d->luma[i];
    }
    double const value[] = {
        [DRIFT_BRIGHTNESS] = (double)sum / (255.0 * (double)pixels),
        [DRIFT_CONTRAST] = deviation_of((double)sum, (double)squares, (double)pixels) / 255,
        [DRIFT_SATURATION] = mean_saturation(rgb8, pixels),
        [DRIFT_SHARPNESS] = laplacian_variance(d->luma, width, height),
    };
    for (int m = 0; m < COUNT_OF(value); m++) TRY(append_value(&d->series[m], value[m]));
    return ST_OK;
}

status drift_add_latent(struct drift *d, const float *v, int64_t count)
{
    double sum = 0, squares = 0;

    for (int64_t i = 0; i < count; i++) {
        sum += v[i];
        squares += (double)v[i] * v[i];
    }
    TRY(append_value(&d->series[DRIFT_LATENT_MEAN], sum / (double)count));
    return append_value(&d->series[DRIFT_LATENT_DEVIATION],
                        deviation_of(sum, squares, (double)count));
}

static double mean_of(const struct drift_series *s, int64_t from, int64_t to)
{
    double sum = 0;

    for (int64_t i = from; i < to; i++) sum += s->value[i];
    return sum / (double)(to - from);
}

static double mean_of_chunk(const struct drift_series *s, int chunk)
{
    return mean_of(s, s->count * chunk / DRIFT_CHUNKS, s->count * (chunk + 1) / DRIFT_CHUNKS);
}

bool drift_figures(struct drift_figures *out, const struct drift *d, enum drift_measure m,
                   int64_t ends)
{
    const struct drift_series *const s = &d->series[m];
    int64_t const n = ends < 1 ? 1 : ends > s->count / 2 ? s->count / 2 : ends;
    double sum = 0, weights = 0;

    if (s->count < DRIFT_CHUNKS) return false;
    enum drift_measure const of = m == DRIFT_LATENT_MEAN ? DRIFT_LATENT_DEVIATION : m;
    double const begin = mean_of_chunk(s, 0);
    double const scale = fmax(fabs(mean_of_chunk(&d->series[of], 0)), 1e-6);
    for (int i = 1; i < DRIFT_CHUNKS; i++) {
        int const weight = DRIFT_CHUNKS - i;
        sum += weight * fabs(mean_of_chunk(s, i) - begin) / scale;
        weights += weight;
    }
    *out = (struct drift_figures){ .first = mean_of(s, 0, n),
                                   .last = mean_of(s, s->count - n, s->count),
                                   .vde = sum / weights };
    return true;
}
