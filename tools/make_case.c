/*
 * make_case.c - write a case for `rollmill verify` on random inputs, at any size.
 *
 * What it expects is zero everywhere: run it once on what is to be trusted, with
 * --out DIR/expected.safetensors, and it holds what came of that. DIR/model, the
 * weights, is the caller's to put there.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "pipeline/dit/dit.h"
#include "pipeline/dit/noise.h"
#include "pipeline/vae/vae.h"
#include "pipeline/weights/tensor_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: make_case DIR [options]\n\n"
    "  --kind NAME      rolling or vae (default rolling)\n"
    "  --blocks N       of three latent frames; of a vae case, latent frames (default 3)\n"
    "  --height N, --width N    of a latent, pixels / 8 (default 8, 12)\n\n"
    "A rolling case reads DIR/model/config.json.\n";

enum { LEVELS = 5, FRAMES = 3, ITEMS_MAX = 512, NAME = 32 };

struct job {
    const char *dir, *kind;
    int blocks, height, width;
};

/* ---- tensors --------------------------------------------------------------------------- */

struct set {
    struct tensor_file_item item[ITEMS_MAX];
    char name[ITEMS_MAX][NAME];
    int count;
};

/* Normal numbers of their own for each tensor; zeros with seed 0. */
static status add(struct set *s, const char *name, int ndim, const int64_t *dim, uint64_t seed)
{
    if (s->count == ITEMS_MAX) return fail(ST_ARG, "more than %d tensors", ITEMS_MAX);
    struct tensor_file_item *const i = &s->item[s->count];
    TRY(tensor_make(&i->t, DT_F32, ndim, dim));
    i->t.data = calloc(1, tensor_bytes(&i->t) + 1);
    if (!i->t.data) return fail(ST_NOMEM, "%s: %zu bytes", name, tensor_bytes(&i->t));
    if (seed) noise_fill(i->t.data, tensor_count(&i->t), seed, s->count, 0);
    snprintf(s->name[s->count], NAME, "%s", name);
    i->name = s->name[s->count++];
    return ST_OK;
}

static status write_set(const struct job *j, const char *file, const struct set *s)
{
    char *const path = path_join(j->dir, file);
    status const st =
        path ? tensor_file_write(path, s->item, s->count) : fail(ST_NOMEM, "%s: its name", file);
    free(path);
    return st;
}

static void empty(struct set *s)
{
    for (int i = 0; i < s->count; i++) free(s->item[i].t.data);
    s->count = 0;
}

/* ---- the kinds --------------------------------------------------------------------------- */

static status rolling_inputs(const struct job *j, struct set *s)
{
    int64_t const latent[] = { FRAMES, 16, j->height, j->width };
    char *const config = str_format("%s/model/config.json", j->dir);
    struct dit_shape shape;
    char name[NAME];
    status st = config ? ST_OK : fail(ST_NOMEM, "a path");

    TRY_OUT(st);
    TRY_OUT(dit_shape_read(&shape, config));
    TRY_OUT(add(s, "noise", DIMS((int64_t)j->blocks * FRAMES, 16, j->height, j->width), 1));
    TRY_OUT(add(s, "prompt_embeds", DIMS(shape.text_len, shape.text_dim), 1));
    for (int b = 0; b < j->blocks; b++)
        for (int k = 1; k < LEVELS; k++) {
            snprintf(name, sizeof name, "renoise/%d/%d", b, k);
            TRY_OUT(add(s, name, 4, latent, 1));
        }
out:
    free(config);
    return st;
}

static status expected(const struct job *j, struct set *s)
{
    int64_t const pictures = 1 + (int64_t)VAE_PICTURES * (j->blocks - 1);

    if (!strcmp(j->kind, "rolling"))
        return add(s, "latents", DIMS((int64_t)j->blocks * FRAMES, 16, j->height, j->width), 0);
    return add(s, "decoded", DIMS(pictures, 3, (int64_t)8 * j->height, (int64_t)8 * j->width), 0);
}

static status write_case(const struct job *j)
{
    bool const rolling = !strcmp(j->kind, "rolling");
    char *const text =
        rolling
            ? str_format("{\n  \"kind\": \"rolling\",\n  \"steps\": [1000, 800, 600, 400, 200],\n"
                         "  \"warp\": true,\n  \"timestep_shift\": 5.0,\n"
                         "  \"frames_per_block\": %d,\n  \"latent_frames\": %d,\n"
                         "  \"latent_height\": %d,\n  \"latent_width\": %d,\n"
                         "  \"sink_blocks\": 1,\n  \"attention_frames\": 21\n}\n",
                         FRAMES, j->blocks * FRAMES, j->height, j->width)
            : str_format("{\n  \"kind\": \"vae\",\n  \"latent_frames\": %d,\n"
                         "  \"latent_height\": %d,\n  \"latent_width\": %d\n}\n",
                         j->blocks, j->height, j->width);
    char *const path = path_join(j->dir, "case.json");
    status const st =
        text && path ? file_write(path, text, strlen(text)) : fail(ST_NOMEM, "case.json");

    free(path);
    free(text);
    return st;
}

static status make(const struct job *j)
{
    struct set *const s = calloc(1, sizeof *s);
    status st = s ? ST_OK : fail(ST_NOMEM, "a list of tensors");

    TRY_OUT(st);
    TRY_OUT(dir_make(j->dir));
    TRY_OUT(write_case(j));
    if (!strcmp(j->kind, "rolling")) TRY_OUT(rolling_inputs(j, s));
    else TRY_OUT(add(s, "latents", DIMS(j->blocks, VAE_CHANNELS, j->height, j->width), 1));
    TRY_OUT(write_set(j, "inputs.safetensors", s));
    empty(s);
    TRY_OUT(expected(j, s));
    TRY_OUT(write_set(j, "expected.safetensors", s));
out:
    if (s) empty(s);
    free(s);
    return st;
}

/* ---- options ---------------------------------------------------------------------------- */

static status set_number(const char *name, const char *text, int *out)
{
    char *end;
    long const n = strtol(text, &end, 10);

    if (end == text || *end || n < 1 || n > 4096)
        return fail(ST_ARG, "%s %s: a whole number from 1 to 4096", name, text);
    *out = (int)n;
    return ST_OK;
}

static status parse(struct job *j, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *const name = argv[i];
        if (strncmp(name, "--", 2) != 0) {
            j->dir = name;
            continue;
        }
        if (++i == argc) return fail(ST_ARG, "%s needs a value", name);
        if (!strcmp(name, "--kind")) j->kind = argv[i];
        else if (!strcmp(name, "--blocks")) TRY(set_number(name, argv[i], &j->blocks));
        else if (!strcmp(name, "--height")) TRY(set_number(name, argv[i], &j->height));
        else if (!strcmp(name, "--width")) TRY(set_number(name, argv[i], &j->width));
        else return fail(ST_ARG, "%s: no such option", name);
    }
    if (!j->dir) return fail(ST_ARG, "a DIR is wanted");
    if (strcmp(j->kind, "rolling") && strcmp(j->kind, "vae"))
        return fail(ST_ARG, "--kind %s: rolling or vae", j->kind);
    return ST_OK;
}

int main(int argc, char **argv)
{
    struct job j = { .kind = "rolling", .blocks = 3, .height = 8, .width = 12 };
    status st = ST_OK;

    if (argc == 2 && !strcmp(argv[1], "--help")) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }
    TRY_OUT(parse(&j, argc, argv));
    TRY_OUT(make(&j));
out:
    if (st != ST_OK) log_error("make_case: %s", error_last()->msg);
    return st == ST_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
