/*
 * pixels.c - the arithmetic of pixels.h, row by row.
 *
 * This is the definition: kernels on a card come to the same bytes (cuda_plain_pictures.cu), so
 * each sum is written in one order and nothing is contracted. A row becomes scaled Y, Cb and Cr in
 * F32 first; chroma is then averaged down, across, and rounded once. A band has whole rows of
 * chroma, so bands of one picture may be converted by several threads and are put together by
 * their notes alone.
 */
#include "kernels/pixels.h"

#include <string.h>

static const struct pix_info infos[PIX_COUNT] = {
    [PIX_YUV420P] = { "yuv420p", 8, 2, 2 },      [PIX_YUV422P] = { "yuv422p", 8, 2, 1 },
    [PIX_YUV444P] = { "yuv444p", 8, 1, 1 },      [PIX_YUV420P10] = { "yuv420p10", 10, 2, 2 },
    [PIX_YUV422P10] = { "yuv422p10", 10, 2, 1 }, [PIX_YUV444P10] = { "yuv444p10", 10, 1, 1 },
};

const struct pix_info *pix_info(enum pix p) { return &infos[p]; }

bool pix_from_name(enum pix *out, const char *name)
{
    for (int i = 0; i < PIX_COUNT; i++) {
        if (strcmp(infos[i].name, name)) continue;
        *out = (enum pix)i;
        return true;
    }
    return false;
}

/* -1..1 to 0..1; NaN to 0. */
static inline float to_unit(float v)
{
    v = v > -1.0f ? v : -1.0f;
    v = v < 1.0f ? v : 1.0f;
    return v * 0.5f + 0.5f;
}

struct pixels_scale pixels_scale(int bits)
{
    float const scale = (float)(1 << (bits - 8));

    return (struct pixels_scale){ .ky = 219.0f * scale,
                                  .y0 = 16.0f * scale,
                                  .kb = 224.0f * scale / 1.8556f,
                                  .kr = 224.0f * scale / 1.5748f,
                                  .c0 = 128.0f * scale };
}

/* Scaled y, cb, cr of one row, not yet rounded. */
static void row_ycc(const float *restrict rgb, float *restrict y, float *restrict cb,
                    float *restrict cr, int width, int bits)
{
    struct pixels_scale const k = pixels_scale(bits);

    for (int x = 0; x < width; x++) {
        float const r = to_unit(rgb[3 * x]), g = to_unit(rgb[3 * x + 1]),
                    b = to_unit(rgb[3 * x + 2]);
        float const luma = 0.2126f * r + 0.7152f * g + 0.0722f * b;
        y[x] = luma * k.ky + k.y0;
        cb[x] = (b - luma) * k.kb + k.c0;
        cr[x] = (r - luma) * k.kr + k.c0;
    }
}

static void row_mean(float *restrict a, const float *restrict b, int width)
{
    for (int x = 0; x < width; x++) a[x] = (a[x] + b[x]) * 0.5f;
}

/* (1 2 1)/4 around each even column, in place: it only reads ahead of its writing. */
static void row_halve(float *c, int width)
{
    float before = c[0];

    for (int x = 0; x < width; x += 2) {
        float const here = c[x], after = x + 1 < width ? c[x + 1] : here;
        c[x / 2] = ((before + after) + 2.0f * here) * 0.25f;
        before = after;
    }
}

static void row_round8(uint8_t *restrict out, const float *restrict v, int count)
{
    for (int i = 0; i < count; i++) out[i] = (uint8_t)(int)(v[i] + 0.5f);
}

static void row_round16(uint16_t *restrict out, const float *restrict v, int count)
{
    for (int i = 0; i < count; i++) out[i] = (uint16_t)(int)(v[i] + 0.5f);
}

static void row_put(const struct pixels_yuv *j, int plane, int row, const float *v, int count)
{
    unsigned char *const to = j->plane[plane] + row * j->stride[plane];

    if (infos[j->pix].bits == 8) row_round8(to, v, count);
    else row_round16((uint16_t *)(void *)to, v, count);
}

void pixels_to_yuv(const struct pixels_yuv *j)
{
    const struct pix_info *const p = &infos[j->pix];
    int const columns = (j->width + p->across - 1) / p->across;
    float *const y = j->scratch, *const cb = y + j->width, *const cr = cb + j->width;
    float *const below[2] = { cr + j->width, cr + 2 * j->width };

    for (int row = 0; row < j->height; row += p->down) {
        const float *const from = j->rgb + (ptrdiff_t)row * j->width * 3;
        row_ycc(from, y, cb, cr, j->width, p->bits);
        row_put(j, 0, row, y, j->width);
        if (p->down == 2 && row + 1 < j->height) {
            row_ycc(from + (ptrdiff_t)j->width * 3, y, below[0], below[1], j->width, p->bits);
            row_put(j, 0, row + 1, y, j->width);
            row_mean(cb, below[0], j->width);
            row_mean(cr, below[1], j->width);
        }
        if (p->across == 2) {
            row_halve(cb, j->width);
            row_halve(cr, j->width);
        }
        row_put(j, 1, row / p->down, cb, columns);
        row_put(j, 2, row / p->down, cr, columns);
    }
}

void pixels_to_rgb8(uint8_t *restrict out, const float *restrict rgb, int64_t count)
{
    for (int64_t i = 0; i < count; i++) out[i] = (uint8_t)(int)(to_unit(rgb[i]) * 255.0f + 0.5f);
}

void pixels_to_luma8(uint8_t *restrict out, const uint8_t *restrict rgb, int64_t pixels)
{
    for (int64_t i = 0; i < pixels; i++)
        out[i] =
            (uint8_t)((54 * rgb[3 * i] + 183 * rgb[3 * i + 1] + 19 * rgb[3 * i + 2] + 128) >> 8);
}

int64_t pixels_first_bad(const float *v, int64_t count)
{
    enum { STRETCH = 4096 };

    for (int64_t from = 0; from < count; from += STRETCH) {
        int64_t const end = from + STRETCH < count ? from + STRETCH : count;
        int bad = 0;
        for (int64_t i = from; i < end; i++) bad |= !(v[i] - v[i] == 0.0f);
        if (!bad) continue;
        for (int64_t i = from; i < end; i++)
            if (!(v[i] - v[i] == 0.0f)) return i;
    }
    return -1;
}

static int64_t align_bytes(int64_t bytes)
{
    return (bytes + PIXELS_ALIGN - 1) / PIXELS_ALIGN * PIXELS_ALIGN;
}

static int64_t plane_columns(const struct pix_info *p, int plane, int width)
{
    return plane ? (width + p->across - 1) / p->across : width;
}

static int64_t plane_rows(const struct pix_info *p, int plane, int height)
{
    return plane ? (height + p->down - 1) / p->down : height;
}

/* Bytes of a row of a plane. */
static int64_t plane_stride(const struct pix_info *p, int plane, int width)
{
    return plane_columns(p, plane, width) * (p->bits > 8 ? 2 : 1);
}

struct pixels_layout pixels_layout(int width, int height, unsigned formats)
{
    struct pixels_layout l = {
        .width = width, .height = height, .formats = formats, .rgb = PIXELS_ALIGN
    };

    l.bytes = l.rgb + align_bytes((int64_t)width * height * 3);
    for (int p = 0; p < PIX_COUNT; p++)
        for (int i = 0; i < 3 && formats >> p & 1; i++) {
            l.plane[p][i] = l.bytes;
            l.bytes +=
                align_bytes(plane_stride(&infos[p], i, width) * plane_rows(&infos[p], i, height));
        }
    return l;
}

static void band_yuv(const struct pixels_band *b, enum pix pix)
{
    const struct pixels_layout *const l = b->layout;
    const struct pix_info *const p = &infos[pix];
    struct pixels_yuv job = { .rgb = b->rgb + (ptrdiff_t)b->first * l->width * 3,
                              .width = l->width,
                              .height = b->end - b->first,
                              .pix = pix,
                              .scratch = b->scratch };

    for (int i = 0; i < 3; i++) {
        int64_t const stride = plane_stride(p, i, l->width);
        job.stride[i] = (ptrdiff_t)stride;
        job.plane[i] = b->out + l->plane[pix][i] + stride * (i ? b->first / p->down : b->first);
    }
    pixels_to_yuv(&job);
}

static uint64_t flaw_note(float v, int64_t index)
{
    int const kind = !(v == v) ? PIXELS_NAN : v > 0 ? PIXELS_INF : PIXELS_MINUS_INF;
    return 4 * (uint64_t)index + (uint64_t)kind;
}

uint64_t pixels_band(const struct pixels_band *b)
{
    const struct pixels_layout *const l = b->layout;
    int64_t const from = (int64_t)b->first * l->width * 3;
    int64_t const count = (int64_t)(b->end - b->first) * l->width * 3;
    int64_t const bad = pixels_first_bad(b->rgb + from, count);

    pixels_to_rgb8(b->out + l->rgb + from, b->rgb + from, count);
    for (int p = 0; p < PIX_COUNT; p++)
        if (l->formats >> p & 1) band_yuv(b, (enum pix)p);
    return bad < 0 ? PIXELS_FINITE : flaw_note(b->rgb[from + bad], from + bad);
}

void pixels_note(unsigned char *picture, uint64_t note) { memcpy(picture, &note, sizeof note); }

void pixels_picture(const struct pixels_band *b)
{
    struct pixels_band all = *b;

    all.first = 0;
    all.end = b->layout->height;
    pixels_note(b->out, pixels_band(&all));
}

bool pixels_flaw(struct pixels_flaw *out, const unsigned char *picture)
{
    static const char *const values[] = {
        [PIXELS_NAN] = "nan", [PIXELS_INF] = "inf", [PIXELS_MINUS_INF] = "-inf"
    };
    uint64_t note;

    memcpy(&note, picture, sizeof note);
    if (note == PIXELS_FINITE) return false;
    *out = (struct pixels_flaw){ .index = (int64_t)(note / 4), .value = values[note % 4] };
    return true;
}
