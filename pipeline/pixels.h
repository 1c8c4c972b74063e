/*
 * pixels.h - pictures as numbers: float RGB to planar YUV and to 8-bit RGB.
 *
 * A picture is float RGB [height, width, 3], values -1 (black) .. 1 (white),
 * already gamma-coded; values outside are clipped. With r, g, b = (v + 1) / 2:
 *
 *   Y  = 0.2126 r + 0.7152 g + 0.0722 b          ITU-R BT.709-6, item 3.2
 *   Cb = (b - Y) / 1.8556    Cr = (r - Y) / 1.5748
 *   y  = (219 Y + 16) 2^(bits-8)                 limited range, BT.709-6, item 4.6
 *   c  = (224 C + 128) 2^(bits-8)
 *
 * computed in float32 and rounded half up, floor(x + 1/2). Every sum is written
 * in one order, so the bytes are the same on every machine.
 *
 * Chroma siting is "left", what H.264 and AV1 players assume: a chroma sample
 * lies on an even luma column, and for 4:2:0 half way between two rows. It is
 * the mean (1 2 1)/4 across and (1 1)/2 down; edge samples are repeated.
 */
#ifndef PIXELS_H
#define PIXELS_H

#include "base/base.h"

enum pix {
    PIX_YUV420P,
    PIX_YUV422P,
    PIX_YUV444P,
    PIX_YUV420P10,
    PIX_YUV422P10,
    PIX_YUV444P10,
    PIX_COUNT
};

struct pix_info {
    const char *name; /* "yuv420p10": as jobs write it */
    int bits;         /* 8: one byte a sample; 10: two, in host order */
    int across, down; /* chroma samples stand for this many columns, rows: 1 or 2 */
};
const struct pix_info *pix_info(enum pix p);
bool pix_from_name(enum pix *out, const char *name);

/* One picture into three planes. Chroma planes have ceil(width / across) columns
 * and ceil(height / down) rows. rgb and planes do not overlap. */
struct pixels_yuv {
    const float *rgb; /* [height, width, 3] */
    int width, height;
    enum pix pix;
    unsigned char *plane[3]; /* Y, Cb, Cr */
    ptrdiff_t stride[3];     /* bytes from row to row */
    float *scratch;          /* PIXELS_SCRATCH * width floats */
};
enum { PIXELS_SCRATCH = 5 };
void pixels_to_yuv(const struct pixels_yuv *job);

/* count floats to bytes, floor(255 (v + 1) / 2 + 1/2). The one rule wherever
 * 8-bit RGB is shown, hashed or measured. */
void pixels_to_rgb8(uint8_t *out, const float *rgb, int64_t count);

/* 8-bit RGB to 8-bit luma 0..255: (54 R + 183 G + 19 B + 128) / 256, rounded
 * down; BT.709's weights in 256ths. */
void pixels_to_luma8(uint8_t *out, const uint8_t *rgb, int64_t pixels);

/* Index of the first NaN or infinity, or -1. */
int64_t pixels_first_bad(const float *v, int64_t count);

#endif /* PIXELS_H */
