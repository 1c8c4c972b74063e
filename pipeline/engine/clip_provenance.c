#include "pipeline/engine/clip_provenance.h"
#include "pipeline/dit/noise.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static status add_prompts(struct clip_provenance *a, const struct render_clip *c)
{
    const struct clip_spec *const spec = c->spec;
    int const n = spec->prompts;

    a->prompt = calloc((size_t)n + 1, sizeof *a->prompt);
    if (!a->prompt) return fail(ST_NOMEM, "%d prompts", n);
    for (int i = 0; i < n; i++) {
        const struct clip_prompt *const p = &spec->prompt[i];
        a->prompt[i] = (struct sidecar_prompt){
            .text = p->text,
            .asked_at = p->at,
            .asked_blend = p->over,
            .block = p->block,
            .blend_blocks = p->blend,
            .first_picture = clip_first_picture(p->block, spec->frames_per_block),
        };
    }
    a->about.prompt = a->prompt;
    a->about.prompts = n;
    return ST_OK;
}

/* The sweep's values and the job's labels. */
static status add_pairs(struct clip_provenance *a, const struct render_clip *c)
{
    const struct clip_spec *const spec = c->spec;

    a->value = calloc((size_t)spec->values + 1, sizeof *a->value);
    a->label = calloc((size_t)spec->labels + 1, sizeof *a->label);
    if (!a->value || !a->label) return fail(ST_NOMEM, "%d values", spec->values + spec->labels);
    for (int i = 0; i < spec->values; i++)
        a->value[i] = (struct sidecar_pair){ spec->value[i].name, spec->value[i].value };
    for (int i = 0; i < spec->labels; i++)
        a->label[i] = (struct sidecar_pair){ spec->label[i].name, spec->label[i].value };
    a->about.values = (struct sidecar_pairs){ a->value, spec->values };
    a->about.labels = (struct sidecar_pairs){ a->label, spec->labels };
    return ST_OK;
}

static void add_model(struct clip_provenance *a, const struct model_spec *card,
                      const struct provenance_facts *facts)
{
    a->file[0] = (struct sidecar_pair){ card->weights, facts->weights_hash };
    a->file[1] = (struct sidecar_pair){ card->vae, facts->vae_hash };
    a->file[2] = (struct sidecar_pair){ card->encoder, facts->text_hash };
    a->about.model = card->name;
    a->about.family = card->family;
    a->about.model_license = card->license;
    a->about.model_files = (struct sidecar_pairs){ a->file, COUNT_OF(a->file) };
    a->about.model_hash_rule =
        "sha256 of the file; of the text encoder: names, shapes, sizes and samples (text_hash.h)";
    a->about.step = card->step;
    a->about.steps = card->steps;
    a->about.warp = card->warp;
    a->about.shift = card->shift;
    a->about.window = model_window_name(card->window);
    a->about.frames_per_block = card->frames_per_block;
    a->about.attention_frames = card->attention_frames;
    a->about.sink_frames = card->sink_frames;
}

static void add_program(struct clip_provenance *a, const struct provenance_facts *facts)
{
    const struct role_line *const line = &facts->roles->line[facts->line];

    snprintf(a->world, sizeof a->world, "%s-%ld", a->hostname, (long)getpid());
    snprintf(a->what, sizeof a->what, "encode; the stages on ranks %d to %d of %d", line->first,
             line->first + line->ranks - 1, facts->world->size);
    a->host[0] = (struct sidecar_pair){ a->hostname, a->what };
    a->library[0] = (struct sidecar_pair){ "libav", codec_libs(a->libav) };
    a->about.world = a->world;
    a->about.program = version_program;
    a->about.commit = version_commit;
    a->about.build = version_build;
    a->about.libraries = (struct sidecar_pairs){ a->library, 1 };
    a->about.backend = facts->o->backend->name;
    a->about.text_backend = facts->o->text_backend->name;
    a->about.kernels = facts->o->backend->kernels(a->kernels);
    a->about.device = facts->o->device_name;
    a->about.hosts = (struct sidecar_pairs){ a->host, 1 };
    a->about.ranks = facts->world->size;
    a->about.determinism = line_determinism_name(facts->o->mode.determinism);
    a->about.exchange = line_exchange_name(facts->o->mode.exchange);
    a->about.wire = line_wire_name(facts->o->mode.wire);
}

status clip_provenance_make(struct clip_provenance *out, const struct render_clip *c,
                            const struct provenance_facts *facts)
{
    const struct clip_spec *const spec = c->spec;
    status st = ST_OK;

    *out = (struct clip_provenance){ .about = {
                                         .task_id = spec->task_id,
                                         .content_id = spec->content_id,
                                         .job = spec->job,
                                         .clip = spec->name,
                                         .owner = spec->owner,
                                         .seed = spec->seed,
                                         .noise = NOISE_SCHEME,
                                         .scheduler = "flow-matching",
                                         .guidance = 1.0,
                                         .precision = facts->precision,
                                         .stages = c->card->steps + 1,
                                     } };
    gethostname(out->hostname, sizeof out->hostname - 1);
    add_model(out, c->card, facts);
    add_program(out, facts);
    TRY_OUT(add_prompts(out, c));
    TRY_OUT(add_pairs(out, c));
out:
    if (st != ST_OK) clip_provenance_free(out);
    return st;
}

void clip_provenance_free(struct clip_provenance *a)
{
    free(a->prompt);
    free(a->value);
    free(a->label);
    *a = (struct clip_provenance){ 0 };
}
