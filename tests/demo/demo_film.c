/*
 * demo_film.c - what the demo model's pictures show, judged by the palette of its world alone
 * (docs/demo-model.md).
 *
 *   demo_film see COLOUR GROUND COUNT <pictures    exit 0 if the film shows what its prompt says
 *   demo_film psnr A B                             of two files of pictures, in dB
 *   demo_film blank IN OUT                         a checkpoint with all its weights zero
 *
 * Pictures are SIDE x SIDE x 3 bytes each, RGB. Ground and light of a picture are the pair that
 * explains most of its pixels; what that pair does not explain is the object, if it is near one of
 * the colours at some brightness. The figures are those of tools/train/detector.py.
 */
#include "pipeline/weights/tensor_file.h"
#include "pipeline/weights/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 96, PIXELS = SIDE * SIDE, PICTURE = PIXELS * 3, STRIDE = 4, FPS = 16 };

static const double near_ground = 0.09; /* RGB distance from what explains a pixel */
static const double far_ground = 0.16;  /* a pixel farther than this from the ground is no ground */
static const double least_share = 0.012; /* of the picture that an object has at least */

struct colour {
    const char *name;
    double rgb[3];
};
static const struct colour colours[] = {
    { "red", { 0.86, 0.13, 0.13 } },    { "green", { 0.12, 0.68, 0.22 } },
    { "blue", { 0.15, 0.28, 0.88 } },   { "yellow", { 0.96, 0.84, 0.12 } },
    { "orange", { 0.96, 0.50, 0.06 } }, { "purple", { 0.55, 0.20, 0.75 } },
    { "white", { 0.95, 0.95, 0.95 } },  { "cyan", { 0.15, 0.80, 0.85 } },
};
static const struct ground {
    const char *name;
    double one[3], two[3];
} grounds[] = {
    { "sand", { 0.86, 0.76, 0.55 }, { 0.72, 0.60, 0.42 } },
    { "grass", { 0.42, 0.62, 0.30 }, { 0.30, 0.48, 0.22 } },
    { "brick", { 0.62, 0.38, 0.32 }, { 0.48, 0.28, 0.24 } },
    { "slate", { 0.42, 0.46, 0.52 }, { 0.30, 0.33, 0.38 } },
    { "snow", { 0.90, 0.92, 0.95 }, { 0.74, 0.80, 0.88 } },
};
static const double lights[][3] = { { 1, 1, 1 }, { 0.42, 0.46, 0.66 } }; /* day, night */

struct sight {
    const char *ground, *colour; /* colour NULL: no object */
    double x, y;                 /* of its middle, pixels */
};

/* Distance of a pixel from the line between two colours under a light. */
static double distance(const uint8_t *pixel, const double *one, const double *two,
                       const double *light, double dim_one, double dim_two)
{
    double along = 0, length = 0, off = 0;

    for (int c = 0; c < 3; c++) {
        double const a = one[c] * light[c] * dim_one, d = two[c] * light[c] * dim_two - a;
        along += (pixel[c] / 255.0 - a) * d;
        length += d * d;
    }
    double const t = fmin(1, fmax(0, along / length));
    for (int c = 0; c < 3; c++) {
        double const a = one[c] * light[c] * dim_one, d = two[c] * light[c] * dim_two - a;
        double const e = pixel[c] / 255.0 - a - t * d;
        off += e * e;
    }
    return sqrt(off);
}

/* The pair of ground and light that explains most pixels. */
static void find_ground(const uint8_t *picture, const struct ground **ground, const double **light)
{
    int best = -1;

    for (int g = 0; g < COUNT_OF(grounds); g++)
        for (int l = 0; l < COUNT_OF(lights); l++) {
            int count = 0;
            for (int i = 0; i < PIXELS; i++)
                count += distance(picture + 3 * i, grounds[g].one, grounds[g].two, lights[l], 1,
                                  1) < near_ground;
            if (count <= best) continue;
            best = count;
            *ground = &grounds[g];
            *light = lights[l];
        }
}

/* Index of the colour that a pixel off the ground is nearest to, or -1. */
static int find_colour(const uint8_t *pixel, const double *light)
{
    double least = far_ground;
    int found = -1;

    for (int k = 0; k < COUNT_OF(colours); k++) {
        double const d = distance(pixel, colours[k].rgb, colours[k].rgb, light, 0.45, 1.1);
        if (!(d < least)) continue;
        least = d;
        found = k;
    }
    return found;
}

static struct sight look_at(const uint8_t *picture)
{
    const struct ground *ground = NULL;
    const double *light = NULL;
    double x[COUNT_OF(colours)] = { 0 }, y[COUNT_OF(colours)] = { 0 };
    int votes[COUNT_OF(colours)] = { 0 }, best = 0;

    find_ground(picture, &ground, &light);
    for (int i = 0; i < PIXELS; i++) {
        const uint8_t *const p = picture + 3 * i;
        if (!(distance(p, ground->one, ground->two, light, 1, 1) > far_ground)) continue;
        int const k = find_colour(p, light);
        if (k < 0) continue;
        votes[k]++;
        x[k] += i % SIDE + 0.5;
        y[k] += i / SIDE + 0.5;
    }
    for (int k = 1; k < COUNT_OF(colours); k++)
        if (votes[k] > votes[best]) best = k;
    if (votes[best] < least_share * PIXELS) return (struct sight){ .ground = ground->name };
    return (struct sight){ ground->name, colours[best].name, x[best] / votes[best],
                           y[best] / votes[best] };
}

/* ---- the verbs ---------------------------------------------------------------------- */

/* Colour in at least half and ground in nearly all of the pictures looked at, an object that
 * moves: its way in short sides a second. A still's is 0. */
static int see(const char *colour, const char *ground, int count)
{
    uint8_t picture[PICTURE];
    int looked = 0, right_colour = 0, right_ground = 0, steps = 0, pictures = 0;
    struct sight before = { 0 };
    double way = 0;

    for (; fread(picture, PICTURE, 1, stdin) == 1; pictures++) {
        if (pictures % STRIDE) continue;
        struct sight const s = look_at(picture);
        bool const right = s.colour && !strcmp(s.colour, colour);
        looked++;
        right_ground += !strcmp(s.ground, ground);
        right_colour += right;
        if (right && before.colour && !strcmp(before.colour, colour)) {
            way += hypot(s.x - before.x, s.y - before.y);
            steps++;
        }
        before = s;
    }
    double const n = looked ? looked : 1;
    double const motion = steps ? way / steps * FPS / STRIDE / SIDE : 0;
    printf("%d pictures: colour %.3f ground %.3f motion %.3f\n", pictures, right_colour / n,
           right_ground / n, motion);
    return pictures == count && right_colour / n >= 0.5 && right_ground / n >= 0.9 && motion > 0.02
               ? 0
               : 1;
}

static int print_psnr(const char *a, const char *b)
{
    FILE *const f = fopen(a, "rb"), *const g = fopen(b, "rb");
    uint8_t x[PICTURE], y[PICTURE];
    double sum = 0, n = 0;

    if (!f || !g) return 2;
    while (fread(x, PICTURE, 1, f) == 1) {
        if (fread(y, PICTURE, 1, g) != 1) return 2;
        for (int i = 0; i < PICTURE; i++) sum += (double)(x[i] - y[i]) * (x[i] - y[i]);
        n += PICTURE;
    }
    if (!n || fread(y, 1, 1, g)) return 2;
    fclose(f);
    fclose(g);
    printf("%.2f\n", sum > 0 ? 10 * log10(255.0 * 255.0 * n / sum) : 99.0);
    return 0;
}

static status write_blank(const char *from, const char *to)
{
    struct weights *w = NULL;
    struct tensor_file_item *item = NULL;
    status st = ST_OK;

    TRY_OUT(weights_open(&w, from, NULL));
    int const n = weights_count(w);
    item = calloc((size_t)n + 1, sizeof *item);
    if (!item) FAIL_OUT(ST_NOMEM, "%d tensors", n);
    for (int i = 0; i < n; i++) {
        item[i] = (struct tensor_file_item){ weights_at(w, i)->name, weights_at(w, i)->t };
        item[i].t.data = calloc(1, weights_at(w, i)->bytes + 1);
        if (!item[i].t.data) FAIL_OUT(ST_NOMEM, "%s", item[i].name);
    }
    TRY_OUT(tensor_file_write(to, item, n));
out:
    for (int i = 0; item && i < weights_count(w); i++) free(item[i].t.data);
    free(item);
    weights_close(&w);
    return st;
}

int main(int argc, char **argv)
{
    const char *const verb = argc > 1 ? argv[1] : "";

    if (!strcmp(verb, "see") && argc == 5) return see(argv[2], argv[3], atoi(argv[4]));
    if (!strcmp(verb, "psnr") && argc == 4) return print_psnr(argv[2], argv[3]);
    if (!strcmp(verb, "blank") && argc == 4) {
        if (write_blank(argv[2], argv[3]) == ST_OK) return 0;
        fprintf(stderr, "%s\n", error_last()->msg);
        return 1;
    }
    fprintf(stderr, "demo_film: see COLOUR GROUND COUNT | psnr A B | blank IN OUT\n");
    return 2;
}
