/*
 * quality.h - what can be said of a clip's pictures as they pass by.
 *
 * Luma is that of pixels_to_luma8, shown as 0..1. Sums are of integers, so the
 * figures do not depend on the machine. One picture is kept, to compare the
 * next one with; nothing else grows with the clip.
 */
#ifndef QUALITY_H
#define QUALITY_H

#include "base/strbuf.h"

struct quality {
    int64_t frames;
    int64_t black;  /* frames with at least 98 % of the pixels below luma 0.1 */
    int64_t frozen; /* frames whose mean |luma difference| to the one before is below 0.001 */
    int luma_min, luma_max; /* 0..255, over all pixels */
    int64_t luma_sum;       /* over all pixels */
    int64_t motion_sum;     /* |luma difference|, over all pixels but the first frame's */
    int64_t pixels;         /* of one frame */
    uint8_t *luma, *before; /* [pixels] */
};

/* ST_NOMEM. quality_free when done; safe on a zeroed one. */
status quality_init(struct quality *q, int64_t pixels) MUST_USE;
void quality_add(struct quality *q, const uint8_t *rgb8); /* [pixels, 3] */
void quality_free(struct quality *q);

/* The counts and the last picture as bytes, and counts of the same size that go on from them.
 * ST_FORMAT if they are of another size. */
void quality_save(const struct quality *q, struct strbuf *to);
status quality_load(struct quality *q, const void *bytes, size_t len) MUST_USE;

/* 0..1; 0 while there is nothing to average. */
double quality_luma_mean(const struct quality *q);
double quality_motion_mean(const struct quality *q);

#endif /* QUALITY_H */
