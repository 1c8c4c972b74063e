/*
 * sidecar.c - clip.json, built with jansson.
 *
 * A failure to put a value in is remembered with its key and reported once at the end, so that the
 * list of keys reads as the file does.
 */
#include "pipeline/output/sidecar.h"
#include "base/json_build.h"
#include "pipeline/output/output_internal.h"

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

static void put_json(struct object o, const char *key, json_t *value)
{
    if (json_object_set_new(o.json, key, value) && !*o.refused) *o.refused = key;
}

static void put_string(struct object o, const char *key, const char *text)
{
    put_json(o, key, text ? json_string(text) : json_null());
}

static void put_int(struct object o, const char *key, int64_t n)
{
    put_json(o, key, json_integer(n));
}

static void put_real(struct object o, const char *key, double x) { put_json(o, key, json_real(x)); }

static struct object put_object(struct object o, const char *key)
{
    struct object const inner = { json_object(), o.refused };
    put_json(o, key, inner.json);
    return inner;
}

static json_t *put_list(struct object o, const char *key)
{
    json_t *const list = json_array();
    put_json(o, key, list);
    return list;
}

static struct object add_object(struct object o, const char *key, json_t *list)
{
    struct object const inner = { json_object(), o.refused };
    if (json_array_append_new(list, inner.json) && !*o.refused) *o.refused = key;
    return inner;
}

static void append_json(struct object o, const char *key, json_t *list, json_t *value)
{
    if (json_array_append_new(list, value) && !*o.refused) *o.refused = key;
}

static void put_pairs(struct object o, const char *key, struct sidecar_pairs pairs)
{
    struct object const inner = put_object(o, key);
    for (int i = 0; i < pairs.count; i++) put_string(inner, pairs.at[i].name, pairs.at[i].value);
}

static void put_identity(struct object root, const struct sidecar *s)
{
    struct object const o = put_object(root, "identity");
    time_t const now = time(NULL);
    char created[32] = "";
    struct tm utc;

    if (gmtime_r(&now, &utc)) strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &utc);
    put_string(o, "task_id", s->about->task_id);
    put_string(o, "content_id", s->about->content_id);
    put_string(o, "numerics_id", s->about->numerics_id);
    put_string(o, "job", s->about->job);
    put_string(o, "clip", s->about->clip);
    put_string(o, "owner", s->about->owner);
    put_string(o, "attempt", s->attempt);
    put_string(o, "world", s->about->world);
    put_string(o, "created", created);
}

static void put_files(struct object root, const struct sidecar *s)
{
    json_t *const list = put_list(root, "files");

    for (int i = 0; i < s->files; i++) {
        struct object const o = add_object(root, "files", list);
        put_string(o, "name", s->file[i].name);
        put_int(o, "bytes", s->file[i].bytes);
        put_string(o, "sha256", s->file[i].sha256);
    }
}

static void put_stream(struct object o, const struct sidecar_video *v)
{
    const struct codec_choice *const k = &v->facts.choice;
    char libs[CODEC_LIBS];

    put_string(o, "file", v->file);
    put_string(o, "container", k->container);
    put_string(o, "codec", k->codec->name);
    put_string(o, "encoder", k->encoder->name);
    put_string(o, "libraries", codec_libs(libs));
    put_string(o, "pix", pix_info(k->pix)->name);
    put_json(o, "crf", k->crf < 0 ? json_null() : json_integer(k->crf));
    put_string(o, "preset", k->preset[0] ? k->preset : NULL);
    put_string(o, "profile", k->profile);
    put_int(o, "threads", k->threads);
    put_int(o, "gop", k->gop);
    put_int(o, "keyframes", v->facts.keyframes);
    put_string(o, "planes_sha256", v->facts.planes_sha256);
    put_string(o, "packets_sha256", v->facts.packets_sha256);
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
    put_string(colour, "primaries", "bt709");
    put_string(colour, "transfer",
               codec_transfer_name(s->videos ? s->video[0].facts.choice.transfer : CODEC_BT709));
    put_string(colour, "matrix", "bt709");
    put_string(colour, "range", "tv");
    put_string(colour, "chroma", "left");
    json_t *const list = put_list(o, "streams");
    for (int i = 0; i < s->videos; i++) put_stream(add_object(o, "streams", list), &s->video[i]);
    put_string(o, "preview", s->preview_file);
}

static void put_frames(struct object root, const struct sidecar *s)
{
    struct object const o = put_object(root, "frames");

    put_string(o, "hash_of", "8-bit RGB, row by row, before the encoder");
    put_string(o, "sha256", s->pictures_sha256);
    json_t *const list = put_list(o, "blocks");
    for (int64_t i = 0; i < s->blocks; i++) {
        struct object const b = add_object(o, "blocks", list);
        put_int(b, "first", s->block[i].first);
        put_int(b, "count", s->block[i].count);
        put_string(b, "sha256", s->block[i].sha256);
    }
}

static void put_latents(struct object root, const struct sidecar *s)
{
    if (!s->latents_file) {
        put_json(root, "latents", json_null());
        return;
    }
    struct object const o = put_object(root, "latents");
    put_string(o, "file", s->latents_file);
    put_string(o, "dtype", s->latents_dtype);
    json_t *const shape = put_list(o, "shape");
    for (int i = 0; i < 4; i++) append_json(o, "shape", shape, json_integer(s->latents_shape[i]));
}

/* One tensor an entry of generation.prompts. */
static void put_embeddings(struct object root, const struct clip_embeddings *e)
{
    if (!e || !e->file) return;
    struct object const o = put_object(root, "embeddings");
    put_string(o, "file", e->file);
    put_string(o, "dtype", dtype_name(e->dtype));
    put_int(o, "dim", e->dim);
    json_t *const tokens = put_list(o, "tokens");
    for (int i = 0; i < e->texts; i++)
        append_json(o, "tokens", tokens, json_integer(e->text[i].tokens));
}

static void put_prompts(struct object o, const struct sidecar_info *a)
{
    json_t *const list = put_list(o, "prompts");

    for (int i = 0; i < a->prompts; i++) {
        const struct sidecar_prompt *const p = &a->prompt[i];
        struct object const one = add_object(o, "prompts", list);
        struct object const asked = put_object(one, "asked");
        put_string(asked, "at", p->asked_at);
        put_string(asked, "blend", p->asked_blend);
        put_int(one, "block", p->block);
        put_int(one, "frame", p->first_picture);
        put_int(one, "blend_blocks", p->blend_blocks);
        if (p->change) put_string(one, "change", p->change);
        put_string(one, "text", p->text);
    }
}

/* What is not given stands in the adapter's file: null. */
static void put_loras(struct object o, const struct sidecar_info *a)
{
    json_t *const list = put_list(o, "lora");

    for (int i = 0; i < a->loras; i++) {
        const struct sidecar_lora *const l = &a->lora[i];
        struct object const one = add_object(o, "lora", list);
        put_string(one, "file", l->file);
        put_json(one, "rank", l->rank ? json_integer(l->rank) : json_null());
        put_json(one, "alpha", l->alpha > 0 ? json_real(l->alpha) : json_null());
        put_real(one, "scale", l->scale);
    }
}

static void put_steps(struct object o, const char *name, const double *step, int steps)
{
    json_t *const list = put_list(o, name);
    for (int i = 0; i < steps; i++) append_json(o, name, list, json_real(step[i]));
}

static void put_start(struct object o, const struct sidecar_info *a)
{
    if (!a->start) return;
    struct object const start = put_object(o, "start");
    put_string(start, "kind", a->start);
    put_string(start, "file", a->start_file);
    put_string(start, "sha256", a->start_sha256);
    put_int(start, "blocks", a->start_blocks);
}

/* Of each layer the static ones, as a card has them. */
static void put_heads(struct object o, const struct kv_profile *p)
{
    json_t *const layers = put_list(o, "static_heads");

    for (int i = 0; i < p->layers; i++) {
        json_t *heads = json_array();
        for (int h = 0; h < KV_HEADS; h++)
            if (kv_head_is_static(p, i, h)) json_add(&heads, json_integer(h));
        append_json(o, "static_heads", layers, heads);
    }
}

static void put_generation(struct object root, const struct sidecar_info *a)
{
    struct object const o = put_object(root, "generation");
    char seed[24];

    snprintf(seed, sizeof seed, "%llu", (unsigned long long)a->seed);
    put_start(o, a);
    put_prompts(o, a);
    put_string(o, "negative", a->negative);
    put_string(o, "seed", seed);
    put_string(o, "noise", a->noise);
    put_string(o, "scheduler", a->scheduler);
    put_steps(o, "steps", a->step, a->steps);
    if (a->first_step) put_steps(o, "first_block_steps", a->first_step, a->first_steps);
    put_json(o, "warp", json_boolean(a->warp));
    put_real(o, "shift", a->shift);
    put_real(o, "guidance", a->guidance);
    put_string(o, "precision", a->precision);
    if (a->numerics.count) put_pairs(o, "numerics", a->numerics);
    put_string(o, "window", a->window);
    put_int(o, "frames_per_block", a->frames_per_block);
    put_int(o, "attention_frames", a->attention_frames);
    put_int(o, "sink_frames", a->sink_frames);
    if (a->sink_positions) put_string(o, "sink_positions", a->sink_positions);
    if (a->policy) put_string(o, "policy", a->policy);
    for (int i = 0; i < a->policy_keys; i++) put_real(o, a->policy_key[i], a->policy_value[i]);
    if (a->heads) put_heads(o, a->heads);
    put_pairs(o, "values", a->values);
    put_loras(o, a);
}

static void put_provenance(struct object root, const struct sidecar_info *a)
{
    struct object const o = put_object(root, "provenance");

    put_string(o, "model", a->model);
    put_string(o, "family", a->family);
    put_pairs(o, "model_files", a->model_files);
    put_string(o, "ids_of", a->model_id_rule);
    put_string(o, "model_hash_of", a->model_hash_rule ? a->model_hash_rule : "sha256 of the file");
    put_string(o, "program", a->program);
    put_string(o, "commit", a->commit);
    put_string(o, "build", a->build);
    put_pairs(o, "libraries", a->libraries);
    put_string(o, "backend", a->backend);
    put_string(o, "text_backend", a->text_backend);
    put_string(o, "kernels", a->kernels);
    put_string(o, "device", a->device);
    put_pairs(o, "hosts", a->hosts);
    put_int(o, "ranks", a->ranks);
    put_int(o, "stages", a->stages);
    put_string(o, "determinism", a->determinism);
    put_string(o, "wire", a->wire);
    put_string(o, "exchange", a->exchange);
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
    put_json(o, "filtered", json_false());
    put_json(o, "reason", json_null());
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
    for (int i = 0; i < r->errors; i++) append_json(o, "errors", errors, json_string(r->error[i]));
}

static void put_all(struct object root, const struct sidecar *s)
{
    put_int(root, "schema", 1);
    put_json(root, "synthetic", json_true());
    put_identity(root, s);
    put_video(root, s);
    put_files(root, s);
    put_latents(root, s);
    put_embeddings(root, s->embeddings);
    put_generation(root, s->about);
    put_provenance(root, s->about);
    put_quality(root, s->quality);
    struct object const rights = put_object(root, "rights");
    put_pairs(rights, "labels", s->about->labels);
    put_string(rights, "model_license", s->about->model_license);
    put_run(root, s);
    put_string(
        root, "verified",
        "every file hashed as it was written, fsynced, read back from the disk and found the "
        "same; every packet of the encoders and every picture's time found in the videos");
    put_frames(root, s);
}

status sidecar_write(const char *path, const struct sidecar *s)
{
    const char *refused = NULL;
    struct object const root = { json_object(), &refused };
    struct written written;
    status st = ST_OK;
    char *text = NULL;

    put_all(root, s);
    if (refused)
        FAIL_OUT(ST_ARG, "%s: %s: not UTF-8, not finite, or no memory for it", path, refused);
    text = json_write(root.json, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    if (!text) FAIL_OUT(ST_NOMEM, "%s: no memory for its text", path);
    TRY_OUT(write_checked(path, text, strlen(text), &written));
out:
    free(text);
    json_decref(root.json);
    return st;
}
