/* vae_clip.c - recorded cases as rows of floats, and a backend that fills all memory with NaN: what
 * the autoencoder reads before it was written shows in its output. */
#include "tests/support/unit.h"

#include "base/file.h"
#include "base/strbuf.h"
#include "pipeline/weights/weights.h"
#include "tests/support/vae_clip.h"
#include <math.h>

int64_t latent_count(const struct clip *c) { return VAE_CHANNELS * c->h * c->w; }
int64_t picture_count(const struct clip *c) { return 3 * VAE_SCALE * VAE_SCALE * c->h * c->w; }

/* A tensor of a safetensors file; caller frees. */
static float *fetch(const char *dir, const char *file, const char *name, struct tensor *shape)
{
    char *const path = path_join(dir, file);
    struct weights *w;
    const void *data;

    assert_int_equal(weights_open(&w, path, NULL), ST_OK);
    int const i = weights_find(w, name);
    assert_true(i >= 0);
    *shape = weights_at(w, i)->t;
    assert_int_equal(shape->dtype, DT_F32);
    assert_int_equal(weights_fetch(w, i, &data), ST_OK);
    float *const copy = malloc(tensor_bytes(shape));
    assert_non_null(copy);
    memcpy(copy, data, tensor_bytes(shape));
    weights_close(&w);
    free(path);
    return copy;
}

/* [n, 3, h, w] -> [n, h, w, 3] */
static float *fetch_pictures(const char *dir, const char *file, const char *name, int *n)
{
    struct tensor t;
    float *const planar = fetch(dir, file, name, &t);
    float *const out = malloc(tensor_bytes(&t));
    int64_t const area = t.dim[2] * t.dim[3];

    assert_non_null(out);
    assert_int_equal(t.dim[1], 3);
    for (int64_t i = 0; i < tensor_count(&t); i++)
        out[(i / (3 * area) * area + i % area) * 3 + i / area % 3] = planar[i];
    free(planar);
    *n = (int)t.dim[0];
    return out;
}

struct clip clip_open(const char *dir)
{
    struct clip c = { .dir = dir };
    struct tensor t;
    int n;

    c.latents = fetch(dir, "inputs.safetensors", "latents", &t);
    c.frames = (int)t.dim[0];
    c.h = t.dim[2];
    c.w = t.dim[3];
    c.encoded = fetch(dir, "expected.safetensors", "encoded", &t);
    assert_int_equal(t.dim[0], c.frames);
    c.pixels = fetch_pictures(dir, "inputs.safetensors", "pixels", &c.pictures);
    c.decoded = fetch_pictures(dir, "expected.safetensors", "decoded", &n);
    assert_int_equal(n, c.pictures);
    assert_int_equal(n, 1 + VAE_PICTURES * (c.frames - 1));
    return c;
}

void clip_close(struct clip *c)
{
    free(c->latents);
    free(c->pixels);
    free(c->decoded);
    free(c->encoded);
}

struct counted counted;

/* With NaN in every precision. */
static status spoil(struct kern_ctx *ctx, void *at, size_t bytes)
{
    struct tensor t;
    void *const host = malloc(bytes + 1);

    assert_non_null(host);
    memset(host, 0xff, bytes);
    ok(tensor_make(&t, DT_U8, DIMS((int64_t)bytes)));
    t.data = at;
    status const st = counted.real->upload(ctx, &t, host);
    free(host);
    return st;
}

static status counting_alloc(struct kern_ctx *ctx, size_t bytes, void **at)
{
    TRY(counted.real->alloc(ctx, bytes, at));
    TRY(spoil(ctx, *at, bytes));
    counted.bytes += bytes;
    counted.calls++;
    counted.held++;
    return ST_OK;
}

static void counting_free(struct kern_ctx *ctx, void *at)
{
    counted.held--;
    counted.real->free(ctx, at);
}

struct kern_backend counting(const struct kern_backend *real)
{
    struct kern_backend b = *real;

    counted.real = real;
    counted.bytes = 0;
    counted.calls = counted.held = 0;
    b.alloc = counting_alloc;
    b.free = counting_free;
    return b;
}

float *poisoned(int64_t count)
{
    float *const p = malloc((size_t)count * sizeof *p);
    assert_non_null(p);
    for (int64_t i = 0; i < count; i++) p[i] = NAN;
    return p;
}

float *decode(struct vae *v, const struct clip *c, int step)
{
    float *const out = poisoned(picture_count(c) * c->pictures);
    int made = 0;

    for (int i = 0; i < c->frames; i += step) {
        int const n = c->frames - i < step ? c->frames - i : step;
        int pictures = -1;
        assert_int_equal(vae_decode(v, c->latents + i * latent_count(c), n,
                                    out + made * picture_count(c), &pictures),
                         ST_OK);
        assert_int_equal(pictures, VAE_PICTURES * n - (i ? 0 : VAE_PICTURES - 1));
        made += pictures;
    }
    assert_int_equal(made, c->pictures);
    return out;
}

void every_backend(void (*test)(const struct kern_backend *))
{
    for (int i = 0; kern_backend_at(i); i++) {
        const struct kern_backend *const b = kern_backend_at(i);
        const char *const absent = b->absent();
        if (absent) print_message("  %s is left out: %s\n", b->name, absent);
        else test(b);
    }
}

void same_and_free(float *a, const float *b, int64_t count)
{
    assert_memory_equal(a, b, (size_t)count * sizeof *a);
    free(a);
}

struct clip reversed(const struct clip *c)
{
    struct clip r = *c;

    r.latents = poisoned(latent_count(c) * c->frames);
    r.pixels = poisoned(picture_count(c) * c->pictures);
    for (int i = 0; i < c->frames; i++)
        memcpy(r.latents + i * latent_count(c), c->latents + (c->frames - 1 - i) * latent_count(c),
               (size_t)latent_count(c) * sizeof(float));
    for (int i = 0; i < c->pictures; i++)
        memcpy(r.pixels + i * picture_count(c),
               c->pixels + (c->pictures - 1 - i) * picture_count(c),
               (size_t)picture_count(c) * sizeof(float));
    return r;
}

void clip_close_reversed(struct clip *c)
{
    free(c->latents);
    free(c->pixels);
}
