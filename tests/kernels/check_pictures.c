/* check_pictures.c - pictures to bytes: every format, odd sizes, values that are none. */
#include "kernels/kern_internal.h"
#include "tests/kernels/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- in other words ------------------------------------------------------- */

struct source {
    const float *rgb;
    int width, height;
    struct pixels_scale scale;
};

static float closed_unit(float v) { return fmaxf(-1.0f, fminf(v, 1.0f)) * 0.5f + 0.5f; }

/* Sample of a plane at a pixel, 0: Y, 1: Cb, 2: Cr; beyond an edge is the edge. */
static float plane_sample(const struct source *s, int plane, int x, int y)
{
    int const column = x < 0 ? 0 : x < s->width ? x : s->width - 1;
    int const row = y < s->height ? y : s->height - 1;
    const float *const at = s->rgb + ((ptrdiff_t)row * s->width + column) * 3;
    float const r = isnan(at[0]) ? 0 : closed_unit(at[0]),
                g = isnan(at[1]) ? 0 : closed_unit(at[1]);
    float const b = isnan(at[2]) ? 0 : closed_unit(at[2]);
    float const luma = 0.2126f * r + 0.7152f * g + 0.0722f * b;

    if (plane == 0) return luma * s->scale.ky + s->scale.y0;
    return plane == 1 ? (b - luma) * s->scale.kb + s->scale.c0
                      : (r - luma) * s->scale.kr + s->scale.c0;
}

static float chroma_column(const struct source *s, const struct pix_info *p, int plane, int x,
                           int y)
{
    float const here = plane_sample(s, plane, x, y * p->down);
    return p->down == 1 ? here : (here + plane_sample(s, plane, x, y * p->down + 1)) * 0.5f;
}

static float chroma(const struct source *s, const struct pix_info *p, int plane, int x, int y)
{
    float const here = chroma_column(s, p, plane, x * p->across, y);

    if (p->across == 1) return here;
    float const before = chroma_column(s, p, plane, 2 * x - 1, y);
    float const after = chroma_column(s, p, plane, 2 * x + 1, y);
    return ((before + after) + 2.0f * here) * 0.25f;
}

static void closed_plane(const struct source *s, const struct pix_info *p, int plane,
                         unsigned char *to)
{
    int const across = plane ? p->across : 1, down = plane ? p->down : 1;

    for (int y = 0; y * down < s->height; y++)
        for (int x = 0; x * across < s->width; x++) {
            float const v = plane ? chroma(s, p, plane, x, y) : plane_sample(s, 0, x, y);
            unsigned const rounded = (unsigned)floorf(v + 0.5f);
            *to++ = (unsigned char)rounded;
            if (p->bits > 8) *to++ = (unsigned char)(rounded >> 8); /* low first */
        }
}

static uint64_t closed_note(const float *v, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (isnan(v[i])) return 4 * (uint64_t)i + PIXELS_NAN;
        if (isinf(v[i])) return 4 * (uint64_t)i + (v[i] < 0 ? PIXELS_MINUS_INF : PIXELS_INF);
    }
    return PIXELS_FINITE;
}

status closed_pictures(struct kern_ctx *ctx, const struct kern_pictures *a)
{
    (void)ctx;
    TRY(kern_check_pictures(a));
    struct pixels_layout const l = kern_pictures_layout(a);
    int64_t const values = (int64_t)l.width * l.height * 3;

    for (int64_t i = 0; i < a->pixels->dim[0]; i++) {
        unsigned char *const out = (unsigned char *)a->out->data + i * l.bytes;
        struct source s = { .rgb = (const float *)a->pixels->data + i * values,
                            .width = l.width,
                            .height = l.height };
        uint64_t const note = closed_note(s.rgb, values);
        memcpy(out, &note, sizeof note);
        for (int64_t k = 0; k < values; k++)
            out[l.rgb + k] =
                isnan(s.rgb[k]) ? 0 : (unsigned char)floorf(closed_unit(s.rgb[k]) * 255.0f + 0.5f);
        for (int p = 0; p < PIX_COUNT; p++)
            for (int plane = 0; plane < 3 && l.formats >> p & 1; plane++) {
                s.scale = pixels_scale(pix_info((enum pix)p)->bits);
                closed_plane(&s, pix_info((enum pix)p), plane, out + l.plane[p][plane]);
            }
    }
    return ST_OK;
}

/* ---- cases ------------------------------------------------------------------ */

/* Values that are none, of each kind, and the ends of the scale. No note: the clip is sound. */
static void plant_value(struct check *k, struct operand *o, bool flaws)
{
    static const float ends[] = { -1, 1, -1.0000001f, 1.0000001f, 0, -0.0f, 1e-45f, 3e38f };
    static const float none[] = { -INFINITY, NAN, INFINITY, -NAN };
    struct tensor v = values(o);
    int64_t const count = tensor_count(&v);

    for (int64_t i = 0; i < COUNT_OF(ends) && i < count; i++) tensor_put(&v, i, ends[i]);
    for (int64_t i = 0; flaws && i < COUNT_OF(none) && i < count; i++) {
        tensor_put(&v, count * (i + 1) / 6, none[i]);
        tensor_put(&v, count - 1, INFINITY); /* of the last picture */
    }
    refill(k, o, &v);
    free(v.data);
}

static void check_set(struct check *k, const int64_t d[3], unsigned formats, bool flaws)
{
    int64_t const bytes = pixels_layout((int)d[2], (int)d[1], formats).bytes;

    case_begin(k, "%lld of %lld x %lld, formats %#x%s", (long long)d[0], (long long)d[2],
               (long long)d[1], formats, flaws ? ", not finite" : "");
    struct operand *const pixels = input(k, DT_F32, DIMS(d[0], d[1], d[2], 3));
    struct operand *const out = output(k, DT_U8, DIMS(d[0], bytes));

    plant_value(k, pixels, flaws);
    for (int s = 0; s < SIDES; s++) {
        struct tensor wrong = *at(out, s);
        wrong.dim[1]++;
        struct kern_pictures args = { .pixels = at(pixels, s), .formats = formats, .out = &wrong };
        refused(k, s, k->backend[s]->ops.pictures(k->ctx[s], &args));
        args.out = at(out, s);
        ran(k, s, k->backend[s]->ops.pictures(k->ctx[s], &args));
    }
    case_end(k);
}

void check_pictures(struct check *k)
{
    static const int64_t sizes[][3] = {
        { 1, 1, 1 },   { 2, 2, 2 },  { 3, 5, 7 },     { 0, 4, 4 },     { 2, 16, 16 },
        { 1, 18, 33 }, { 2, 3, 64 }, { 1, 301, 203 }, { 2, 480, 832 }, /* the model's */
    };
    unsigned const all = (1u << PIX_COUNT) - 1;
    int const count = COUNT_OF(sizes) - k->small;

    for (int i = 0; i < count; i++)
        for (int flaws = 0; flaws < 2; flaws++) {
            bool const large = sizes[i][1] > 64;
            check_set(k, sizes[i], all, flaws);
            check_set(k, sizes[i], 0, flaws);
            for (int p = 0; p < PIX_COUNT && !large; p++) check_set(k, sizes[i], 1u << p, flaws);
        }
}
