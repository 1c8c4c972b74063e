/* kern_cpu_pictures.c - pictures to bytes, in bands of rows. */
#include "kernels/cpu/cpu_internal.h"

enum { BAND_NUMBERS = 1 << 15 }; /* enough to be worth handing out */

struct pictures_call {
    const struct cpu_ctx *c;
    const struct kern_pictures *a;
    struct pixels_layout layout;
    int rows;       /* of a band: even */
    int64_t bands;  /* of a picture */
    uint64_t *note; /* [pictures * bands] */
};

static unsigned char *picture_bytes(const struct pictures_call *j, int64_t i)
{
    return (unsigned char *)j->a->out->data + i * j->layout.bytes;
}

static status convert_band(void *arg, int64_t task, int worker)
{
    const struct pictures_call *const j = arg;
    const struct pixels_layout *const l = &j->layout;
    int64_t const i = task / j->bands;
    int const first = (int)(task % j->bands) * j->rows, left = l->height - first;

    j->note[task] = pixels_band(&(struct pixels_band){
        .rgb = (const float *)j->a->pixels->data + i * l->height * l->width * 3,
        .layout = l,
        .first = first,
        .end = first + (left < j->rows ? left : j->rows),
        .out = picture_bytes(j, i),
        .scratch = j->c->scratch[worker],
    });
    return ST_OK;
}

static uint64_t first_note(const uint64_t *note, int64_t count)
{
    uint64_t first = PIXELS_FINITE;

    for (int64_t i = 0; i < count; i++) first = note[i] < first ? note[i] : first;
    return first;
}

status cpu_pictures(struct kern_ctx *ctx, const struct kern_pictures *a)
{
    struct cpu_ctx *const c = (struct cpu_ctx *)ctx;

    TRY(kern_check_pictures(a));
    struct pictures_call j = { .c = c, .a = a, .layout = kern_pictures_layout(a) };
    int64_t const pictures = a->pixels->dim[0];

    j.rows = 2 * (1 + BAND_NUMBERS / (6 * j.layout.width));
    j.bands = (j.layout.height + j.rows - 1) / j.rows;
    TRY(cpu_scratch(c, (size_t)j.layout.width * PIXELS_SCRATCH * sizeof(float)));
    TRY(cpu_shared(c, (size_t)(pictures * j.bands) * sizeof *j.note));
    j.note = c->shared;
    TRY(pool_run(c->pool, pictures * j.bands, convert_band, &j));
    for (int64_t i = 0; i < pictures; i++)
        pixels_note(picture_bytes(&j, i), first_note(j.note + i * j.bands, j.bands));
    return ST_OK;
}
