#include "pipeline/engine/workload.h"
#include "jobs/spec/clip.h"
#include "pipeline/engine/card_line.h"
#include "pipeline/engine/output_formats.h"
#include "pipeline/text/clean/text_clean.h"
#include "pipeline/text/tokenizer.h"
#include "pipeline/vae/vae.h"

#include <stdlib.h>
#include <string.h>

enum { PROMPTS = 1 << 20 };

/* Prompts of all clips, as they are collected. */
struct prompts {
    char **text;
    size_t count, cap;
};

static status take_prompt(struct prompts *p, const char *text)
{
    if (p->count == p->cap) {
        size_t const cap = p->cap ? 2 * p->cap : 64;
        char **const more = realloc(p->text, cap * sizeof *more);
        if (!more) return fail(ST_NOMEM, "%zu prompts", cap);
        p->text = more;
        p->cap = cap;
    }
    p->text[p->count] = str_format("%s", text);
    if (!p->text[p->count]) return fail(ST_NOMEM, "a prompt");
    p->count++;
    return ST_OK;
}

static void free_prompts(struct prompts *p)
{
    for (size_t i = 0; i < p->count; i++) free(p->text[i]);
    free(p->text);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static status count_tokens(struct workload *m, const struct tokenizer *t, const char *text,
                           int32_t *ids)
{
    char *clean = NULL;
    int tokens = 0;
    status st = ST_OK;

    TRY_OUT(text_clean(text, strlen(text), &clean));
    TRY_OUT(tokenizer_encode(t, clean, ids, m->shape.text_len, &tokens));
    m->texts++;
    m->tokens += tokens;
out:
    free(clean);
    return st;
}

/* Sorted, so that equal ones stand together. */
static status count_texts(struct workload *m, struct prompts *p)
{
    int32_t *const ids = calloc((size_t)m->shape.text_len, sizeof *ids);
    struct tokenizer *t = NULL;
    status st = ids ? ST_OK : fail(ST_NOMEM, "%d tokens", m->shape.text_len);

    TRY_OUT(st);
    if (p->count == 0) goto out;
    TRY_OUT(tokenizer_open(&t, m->card.tokenizer));
    qsort(p->text, p->count, sizeof *p->text, by_text);
    for (size_t i = 0; i < p->count; i++)
        if (i == 0 || strcmp(p->text[i - 1], p->text[i]) != 0)
            TRY_OUT(count_tokens(m, t, p->text[i], ids));
    m->contexts = m->texts > INT32_MAX - m->contexts ? INT32_MAX : m->texts + m->contexts;
out:
    tokenizer_close(&t);
    free(ids);
    return st;
}

/* For so many clips more. */
static status make_room(struct workload *m, int more)
{
    size_t const clips = (size_t)m->clips + (size_t)more;
    int64_t *const blocks = realloc(m->clip_blocks, (clips + 1) * sizeof *blocks);

    if (!blocks) return fail(ST_NOMEM, "%zu clips", clips);
    m->clip_blocks = blocks;
    return ST_OK;
}

static status take_clips(struct workload *m, struct prompts *p, const struct card *card,
                         struct job *job)
{
    struct clip_list clips = { 0 };
    status st = ST_OK;

    TRY(clip_expand(&clips, job, card, &(struct clip_options){ 0 }));
    TRY_OUT(make_room(m, clips.count));
    int64_t const bytes = clip_picture_bytes(&clips.clip[0]);
    if (bytes > m->picture_bytes) m->picture_bytes = bytes;
    for (int c = 0; c < clips.count; c++) {
        const struct clip_spec *const spec = &clips.clip[c];
        m->clip_blocks[m->clips++] = spec->blocks;
        m->blocks += spec->blocks;
        m->pictures += spec->pictures;
        for (int i = 0; i < spec->prompts; i++) {
            TRY_OUT(take_prompt(p, spec->prompt[i].text));
            int64_t const mixes = i > 0 ? spec->prompt[i].blend : 0;
            m->contexts = mixes > PROMPTS - m->contexts ? PROMPTS : m->contexts + (int)mixes;
        }
    }
    if (!m->first.name) {
        m->first = clips.clip[0];
        clips.clip[0] = (struct clip_spec){ 0 }; /* handed over */
    }
out:
    clip_free(&clips);
    return st;
}

static status read_card(struct workload *m)
{
    struct card_line line;

    TRY(card_line_read(&line, &m->card));
    m->schedule = line.schedule;
    m->policy = line.policy;
    m->shape = line.shape;
    return ST_OK;
}

static status begin(struct workload *m, struct card *card, const struct job *job,
                    const char *precision)
{
    bool const f32 = precision ? !strcmp(precision, "f32") : job->precision == CLIP_F32;

    m->job = job;
    TRY(clip_card(card, job));
    TRY(card_check_files(card, "text.encoder"));
    TRY(card_spec(&m->card, card));
    TRY(read_card(m));
    m->act = f32 ? DT_F32 : DT_BF16;
    m->width = job->clip.width;
    m->height = job->clip.height;
    m->latent_h = m->height / VAE_SCALE;
    m->latent_w = m->width / VAE_SCALE;
    TRY(vae_base(&m->vae_base, m->card.vae));
    m->text = str_format("%s", job->prompt[0].text);
    return m->text ? ST_OK : fail(ST_NOMEM, "a prompt");
}

static status check_same(const struct workload *m, const struct job *job, const char *precision)
{
    const struct job *const a = m->job;

    if (!strcmp(job->model, a->model) && job->clip.width == m->width &&
        job->clip.height == m->height && (precision || job->precision == a->precision))
        return ST_OK;
    return fail(ST_FORMAT,
                "%s: %s is %dx%d in %s with %s, and %s is %dx%d in %s with %s; one size, precision "
                "and card are allowed",
                job->node->tree->name, a->name, m->width, m->height,
                clip_precision_name(a->precision), a->model, job->name, job->clip.width,
                job->clip.height, clip_precision_name(job->precision), job->model);
}

static status take_file(struct workload *m, struct prompts *p, struct card *card,
                        struct job_file *f, const char *precision)
{
    for (int i = 0; i < f->jobs; i++) {
        if (!m->job) TRY(begin(m, card, &f->job[i], precision));
        TRY(check_same(m, &f->job[i], precision));
        TRY(take_clips(m, p, card, &f->job[i]));
    }
    return ST_OK;
}

status workload_open(struct workload *out, char *const *paths, int count, const char *precision)
{
    struct prompts p = { 0 };
    struct card card = { 0 };
    status st = ST_OK;

    *out = (struct workload){ .file = calloc((size_t)count + 1, sizeof *out->file) };
    if (!out->file) return fail(ST_NOMEM, "%d job files", count);
    for (int i = 0; i < count; i++) {
        TRY_OUT(job_load(&out->file[i], paths[i]));
        out->files++;
        TRY_OUT(take_file(out, &p, &card, &out->file[i], precision));
    }
    TRY_OUT(count_texts(out, &p));
out:
    card_close(&card);
    free_prompts(&p);
    return st;
}

void workload_close(struct workload *m)
{
    for (int i = 0; i < m->files; i++) job_close(&m->file[i]);
    clip_spec_free(&m->first);
    model_spec_free(&m->card);
    free(m->file);
    free(m->text);
    free(m->clip_blocks);
    *m = (struct workload){ 0 };
}

struct cost_facts workload_facts(const struct workload *m, struct line_mode mode)
{
    return (struct cost_facts){ .shape = &m->shape,
                                .policy = &m->policy,
                                .act = m->act,
                                .mode = mode,
                                .latent_h = m->latent_h,
                                .latent_w = m->latent_w,
                                .vae_base = m->vae_base };
}

struct dit_config workload_dit(const struct workload *m)
{
    return (struct dit_config){ .weights = m->card.weights,
                                .outer_key = m->card.outer_key,
                                .shape = m->shape,
                                .schedule = &m->schedule,
                                .act = m->act };
}

const char *workload_precision(const struct workload *m)
{
    return m->act == DT_F32 ? "f32" : "bf16";
}
