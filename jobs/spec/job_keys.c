/* job_keys.c - every key of a job, as tables; docs/job.md is checked against them. */
#include "base/digest.h"
#include "jobs/spec/spec_internal.h"

#include <string.h>

#define LATER "remove the key"

const struct job_draft job_defaults = {
    .job = {
        .priority = 50,
        .precision = CLIP_BF16,
        .clip = { .width = 832, .height = 480, .fps = { 16, 1 } },
        .quantize = JOB_QUANTIZE_WARN,
        .sweep.max_clips = 10000,
        .output = { .on_exists = JOB_SKIP,
                    .latents_dtype = "bf16",
                    .embeddings_dtype = "bf16",
                    .preview_columns = 6 },
        .run = { .max_failed = -1, .errors = 3, .crashes = 5, .preempts = 20,
                 .backoff = { .micros = 30000000 },
                 .checkpoint = { .micros = 20000000 } },
    },
    .dir = "out",
    .choice = { -1, -1, -1 },
};

#define AT(member) offsetof(struct job_draft, member)

static status read_name(const struct tree_node *n, void *to)
{
    size_t const len = n->kind == TREE_SCALAR ? strlen(n->text) : 0;

    if (!len || len > 64 || strspn(n->text, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return tree_refuse(n, "1 to 64 characters a-z 0-9 -");
    *(const char **)to = n->text;
    return ST_OK;
}

static status read_size(const struct tree_node *n, void *to)
{
    struct job_clip *const c = to;
    return field_size(n, &c->width, &c->height);
}

static status read_fps(const struct tree_node *n, void *to)
{
    if (n->kind != TREE_SCALAR || !value_rate(n->text, to))
        return tree_refuse(n, "a rate such as 24 or 24000/1001, from 1, below 240");
    return ST_OK;
}

static status read_sha256(const struct tree_node *n, void *to)
{
    bool const is_text = n->kind == TREE_SCALAR && strlen(n->text) == DIGEST_HEX - 1;

    if (!is_text || strspn(n->text, "0123456789abcdef") != DIGEST_HEX - 1)
        return tree_refuse(n, "the 64 digits 0-9 a-f that `rollmill check` prints of the model");
    return field_node(n, to);
}

static status read_seed(const struct tree_node *n, void *to)
{
    if (n->kind != TREE_SCALAR || !value_u64(n->text, to))
        return tree_refuse(n, "a whole number below 2^64, without leading zeros");
    return ST_OK;
}

/* ---- the parts ---- */

#define CHOICE(key, where, words)                                                                  \
    {                                                                                              \
        .name = (key), .type = FIELD_CHOICE, .to = AT(where), .allowed = (words)                   \
    }
#define PATH(key, where, must)                                                                     \
    {                                                                                              \
        .name = (key), .type = FIELD_PATH, .to = AT(where), .max = 4096, .required = (must)        \
    }
#define NODE(key, where)                                                                           \
    {                                                                                              \
        .name = (key), .type = FIELD_READ, .to = AT(where), .read = field_node                     \
    }
#define REFUSED(key, instead)                                                                      \
    {                                                                                              \
        .name = (key), .type = FIELD_REFUSED, .allowed = (instead)                                 \
    }

static const char precisions[] = "bf16|f32";
static const char exists[] = "skip|error|version";

static const struct field model_fields[] = {
    PATH("path", model, true),
    CHOICE("precision", job.precision, precisions),
    { .name = "sha256", .type = FIELD_READ, .to = AT(job.model_sha256), .read = read_sha256 },
};
static const struct field_table model_table = { "model", model_fields, COUNT_OF(model_fields) };

static status read_model(const struct tree_node *n, void *to)
{
    if (n->kind == TREE_MAP) return field_read(n, &model_table, to);
    return field_path(n, 4096, &((struct job_draft *)to)->model);
}

static const struct field numerics_fields[] = {
    CHOICE("wire", choice[CLIP_WIRE], CLIP_WIRE_CHOICES),
    CHOICE("determinism", choice[CLIP_DETERMINISM], CLIP_DETERMINISM_CHOICES),
    CHOICE("kernels", choice[CLIP_KERNELS], CLIP_KERNELS_CHOICES),
};
static const struct field_table numerics_table = { "numerics", numerics_fields,
                                                   COUNT_OF(numerics_fields) };

static status read_numerics(const struct tree_node *n, void *to)
{
    struct job_draft *const d = to;

    TRY(field_read(n, &numerics_table, d));
    d->job.numerics_node = n;
    for (int k = 0; k < CLIP_NUMERICS; k++) d->job.numerics.choice[k] = d->choice[k] + 1;
    return ST_OK;
}

static const struct field clip_fields[] = {
    { .name = "size", .type = FIELD_READ, .to = AT(job.clip), .read = read_size },
    { .name = "fps", .type = FIELD_READ, .to = AT(job.clip.fps), .read = read_fps },
    { .name = "length",
      .type = FIELD_READ,
      .to = AT(job.clip.length),
      .read = duration_read,
      .required = true,
      .allowed = DURATION_FORM },
    { .name = "seed", .type = FIELD_READ, .to = AT(job.clip.seed), .read = read_seed },
    REFUSED("steps", "remove the key; the model card has the steps"),
    REFUSED("guidance", "remove the key; these models run without guidance"),
    REFUSED("negative", "remove the key; these models run without guidance"),
};
static const struct field_table clip_table = { "clip", clip_fields, COUNT_OF(clip_fields) };

static const struct field prompt_fields[] = {
    { .name = "at",
      .type = FIELD_READ,
      .to = offsetof(struct job_prompt, at),
      .read = duration_read,
      .required = true,
      .allowed = DURATION_FORM },
    { .name = "text",
      .type = FIELD_TEXT,
      .to = offsetof(struct job_prompt, text),
      .max = JOB_PROMPT_BYTES,
      .required = true },
    { .name = "blend",
      .type = FIELD_READ,
      .to = offsetof(struct job_prompt, blend),
      .read = duration_read },
    { .name = "change",
      .type = FIELD_CHOICE,
      .to = offsetof(struct job_prompt, change),
      .allowed = "blend|cut|recache" },
};
const struct field_table job_prompt_table = { "prompts[]", prompt_fields, COUNT_OF(prompt_fields) };

static const struct field sweep_fields[] = {
    { .name = "axes", .type = FIELD_READ, .to = AT(axes), .read = field_node, .required = true },
    NODE("combine", job.sweep.combine_node),
    { .name = "max_clips",
      .type = FIELD_INT,
      .to = AT(job.sweep.max_clips),
      .min = 1,
      .max = AXIS_VALUES },
};
static const struct field_table sweep_table = { "sweep", sweep_fields, COUNT_OF(sweep_fields) };

static status read_sweep(const struct tree_node *n, void *to)
{
    struct job_draft *const d = to;

    TRY(field_read(n, &sweep_table, d));
    d->job.sweep.node = n;
    if (!d->job.sweep.combine_node) return ST_OK;
    const char *text;
    return field_text(d->job.sweep.combine_node, 1024, &text);
}

static status read_dtype(const struct tree_node *n, void *to)
{
    int which;

    TRY(field_choice(n, precisions, &which));
    *(const char **)to = n->text;
    return ST_OK;
}

static status read_ending(const struct tree_node *n, const char *end, void *to)
{
    TRY(field_file_name(n, to));
    size_t const len = strlen(n->text), tail = strlen(end);
    char allowed[64];

    if (len > tail && !strcmp(n->text + len - tail, end)) return ST_OK;
    strcpy(allowed, "a file name that ends in ");
    strcat(allowed, end);
    return tree_refuse(n, allowed);
}

static status read_safetensors(const struct tree_node *n, void *to)
{
    return read_ending(n, ".safetensors", to);
}

static status read_png(const struct tree_node *n, void *to) { return read_ending(n, ".png", to); }

static const struct field latents_fields[] = {
    { .name = "file",
      .type = FIELD_READ,
      .to = AT(job.output.latents),
      .read = read_safetensors,
      .required = true },
    { .name = "dtype", .type = FIELD_READ, .to = AT(job.output.latents_dtype), .read = read_dtype },
};
static const struct field_table latents_table = { "output.latents", latents_fields,
                                                  COUNT_OF(latents_fields) };

static const struct field embeddings_fields[] = {
    { .name = "file",
      .type = FIELD_READ,
      .to = AT(job.output.embeddings),
      .read = read_safetensors,
      .required = true },
    { .name = "dtype",
      .type = FIELD_READ,
      .to = AT(job.output.embeddings_dtype),
      .read = read_dtype },
};
static const struct field_table embeddings_table = { "output.embeddings", embeddings_fields,
                                                     COUNT_OF(embeddings_fields) };

static const struct field preview_fields[] = {
    { .name = "file",
      .type = FIELD_READ,
      .to = AT(job.output.preview),
      .read = read_png,
      .required = true },
    { .name = "columns",
      .type = FIELD_INT,
      .to = AT(job.output.preview_columns),
      .min = 1,
      .max = 32 },
};
static const struct field_table preview_table = { "output.preview", preview_fields,
                                                  COUNT_OF(preview_fields) };

/* Pictures are BT.709, limited range: three keys can only say so; transfer chooses the tag. */
static const struct field colour_fields[] = {
    CHOICE("matrix", only, "bt709"),
    CHOICE("primaries", only, "bt709"),
    CHOICE("transfer", job.output.transfer, "bt709|srgb"),
    CHOICE("range", only, "tv"),
};
static const struct field_table colour_table = { "output.colour", colour_fields,
                                                 COUNT_OF(colour_fields) };

static status read_output_name(const struct tree_node *n, void *to)
{
    struct job *const j = &((struct job_draft *)to)->job;

    TRY(field_text(n, 512, &j->output.name));
    j->output.name_node = n;
    return ST_OK;
}

static const struct field output_fields[] = {
    PATH("dir", dir, false),
    { .name = "name", .type = FIELD_READ, .read = read_output_name },
    CHOICE("on_exists", job.output.on_exists, exists),
    NODE("formats", formats),
    { .name = "latents", .type = FIELD_MAP, .map = &latents_table },
    { .name = "preview", .type = FIELD_MAP, .map = &preview_table },
    { .name = "colour", .type = FIELD_MAP, .map = &colour_table },
    { .name = "embeddings", .type = FIELD_MAP, .map = &embeddings_table },
    { .name = "extendable", .type = FIELD_BOOL, .to = AT(job.output.extendable) },
    REFUSED("metadata", "remove the key; clip.json is always written in full"),
};
static const struct field_table output_table = { "output", output_fields, COUNT_OF(output_fields) };

/* A count, or a share of the clips in percent. */
static status read_max_failed(const struct tree_node *n, void *to)
{
    struct job_run *const r = to;
    char digits[16] = "";
    size_t const len = n->kind == TREE_SCALAR ? strlen(n->text) : 0;
    bool const percent = len > 1 && n->text[len - 1] == '%';
    uint64_t value;

    if (len - percent < sizeof digits) memcpy(digits, n->text, len - percent);
    if (!value_u64(digits, &value) || value > (percent ? 100 : AXIS_VALUES))
        return tree_refuse(n, "a number of clips up to 200000, or a share such as 5%");
    r->max_failed = (int)value;
    r->max_failed_in_percent = percent;
    return ST_OK;
}

static status read_time(const struct tree_node *n, void *to)
{
    struct duration *const d = to;

    TRY(duration_read(n, d));
    return d->pictures ? tree_refuse(n, "a time such as 30s") : ST_OK;
}

static const struct field retries_fields[] = {
    { .name = "error", .type = FIELD_INT, .to = AT(job.run.errors), .max = 1000 },
    { .name = "crash", .type = FIELD_INT, .to = AT(job.run.crashes), .max = 1000 },
    { .name = "preempt", .type = FIELD_INT, .to = AT(job.run.preempts), .max = 100000 },
    { .name = "backoff", .type = FIELD_READ, .to = AT(job.run.backoff), .read = read_time },
};
static const struct field_table retries_table = { "run.retries", retries_fields,
                                                  COUNT_OF(retries_fields) };

static status read_timeout(const struct tree_node *n, void *to)
{
    struct duration *const d = to;

    TRY(read_time(n, d));
    return d->micros < 1000000 ? tree_refuse(n, "a time from 1s to 24h") : ST_OK;
}

static status read_grace(const struct tree_node *n, void *to)
{
    enum { GRACE_S = 600 };
    struct duration *const d = to;

    TRY(read_time(n, d));
    bool const fits = d->micros >= 1000000 && d->micros <= (int64_t)GRACE_S * 1000000;
    return fits ? ST_OK : tree_refuse(n, "a time from 1s to 600s");
}

#define WORLDS "remove the key; --deadline and --stall of `render` and `work` say so for a world"

static const struct field timeouts_fields[] = {
    { .name = "clip", .type = FIELD_READ, .to = AT(job.run.clip), .read = read_timeout },
    { .name = "stall", .type = FIELD_READ, .to = AT(job.run.stall), .read = read_timeout },
    REFUSED("setup", WORLDS),
    REFUSED("chunk", WORLDS),
    REFUSED("encode", WORLDS),
};
static const struct field_table timeouts_table = { "run.timeouts", timeouts_fields,
                                                   COUNT_OF(timeouts_fields) };

static const struct field run_fields[] = {
    { .name = "checkpoint",
      .type = FIELD_READ,
      .to = AT(job.run.checkpoint),
      .read = duration_read },
    { .name = "max_worlds",
      .type = FIELD_INT,
      .to = AT(job.run.max_worlds),
      .min = 1,
      .max = 1000000 },
    { .name = "max_failed", .type = FIELD_READ, .to = AT(job.run), .read = read_max_failed },
    { .name = "retries", .type = FIELD_MAP, .map = &retries_table },
    REFUSED("gpus", LATER),
    REFUSED("requires", LATER),
    { .name = "timeouts", .type = FIELD_MAP, .map = &timeouts_table },
    { .name = "grace", .type = FIELD_READ, .to = AT(job.run.grace), .read = read_grace },
};
static const struct field_table run_table = { "run", run_fields, COUNT_OF(run_fields) };

static status read_run(const struct tree_node *n, void *to)
{
    TRY(field_read(n, &run_table, to));
    ((struct job_draft *)to)->job.run.given =
        tree_find(n, "max_worlds") || tree_find(n, "max_failed") || tree_find(n, "retries");
    return ST_OK;
}

static const struct field after_fields[] = {
    { .name = "job",
      .type = FIELD_TEXT,
      .to = offsetof(struct job_after, job),
      .max = 80,
      .required = true },
    { .name = "when",
      .type = FIELD_CHOICE,
      .to = offsetof(struct job_after, any),
      .allowed = "success|any" },
};
const struct field_table job_after_table = { "after[]", after_fields, COUNT_OF(after_fields) };

static const struct field job_fields[] = {
    { .name = "render",
      .type = FIELD_INT,
      .to = AT(version),
      .min = 1,
      .max = 1,
      .required = true,
      .allowed = "render: 1" },
    { .name = "name", .type = FIELD_READ, .to = AT(job.name), .read = read_name, .required = true },
    { .name = "owner", .type = FIELD_TEXT, .to = AT(job.owner), .max = 256 },
    { .name = "priority", .type = FIELD_INT, .to = AT(job.priority), .max = 100 },
    { .name = "model",
      .type = FIELD_READ,
      .read = read_model,
      .required = true,
      .allowed = "the path of a model card" },
    { .name = "numerics", .type = FIELD_READ, .read = read_numerics },
    NODE("lora", lora),
    NODE("window", job.window),
    NODE("prompt", prompt),
    NODE("prompts", prompts),
    { .name = "start", .type = FIELD_READ, .to = AT(job.start), .read = start_read },
    CHOICE("quantize", job.quantize, "warn|error"),
    CHOICE("long_prompts", job.long_prompts, "warn|error"),
    { .name = "clip",
      .type = FIELD_MAP,
      .map = &clip_table,
      .required = true,
      .allowed = "a map such as {length: 30s}" },
    { .name = "sweep", .type = FIELD_READ, .read = read_sweep },
    { .name = "output", .type = FIELD_MAP, .map = &output_table },
    NODE("labels", job.labels),
    { .name = "run", .type = FIELD_READ, .read = read_run },
    NODE("after", after),
    REFUSED("dataset", LATER),
    REFUSED("extensions", LATER),
};
const struct field_table job_table = { "", job_fields, COUNT_OF(job_fields) };

const struct field_table *const job_tables[] = {
    &job_table,        &model_table,   &numerics_table, &lora_table,      &clip_table,
    &job_prompt_table, &start_table,   &sweep_table,    &axis_table,      &output_table,
    &format_table,     &latents_table, &preview_table,  &colour_table,    &embeddings_table,
    &run_table,        &retries_table, &timeouts_table, &job_after_table, NULL,
};

const char *job_exists_name(int on_exists)
{
    return on_exists == JOB_SKIP ? "skip" : on_exists == JOB_ERROR ? "error" : "version";
}
