/* bench_file.c - the speeds of a machine as a JSON file, and what they were measured for. */
#include "cmd/bench/bench_file.h"
#include "base/file.h"
#include "base/json_build.h"
#include "base/version.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES = 1 << 20, SUBJECTS = 7, SUBJECT_TEXT = 512 };

/* What the speeds depend on, by name. */
struct subject {
    const char *name;
    char value[SUBJECT_TEXT];
};

static void describe_files(char value[SUBJECT_TEXT], const struct workload *m)
{
    int len = 0;

    value[0] = '\0';
    for (int i = 0; i < m->clip->formats && len < SUBJECT_TEXT; i++) {
        const struct clip_format *const f = &m->clip->format[i];
        len += snprintf(value + len, (size_t)(SUBJECT_TEXT - len), "%s%s crf %d %s %s threads %d",
                        i ? ", " : "", f->codec, f->crf, f->preset ? f->preset : "-", f->pix,
                        f->threads);
    }
}

static void fill_subjects(struct subject s[SUBJECTS], const struct workload *m,
                          const struct kern_backend *backend, int threads)
{
    const struct dit_shape *const d = &m->shape;
    const struct kv_policy *const p = &m->policy;
    static const char *const names[SUBJECTS] = { "transformer", "line",    "size", "precision",
                                                 "backend",     "threads", "files" };

    for (int i = 0; i < SUBJECTS; i++) s[i].name = names[i];
    snprintf(s[0].value, SUBJECT_TEXT, "dim %d, ffn %d, heads %d, layers %d, text %dx%d", d->dim,
             d->ffn_dim, d->heads, d->layers, d->text_len, d->text_dim);
    snprintf(s[1].value, SUBJECT_TEXT, "%d levels %s, %d frames per block, %d attended", p->levels,
             kv_policy_joint(p) ? "rolling" : "one by one", p->frames_per_block,
             p->attention_frames);
    snprintf(s[2].value, SUBJECT_TEXT, "%dx%d", m->clip->width, m->clip->height);
    snprintf(s[3].value, SUBJECT_TEXT, "%s", dtype_precision(m->act));
    snprintf(s[4].value, SUBJECT_TEXT, "%s", backend->name);
    snprintf(s[5].value, SUBJECT_TEXT, "%d", threads);
    describe_files(s[6].value, m);
}

/* The numbers: name, and where it stands in struct cost_parts. */
static const struct number {
    const char *name;
    size_t at;
} numbers[] = {
    { "noise_seconds", offsetof(struct cost_parts, noise) },
    { "clean_seconds", offsetof(struct cost_parts, clean) },
    { "noise_alone_seconds", offsetof(struct cost_parts, noise_alone) },
    { "clean_alone_seconds", offsetof(struct cost_parts, clean_alone) },
    { "decode_seconds", offsetof(struct cost_parts, decode) },
    { "encode_seconds", offsetof(struct cost_parts, encode) },
    { "text_seconds", offsetof(struct cost_parts, text) },
    { "link_bytes_per_second", offsetof(struct cost_parts, link) },
    { "latency_seconds", offsetof(struct cost_parts, latency) },
    { "processor_seconds_per_tensor", offsetof(struct cost_parts, message) },
    { "processor_seconds_per_byte", offsetof(struct cost_parts, byte) },
};

static double *find_number(struct cost_parts *p, size_t at)
{
    return (double *)(void *)((char *)p + at);
}

status bench_file_print(struct strbuf *out, const struct cost_parts *parts,
                        const struct workload *m, const struct kern_backend *backend)
{
    struct subject s[SUBJECTS];
    struct cost_parts p = *parts;
    char cpu[VERSION_CPU];
    json_t *o = json_object(), *about = json_object();

    fill_subjects(s, m, backend, p.threads);
    for (int i = 0; i < SUBJECTS; i++) json_set(&about, s[i].name, json_string(s[i].value));
    json_set(&o, "bench", json_integer(1));
    json_set(&o, "program", json_string(version_program));
    json_set(&o, "cpu", json_string(version_cpu(cpu)));
    json_set(&o, "for", about);
    for (int i = 0; i < COUNT_OF(numbers); i++)
        json_set(&o, numbers[i].name, json_real(*find_number(&p, numbers[i].at)));
    bool const whole = json_append(out, o, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(o);
    return whole ? ST_OK : fail(ST_NOMEM, "no memory to print the speeds");
}

static status check_subjects(const json_t *about, const char *path, const struct subject *s)
{
    for (int i = 0; i < SUBJECTS; i++) {
        const char *const found = json_string_value(json_object_get(about, s[i].name));
        if (!found) return fail(ST_FORMAT, "%s: for.%s: missing; a text", path, s[i].name);
        if (strcmp(found, s[i].value) != 0)
            return fail(ST_FORMAT, "%s: measured for %s `%s`; this plan is for `%s`", path,
                        s[i].name, found, s[i].value);
    }
    return ST_OK;
}

static status read_numbers(const json_t *o, const char *path, struct cost_parts *out)
{
    for (int i = 0; i < COUNT_OF(numbers); i++) {
        const json_t *const v = json_object_get(o, numbers[i].name);
        double const value = json_number_value(v);
        if (!json_is_number(v) || !(value > 0 && isfinite(value)))
            return fail(ST_FORMAT, "%s: %s: a number above 0 is allowed", path, numbers[i].name);
        *find_number(out, numbers[i].at) = value;
    }
    out->estimated = false;
    return ST_OK;
}

static int read_threads(const json_t *o)
{
    const char *const text =
        json_string_value(json_object_get(json_object_get(o, "for"), "threads"));
    return text ? (int)strtol(text, NULL, 10) : 0;
}

status bench_file_read(struct cost_parts *out, const char *path, const struct workload *m,
                       const struct kern_backend *backend, int threads)
{
    struct subject s[SUBJECTS];
    json_error_t error;
    json_t *o = NULL;
    char *text = NULL;
    size_t len;
    status st = ST_OK;

    TRY(file_read(path, FILE_BYTES, &text, &len));
    o = json_read(text, len, 0, &st, &error);
    if (st == ST_NOMEM) FAIL_OUT(ST_NOMEM, "%s: %s", path, error.text);
    if (!o || json_integer_value(json_object_get(o, "bench")) != 1)
        FAIL_OUT(ST_FORMAT, "%s: not what `rollmill bench --for JOB --json` prints%s%s", path,
                 o ? "" : ": ", o ? "" : error.text);
    if (!threads) threads = read_threads(o);
    fill_subjects(s, m, backend, threads);
    TRY_OUT(check_subjects(json_object_get(o, "for"), path, s));
    TRY_OUT(read_numbers(o, path, out));
    out->threads = threads;
out:
    json_decref(o);
    free(text);
    return st;
}
