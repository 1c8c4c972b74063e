/*
 * drift.h - how what can be said of a clip changes from its beginning to its end, without any
 * pretrained model.
 *
 * Of each picture: brightness (mean luma, 0..1), contrast (its standard deviation), saturation
 * (mean of the largest less the smallest of R, G, B, 0..1), sharpness (variance of luma's Laplacian
 * with 4 neighbours). Of each latent frame: mean and standard deviation of its numbers.
 *
 * A series of one measure in order of time becomes three figures:
 *
 *   first, last   its means over the first and the last `seconds`, less than half of the clip
 *   vde           video drift error of LV-Bench: ten chunks of equal length with the means m_1
 *                 .. m_10, the changes |m_i - m_1| / scale weighted by 10 - i + 1, i from 2 on, and
 *                 divided by the weights' sum: 0.1 stands for a change by a tenth of the scale
 *
 * The scale is m_1, but for latent means, which may be 0, their first deviation.
 */
#ifndef DRIFT_H
#define DRIFT_H

#include "base/base.h"

enum drift_measure {
    DRIFT_BRIGHTNESS,
    DRIFT_CONTRAST,
    DRIFT_SATURATION,
    DRIFT_SHARPNESS,
    DRIFT_LATENT_MEAN,
    DRIFT_LATENT_DEVIATION,
    DRIFT_MEASURES
};
enum { DRIFT_CHUNKS = 10 };

const char *drift_name(enum drift_measure m); /* "brightness", "latent mean" */

/* One measure in order of time. */
struct drift_series {
    double *value;
    int64_t count, room;
};

/* Of pictures: four series, by enum drift_measure. Zero-initialise; drift_free when done. */
struct drift {
    struct drift_series series[DRIFT_MEASURES];
    uint8_t *luma; /* of one picture */
    int64_t pixels;
};
void drift_free(struct drift *d);

/* The next picture, [height, width, 3], of the first one's size. ST_NOMEM. */
status drift_add_picture(struct drift *d, const uint8_t *rgb8, int width, int height) MUST_USE;

/* The next latent frame. ST_NOMEM. */
status drift_add_latent(struct drift *d, const float *v, int64_t count) MUST_USE;

struct drift_figures {
    double first, last, vde;
};

/* False where the series has fewer than DRIFT_CHUNKS values. `ends`: how many values are the first
 * and the last seconds. */
bool drift_figures(struct drift_figures *out, const struct drift *d, enum drift_measure m,
                   int64_t ends);

#endif /* DRIFT_H */
