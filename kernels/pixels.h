/*
 * pixels.h - pictures as numbers: float RGB to planar YUV and to 8-bit RGB. What the
 * operation `pictures` (kern.h) must come to, to the bit, on every backend.
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

/* What a unit of Y and C is in samples of so many bits, and what they begin at:
 * y = Y ky + y0, cb = (b - Y) kb + c0, cr = (r - Y) kr + c0. */
struct pixels_scale {
    float ky, y0, kb, kr, c0;
};
struct pixels_scale pixels_scale(int bits);

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

/*
 * A picture as bytes, all that is wanted of it in one piece:
 *
 *   note    of its first value that is not finite, if there is one
 *   rgb     8-bit RGB, [height, width, 3]
 *   planes  Y, Cb, Cr of each pixel format of a set, in the order of enum pix; samples as
 *           pix_info says, rows without padding
 *
 * Each begins at a multiple of PIXELS_ALIGN. What lies between is nobody's; where both sides
 * are multiples of 8, nothing does. A set has bit 1 << p for each pix p.
 */
enum { PIXELS_ALIGN = 8, PIXELS_SIDE = 1 << 15 };
struct pixels_layout {
    int width, height; /* 1..PIXELS_SIDE */
    unsigned formats;
    int64_t rgb, plane[PIX_COUNT][3]; /* bytes from the picture's begin; 0: not of the set */
    int64_t bytes;                    /* of all of it, a multiple of PIXELS_ALIGN */
};
struct pixels_layout pixels_layout(int width, int height, unsigned formats);

/* Rows of a picture, to their places in its bytes; what the note would be of them alone. */
struct pixels_band {
    const float *rgb; /* [height, width, 3]: all of the picture */
    const struct pixels_layout *layout;
    int first, end;     /* rows; both even, or the height */
    unsigned char *out; /* [layout->bytes], aligned: all of the picture */
    float *scratch;     /* PIXELS_SCRATCH * width floats */
};
uint64_t pixels_band(const struct pixels_band *b);

/* All of a picture, with its note; first and end are not read. */
void pixels_picture(const struct pixels_band *b);

/* A note is 4 * index + kind, so that the least of several bands' is the picture's. */
#define PIXELS_FINITE UINT64_MAX /* all values are */
enum { PIXELS_NAN, PIXELS_INF, PIXELS_MINUS_INF };
void pixels_note(unsigned char *picture, uint64_t note);
struct pixels_flaw {
    int64_t index;     /* in [height, width, 3] */
    const char *value; /* "nan", "inf", "-inf" */
};
bool pixels_flaw(struct pixels_flaw *out, const unsigned char *picture); /* false: there is none */

/* Several, one behind the other. */
struct pictures {
    const unsigned char *at; /* [count, bytes of the set's layout] */
    int count;
    unsigned formats;
};

#endif /* PIXELS_H */
