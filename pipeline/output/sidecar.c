#include "pipeline/output/sidecar.h"
#include "base/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The object being filled. The first value that JSON cannot hold is remembered. */
struct object {
    json_t *json;
    const char **refused; /* its key */
};

static void put(struct object o, const char *key, json_t *value)
{
    if (json_object_set_new(o.json, key, value) && !*o.refused) *o.refused = key;
}

static void put_text(struct object o, const char *key, const char *text)
{
    put(o, key, text ? json_string(text) : json_null());
}

static void put_int(struct object o, const char *key, int64_t n) { put(o, key, json_integer(n)); }

static void put_real(struct object o, const char *key, double x) { put(o, key, json_real(x)); }

static struct object put_object(struct object o, const char *key)
{
    struct object const inner = { json_object(), o.refused };
    put(o, key, inner.json);
    return inner;
}

static json_t *put_list(struct object o, const char *key)
{
    json_t *const list = json_array();
    put(o, key, list);
    return list;
}

static struct object add_object(struct object o, const char *key, json_t *list)
{
    struct object const inner = { json_object(), o.refused };
    if (json_array_append_new(list, inner.json) && !*o.refused) *o.refused = key;
    return inner;
}

static void add(struct object o, const char *key, json_t *list, json_t *value)
{
    if (json_array_append_new(list, value) && !*o.refused) *o.refused = key;
}

static void put_pairs(struct object o, const char *key, struct sidecar_pairs pairs)
{
    struct object const inner = put_object(o, key);
    for (int i = 0; i < pairs.count; i++) put_text(inner, pairs.at[i].name, pairs.at[i].value);
}

static void put_identity(struct object root, const struct sidecar *s)
{
    struct object const o = put_object(root, "identity");
    time_t const now = time(NULL);
    char created[32] = "";
    struct tm utc;

    if (gmtime_r(&now, &utc)) strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &utc);
    put_text(o, "task_id", s->about->task_id);
    put_text(o, "content_id", s->about->content_id);
    put_text(o, "job", s->about->job);
    put_text(o, "clip", s->about->clip);
    put_text(o, "owner", s->about->owner);
    put_text(o, "attempt", s->attempt);
    put_text(o, "world", s->about->world);
    put_text(o, "created", created);
}

static void put_files(struct object root, const struct sidecar *s)
{
    json_t *const list = put_list(root, "files");

    for (int i = 0; i < s->files; i++) {
        struct object const o = add_object(root, "files", list);
        put_text(o, "name", s->file[i].name);
        put_int(o, "bytes", s->file[i].bytes);
        put_text(o, "sha256", s->file[i].sha256);
    }
}

static void put_stream(struct object o, const struct sidecar_video *v)
{
    const struct codec_choice *const k = &v->facts.choice;
    char libs[CODEC_LIBS];

    put_text(o, "file", v->file);
    put_text(o, "container", k->container);
    put_text(o, "codec", k->codec->name);
    put_text(o, "encoder", k->encoder->name);
    put_text(o, "libraries", codec_libs(libs));
    put_text(o, "pix", pix_info(k->pix)->name);
    put(o, "crf", k->crf < 0 ? json_null() : json_integer(k->crf));
    put_text(o, "preset", k->preset[0] ? k->preset : NULL);
    put_text(o, "profile", k->profile);
    put_int(o, "threads", k->threads);
    put_int(o, "gop", k->gop);
    put_int(o, "keyframes", v->facts.keyframes);
    put_text(o, "planes_sha256", v->facts.planes_sha256);
}

static void put_video(struct object root, const struct sidecar *s)
{
    struct object const o = put_object(root, "video");
    struct object const colour = put_object(o, "colour");

    put_int(o, "width", s->width);
    put_int(o, "height", s->height);
    put_int(o, "fps_num", s->fps_num);
    put_int(o, "fps_den", s->fps_den);
    put_int(o, "frames", s->pictures);
    put_real(o, "duration", (double)s->pictures * s->fps_den / s->fps_num);
    put_text(colour, "primaries", "bt709");
    put_text(colour, "transfer", "bt709");
    put_text(colour, "matrix", "bt709");
    put_text(colour, "range", "tv");
    put_text(colour, "chroma", "left");
    json_t *const list = put_list(o, "streams");
    for (int i = 0; i < s->videos; i++) put_stream(add_object(o, "streams", list), &s->video[i]);
    put_text(o, "preview", s->preview_file);
}

static void put_frames(struct object root, const struct sidecar *s)
{
    struct object const o = put_object(root, "frames");

    put_text(o, "hash_of", "8-bit RGB, row by row, before the encoder");
    put_text(o, "sha256", s->pictures_sha256);
    json_t *const list = put_list(o, "blocks");
    for (int64_t i = 0; i < s->blocks; i++) {
        struct object const b = add_object(o, "blocks", list);
        put_int(b, "first", s->block[i].first);
        put_int(b, "count", s->block[i].count);
        put_text(b, "sha256", s->block[i].sha256);
    }
}

static void put_latents(struct object root, const struct sidecar *s)
{
    if (!s->latents_file) {
        put(root, "latents", json_null());
        return;
    }
    struct object const o = put_object(root, "latents");
    put_text(o, "file", s->latents_file);
    put_text(o, "dtype", s->latents_dtype);
    json_t *const shape = put_list(o, "shape");
    for (int i = 0; i < 4; i++) add(o, "shape", shape, json_integer(s->latents_shape[i]));
}

static void put_prompts(struct object o, const struct sidecar_info *a)
{
    json_t *const list = put_list(o, "prompts");

    for (int i = 0; i < a->prompts; i++) {
        const struct sidecar_prompt *const p = &a->prompt[i];
        struct object const one = add_object(o, "prompts", list);
        struct object const asked = put_object(one, "asked");
        put_text(asked, "at", p->asked_at);
        put_text(asked, "blend", p->asked_blend);
        put_int(one, "block", p->block);
        put_int(one, "frame", p->first_picture);
        put_int(one, "blend_blocks", p->blend_blocks);
        put_text(one, "text", p->text);
    }
}

static void put_generation(struct object root, const struct sidecar_info *a)
{
    struct object const o = put_object(root, "generation");
    char seed[24];

    snprintf(seed, sizeof seed, "%llu", (unsigned long long)a->seed);
    put_prompts(o, a);
    put_text(o, "negative", a->negative);
    put_text(o, "seed", seed);
    put_text(o, "noise", a->noise);
    put_text(o, "scheduler", a->scheduler);
    json_t *const steps = put_list(o, "steps");
    for (int i = 0; i < a->steps; i++) add(o, "steps", steps, json_real(a->step[i]));
    put(o, "warp", json_boolean(a->warp));
    put_real(o, "shift", a->shift);
    put_real(o, "guidance", a->guidance);
    put_text(o, "precision", a->precision);
    put_text(o, "window", a->window);
    put_int(o, "frames_per_block", a->frames_per_block);
    put_int(o, "attention_frames", a->attention_frames);
    put_int(o, "sink_frames", a->sink_frames);
    put_pairs(o, "values", a->values);
}

static void put_provenance(struct object root, const struct sidecar_info *a)
{
    struct object const o = put_object(root, "provenance");

    put_text(o, "model", a->model);
    put_text(o, "family", a->family);
    put_pairs(o, "model_files", a->model_files);
    put_text(o, "model_hash_of", a->model_hash_rule ? a->model_hash_rule : "sha256 of the file");
    put_text(o, "program", a->program);
    put_text(o, "commit", a->commit);
    put_text(o, "build", a->build);
    put_pairs(o, "libraries", a->libraries);
    put_text(o, "backend", a->backend);
    put_text(o, "text_backend", a->text_backend);
    put_text(o, "kernels", a->kernels);
    put_text(o, "device", a->device);
    put_pairs(o, "hosts", a->hosts);
    put_int(o, "ranks", a->ranks);
    put_int(o, "stages", a->stages);
    put_text(o, "determinism", a->determinism);
    put_text(o, "wire", a->wire);
    put_text(o, "exchange", a->exchange);
}

static void put_quality(struct object root, const struct quality *q)
{
    struct object const o = put_object(root, "quality");

    put_int(o, "nan_frames", 0); /* a clip with one is never written */
    put_int(o, "black_frames", q->black);
    put_int(o, "frozen_frames", q->frozen);
    put_real(o, "luma_min", q->luma_min / 255.0);
    put_real(o, "luma_max", q->luma_max / 255.0);
    put_real(o, "luma_mean", quality_luma_mean(q));
    put_real(o, "motion_mean", quality_motion_mean(q));
    put(o, "filtered", json_false());
    put(o, "reason", json_null());
}

static void put_run(struct object root, const struct sidecar *s)
{
    struct object const o = put_object(root, "run");
    const struct sidecar_run *const r = s->run;
    struct object const stages = put_object(o, "stage_seconds");

    put_real(o, "wall", r->wall);
    put_real(o, "frames_per_second", r->wall > 0 ? (double)s->pictures / r->wall : 0);
    for (int i = 0; i < r->stages; i++) put_real(stages, r->stage[i], r->stage_seconds[i]);
    put_int(o, "peak_bytes", r->peak_bytes);
    put_int(o, "resumed_from", r->resumed_from);
    put_int(o, "retries", r->retries);
    json_t *const errors = put_list(o, "errors");
    for (int i = 0; i < r->errors; i++) add(o, "errors", errors, json_string(r->error[i]));
}

static void put_all(struct object root, const struct sidecar *s)
{
    put_int(root, "schema", 1);
    put(root, "synthetic", json_true());
    put_identity(root, s);
    put_video(root, s);
    put_files(root, s);
    put_latents(root, s);
    put_generation(root, s->about);
    put_provenance(root, s->about);
    put_quality(root, s->quality);
    struct object const rights = put_object(root, "rights");
    put_pairs(rights, "labels", s->about->labels);
    put_text(rights, "model_license", s->about->model_license);
    put_run(root, s);
    put_text(root, "verified", "every file fsynced and hashed; every picture's time read back");
    put_frames(root, s);
}

status sidecar_write(const char *path, const struct sidecar *s)
{
    const char *refused = NULL;
    struct object const root = { json_object(), &refused };
    status st = ST_OK;
    char *text = NULL;

    put_all(root, s);
    if (refused)
        FAIL_OUT(ST_ARG, "%s: %s: not UTF-8, not finite, or no memory for it", path, refused);
    text = json_dumps(root.json, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    if (!text) FAIL_OUT(ST_NOMEM, "%s: no memory for its text", path);
    TRY_OUT(file_write(path, text, strlen(text)));
out:
    free(text);
    json_decref(root.json);
    return st;
}
