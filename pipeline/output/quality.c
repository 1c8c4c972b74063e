/* quality.c - a clip's brightness, motion, black and frozen frames, from its 8-bit luma. */
#include "pipeline/output/quality.h"
#include "kernels/pixels.h"

#include <stdlib.h>
#include <string.h>

status quality_init(struct quality *q, int64_t pixels)
{
    *q = (struct quality){ .pixels = pixels, .luma_min = 255 };
    q->luma = malloc((size_t)pixels);
    q->before = malloc((size_t)pixels);
    if (q->luma && q->before) return ST_OK;
    quality_free(q);
    return fail(ST_NOMEM, "quality: no memory for two pictures of %lld bytes", (long long)pixels);
}

void quality_free(struct quality *q)
{
    free(q->luma);
    free(q->before);
    *q = (struct quality){ 0 };
}

/* Sum of |a - b| over n bytes. */
static int64_t sum_difference(const uint8_t *a, const uint8_t *b, int64_t n)
{
    int64_t sum = 0;

    for (int64_t i = 0; i < n; i++) sum += a[i] > b[i] ? a[i] - b[i] : b[i] - a[i];
    return sum;
}

void quality_add(struct quality *q, const uint8_t *rgb8)
{
    uint8_t *const last = q->luma;
    int64_t dark = 0;

    q->luma = q->before;
    q->before = last;
    pixels_to_luma8(q->luma, rgb8, q->pixels);
    for (int64_t i = 0; i < q->pixels; i++) {
        int const v = q->luma[i];
        q->luma_sum += v;
        dark += v * 10 < 255;
        q->luma_min = v < q->luma_min ? v : q->luma_min;
        q->luma_max = v > q->luma_max ? v : q->luma_max;
    }
    q->black += dark * 100 >= q->pixels * 98;
    if (q->frames++) {
        int64_t const moved = sum_difference(q->luma, q->before, q->pixels);
        q->motion_sum += moved;
        q->frozen += moved * 1000 < q->pixels * 255;
    }
}

/* In front of the last picture's luma. */
struct quality_head {
    int64_t frames, black, frozen, luma_min, luma_max, luma_sum, motion_sum;
};

void quality_save(const struct quality *q, struct strbuf *to)
{
    struct quality_head const head = { q->frames,   q->black,    q->frozen,    q->luma_min,
                                       q->luma_max, q->luma_sum, q->motion_sum };

    strbuf_add(to, (const char *)&head, sizeof head);
    strbuf_add(to, (const char *)q->luma, (size_t)q->pixels);
}

status quality_load(struct quality *q, const void *bytes, size_t len)
{
    struct quality_head h;

    if (len != sizeof h + (size_t)q->pixels)
        return fail(ST_FORMAT, "quality: %zu bytes of counts and a picture of %lld", len,
                    (long long)q->pixels);
    memcpy(&h, bytes, sizeof h);
    if (h.frames < 1 || h.luma_min < 0 || h.luma_max > 255 || h.luma_min > h.luma_max)
        return fail(ST_FORMAT, "quality: counts of %lld frames", (long long)h.frames);
    memcpy(q->luma, (const char *)bytes + sizeof h, (size_t)q->pixels);
    q->frames = h.frames;
    q->black = h.black;
    q->frozen = h.frozen;
    q->luma_min = (int)h.luma_min;
    q->luma_max = (int)h.luma_max;
    q->luma_sum = h.luma_sum;
    q->motion_sum = h.motion_sum;
    return ST_OK;
}

static double mean_level(int64_t sum, int64_t frames, int64_t pixels)
{
    return frames > 0 && pixels > 0 ? (double)sum / (255.0 * (double)frames * (double)pixels) : 0.0;
}

double quality_luma_mean(const struct quality *q)
{
    return mean_level(q->luma_sum, q->frames, q->pixels);
}

double quality_motion_mean(const struct quality *q)
{
    return mean_level(q->motion_sum, q->frames - 1, q->pixels);
}
