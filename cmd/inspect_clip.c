/* inspect_clip.c - a clip is decoded once, measured picture by picture, and its drift printed. */
#include "base/clip_media.h"
#include "base/file.h"
#include "base/json_build.h"
#include "base/strbuf.h"
#include "cmd/cmd_internal.h"
#include "pipeline/output/av/video_read.h"
#include "pipeline/output/drift.h"
#include "pipeline/weights/weights.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { END_SECONDS = 5, LATENT_PICTURES = 4 };

static const char *const endings[] = { ".mp4", ".mov", ".mkv", ".webm" };

struct reading {
    struct drift drift;
    int width, height;
    int64_t pictures;
    double seconds; /* when the last one begins to be shown */
};

static bool has_record(const char *path)
{
    char *const record = path_join(path, "clip.json");
    bool const there = record && path_exists(record);

    free(record);
    return there;
}

bool is_clip(const char *path)
{
    size_t const len = strlen(path);

    for (int i = 0; i < COUNT_OF(endings); i++) {
        size_t const n = strlen(endings[i]);
        if (len > n && !strcasecmp(path + len - n, endings[i])) return true;
    }
    return has_record(path);
}

static status see_picture(void *arg, const uint8_t *rgb8, int width, int height, double seconds)
{
    struct reading *const r = arg;

    r->width = width;
    r->height = height;
    r->seconds = seconds;
    r->pictures++;
    return drift_add_picture(&r->drift, rgb8, width, height);
}

/* Tensor [frames, ...] of the file; bfloat16 or float32, as clips have them. */
static status measure_latents(struct reading *r, const char *path)
{
    struct weights *w = NULL;
    const void *data = NULL;
    float *frame = NULL;
    status st = ST_OK;

    TRY_OUT(weights_open(&w, path, NULL));
    if (weights_count(w) != 1)
        FAIL_OUT(ST_FORMAT, "%s: found %d tensors; allowed: one", path, weights_count(w));
    const struct weight_info *const info = weights_at(w, 0);
    bool const half = !strcmp(info->dtype, "BF16");
    if (!info->usable || (!half && strcmp(info->dtype, "F32") != 0) || info->ndim < 2 ||
        info->dim[0] < 1 || info->count < info->dim[0])
        FAIL_OUT(ST_FORMAT, "%s: found %s with %d dimensions; allowed: BF16 or F32, frames first",
                 path, info->dtype, info->ndim);
    TRY_OUT(weights_fetch(w, 0, &data));
    int64_t const n = info->count / info->dim[0];
    frame = malloc((size_t)n * sizeof *frame);
    if (!frame) FAIL_OUT(ST_NOMEM, "%s: a frame of %lld numbers", path, (long long)n);
    for (int64_t f = 0; f < info->dim[0]; f++) {
        for (int64_t i = 0; i < n; i++) {
            uint32_t bits = 0;
            if (half) bits = (uint32_t)((const uint16_t *)data)[f * n + i] << 16;
            else memcpy(&bits, (const float *)data + f * n + i, sizeof bits);
            memcpy(&frame[i], &bits, sizeof bits);
        }
        TRY_OUT(drift_add_latent(&r->drift, frame, n));
    }
out:
    free(frame);
    weights_close(&w);
    return st;
}

/* ---- what is printed ------------------------------------------------------------------ */

/* Values of a series in the first and last seconds. */
static int64_t end_values(const struct reading *r, enum drift_measure m)
{
    double const rate = r->seconds > 0 ? (double)(r->pictures - 1) / r->seconds : 1;
    double const pictures = rate * END_SECONDS;
    return (int64_t)(m < DRIFT_LATENT_MEAN ? pictures : pictures / LATENT_PICTURES);
}

static void print_drift_table(const struct reading *r, const char *path)
{
    struct drift_figures f;

    printf("%s: %lld pictures of %dx%d\n", path, (long long)r->pictures, r->width, r->height);
    printf("%-18s%11s%11s%11s%11s\n", "measure", "first 5 s", "last 5 s", "change", "vde");
    for (enum drift_measure m = 0; m < DRIFT_MEASURES; m++)
        if (drift_figures(&f, &r->drift, m, end_values(r, m)))
            printf("%-18s%11.4f%11.4f%+11.4f%11.4f\n", drift_name(m), f.first, f.last,
                   f.last - f.first, f.vde);
}

static status print_drift_json(const struct reading *r, const char *path)
{
    json_t *const measures = json_object();
    struct drift_figures f;

    for (enum drift_measure m = 0; m < DRIFT_MEASURES; m++)
        if (drift_figures(&f, &r->drift, m, end_values(r, m)))
            json_object_set_new(
                measures, drift_name(m),
                json_pack("{s:f, s:f, s:f}", "first", f.first, "last", f.last, "vde", f.vde));
    json_t *const o = json_pack("{s:I, s:i, s:i, s:o}", "pictures", (json_int_t)r->pictures,
                                "width", r->width, "height", r->height, "measures", measures);
    if (json_print(o, JSON_INDENT(1))) return ST_OK;
    return fail(ST_NOMEM, "the measures of %s as JSON", path);
}

status inspect_clip(const char *path, bool json)
{
    struct clip_media files = { .video = NULL };
    struct reading r = { 0 };
    status st = ST_OK;

    if (has_record(path)) {
        TRY_OUT(clip_media_read(&files, path));
        if (!files.video) FAIL_OUT(ST_FORMAT, "%s/clip.json: video.streams names no file", path);
    }
    TRY_OUT(video_read(files.video ? files.video : path, see_picture, &r));
    if (files.latents) TRY_OUT(measure_latents(&r, files.latents));
    if (r.pictures < DRIFT_CHUNKS)
        FAIL_OUT(ST_FORMAT, "%s: found %lld pictures; allowed: %d and more, to see a change", path,
                 (long long)r.pictures, DRIFT_CHUNKS);
    if (json) TRY_OUT(print_drift_json(&r, path));
    else print_drift_table(&r, path);
out:
    drift_free(&r.drift);
    clip_media_free(&files);
    return st;
}
