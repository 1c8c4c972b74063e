/* clip_provenance.c - what clip.json says of a clip before it is rendered: what was asked for,
 * the model's files, the program, and where it runs. */
#include "base/version.h"
#include "pipeline/dit/noise.h"
#include "pipeline/engine/engine_internal.h"
#include "pipeline/output/av/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static status add_prompts(struct clip_provenance *a, const struct clip_spec *c)
{
    a->prompt = calloc((size_t)c->prompts + 1, sizeof *a->prompt);
    if (!a->prompt) return fail(ST_NOMEM, "%d prompts", c->prompts);
    for (int i = 0; i < c->prompts; i++) {
        const struct clip_prompt *const p = &c->prompt[i];
        a->prompt[i] = (struct sidecar_prompt){
            .text = p->text,
            .asked_at = p->at,
            .asked_blend = p->over,
            .block = p->block,
            .blend_blocks = p->blend,
            .change = p->change ? clip_change_name(p->change) : NULL,
            .first_picture = clip_first_picture(p->block, c->frames_per_block),
        };
    }
    a->about.prompt = a->prompt;
    a->about.prompts = c->prompts;
    return ST_OK;
}

static status copy_pairs(struct sidecar_pair **out, const struct clip_pair *from, int count)
{
    *out = calloc((size_t)count + 1, sizeof **out);
    if (!*out) return fail(ST_NOMEM, "%d values", count);
    for (int i = 0; i < count; i++)
        (*out)[i] = (struct sidecar_pair){ from[i].name, from[i].value };
    return ST_OK;
}

/* The sweep's values and the job's labels. */
static status add_pairs(struct clip_provenance *a, const struct clip_spec *c)
{
    TRY(copy_pairs(&a->value, c->value, c->values));
    TRY(copy_pairs(&a->label, c->label, c->labels));
    a->about.values = (struct sidecar_pairs){ a->value, c->values };
    a->about.labels = (struct sidecar_pairs){ a->label, c->labels };
    return ST_OK;
}

static void copy_model(struct clip_provenance *a, const struct group *t)
{
    const struct model_spec *const m = &t->model;

    a->file[0] = (struct sidecar_pair){ m->weights, t->weights_hash };
    a->file[1] = (struct sidecar_pair){ m->vae, t->vae_hash };
    a->file[2] = (struct sidecar_pair){ m->encoder, t->text_hash };
    for (int i = 0; i < m->loras; i++) {
        const struct model_lora *const l = &m->lora[i];
        a->file[3 + i] = (struct sidecar_pair){ l->file, t->lora_hash[i] };
        a->lora[i] = (struct sidecar_lora){ l->file, l->rank, l->alpha, l->scale };
    }
    a->about.lora = a->lora;
    a->about.loras = m->loras;
    a->about.model = m->name;
    a->about.family = m->family;
    a->about.model_license = m->license;
    a->about.model_files = (struct sidecar_pairs){ a->file, 3 + m->loras };
    a->about.model_id_rule =
        m->whole ? "whole files" : "whole files up to 64 MiB, of larger ones samples";
    a->about.model_hash_rule =
        "sha256 of the file, of several files of their hashes and names; of the text encoder: names, "
        "shapes, sizes and samples (text_hash.c)";
    a->about.step = m->step;
    a->about.steps = m->steps;
    if (m->first_steps) a->about.first_step = m->first_step;
    a->about.first_steps = m->first_steps;
    a->about.warp = m->warp;
    a->about.shift = m->shift;
    a->about.window = kv_window_name(m->window);
    a->about.frames_per_block = m->frames_per_block;
    a->about.attention_frames = m->attention_frames;
    a->about.sink_frames = m->sink_frames;
    if (!kv_rule_is_plain(m->rule, m->key)) {
        a->about.policy = kv_rule_name(m->rule);
        for (int i = 0; i < KV_KEYS_COUNT; i++)
            if (kv_key_bounds(m->rule, (enum kv_key)i)) {
                a->about.policy_key[a->about.policy_keys] = kv_key_name((enum kv_key)i);
                a->about.policy_value[a->about.policy_keys++] = m->key[i];
            }
    }
    if (m->profile.layers) a->about.heads = &m->profile;
    if (m->sink) a->about.sink_positions = kv_sink_name(m->sink);
}

static void add_numerics(struct clip_provenance *a, const struct clip_numerics *n)
{
    int asked = 0;

    for (int k = 0; k < CLIP_NUMERICS; k++)
        if (clip_numeric_word(a->asked_word[k], n, (enum clip_numeric_key)k))
            a->asked[asked++] = (struct sidecar_pair){ clip_numeric_name((enum clip_numeric_key)k),
                                                       a->asked_word[k] };
    a->about.numerics = (struct sidecar_pairs){ a->asked, asked };
}

static void add_start(struct clip_provenance *a, const struct live_clip *c)
{
    const struct clip_start *const s = &c->spec.start;

    if (s->kind == CLIP_START_NONE) return;
    a->about.start = clip_start_name(s->kind);
    a->about.start_file = s->file;
    a->about.start_sha256 = s->sha256;
    a->about.start_blocks = c->given_blocks;
}

static void add_program(struct clip_provenance *a, const struct group *t, int line)
{
    const struct role_line *const l = &t->g.roles.line[line];
    const struct engine_options *const o = &t->g.o;

    snprintf(a->world, sizeof a->world, "%s-%ld", a->hostname, (long)getpid());
    snprintf(a->what, sizeof a->what, "encode; the stages on ranks %d to %d of %d", l->first,
             l->first + l->ranks - 1, t->world->size);
    a->host[0] = (struct sidecar_pair){ a->hostname, a->what };
    a->library[0] = (struct sidecar_pair){ "libav", codec_libs(a->libav) };
    a->about.world = a->world;
    a->about.program = version_program;
    a->about.commit = version_commit;
    a->about.build = version_build;
    a->about.libraries = (struct sidecar_pairs){ a->library, 1 };
    a->about.backend = o->backend->name;
    a->about.text_backend = o->text_backend->name;
    a->about.kernels = o->backend->kernels(a->kernels);
    a->about.device = o->device_name;
    a->about.hosts = (struct sidecar_pairs){ a->host, 1 };
    a->about.ranks = t->world->size;
    a->about.determinism = line_determinism_name(o->mode.determinism);
    a->about.exchange = line_exchange_name(o->mode.exchange);
    a->about.wire = line_wire_name(o->mode.wire);
}

status clip_provenance_make(struct clip_provenance *out, const struct group *t,
                            const struct live_clip *c)
{
    const struct clip_spec *const spec = &c->spec;
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
                                         .precision = dtype_precision(t->g.act),
                                         .stages = t->model.steps + 1,
                                     } };
    gethostname(out->hostname, sizeof out->hostname - 1);
    copy_model(out, t);
    add_program(out, t, c->line);
    add_start(out, c);
    add_numerics(out, &spec->numerics);
    out->about.numerics_id = t->numerics;
    TRY_OUT(add_prompts(out, spec));
    TRY_OUT(add_pairs(out, spec));
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
