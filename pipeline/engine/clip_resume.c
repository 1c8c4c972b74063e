/*
 * clip_resume.c - when checkpoints are made, what makes two renders of a clip the same to the bit,
 * and the search for what to go on from: an attempt, or the shorter clip that is extended.
 *
 * Bits depend on the program, on what computes and encodes, on the model's files, on the mode and
 * on what the clip asks for; not on threads, ranks, or how they are shared out (in strict; in batch
 * these round otherwise, with a stop or without). A snapshot says all of this in lines; whoever
 * has other lines begins the clip anew, and says which line it was.
 */
#define _XOPEN_SOURCE 700 /* realpath */
#include "base/log.h"
#include "base/strbuf.h"
#include "base/version.h"
#include "jobs/spec/spec_json.h"
#include "pipeline/engine/engine_internal.h"
#include "pipeline/output/av/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- checkpoints ------------------------------------------------------------------------ */

bool clip_checkpoint_due(const struct live_clip *c, int64_t blocks)
{
    int64_t const every = c->spec.checkpoint;

    return every > 0 && blocks % every == 0 && blocks < c->spec.blocks;
}

int clip_window_blocks(const struct group *t, const struct live_clip *c, int64_t blocks)
{
    int64_t const left = c->spec.blocks - blocks, most = t->g.policy.levels - 1;

    if (!kv_policy_joint(&t->g.policy)) return 0;
    return (int)(left < most ? left : most);
}

int64_t clip_extension_blocks(const struct group *t, const struct live_clip *c)
{
    const struct kv_policy *const p = &t->g.policy;
    int64_t const drain = kv_policy_joint(p) ? p->levels - 1 : 0;
    /* At least one is made again: a longer clip may have no more blocks, only more pictures. */
    int64_t const blocks = c->spec.blocks - (drain > 1 ? drain : 1);

    /* Behind given blocks no window is handed out. */
    return c->spec.extendable && blocks > c->given_blocks ? blocks : 0;
}

bool clip_window_due(const struct group *t, const struct live_clip *c, int64_t blocks)
{
    return clip_checkpoint_due(c, blocks) || blocks == clip_extension_blocks(t, c);
}

/* ---- identity --------------------------------------------------------------------------- */

/* A text of many lines as one. */
static status add_hash(struct strbuf *out, const char *name, const struct strbuf *text)
{
    char hex[DIGEST_HEX];

    TRY(digest_bytes(text->s, text->len, hex));
    strbuf_addf(out, "%s %s\n", name, hex);
    return ST_OK;
}

static status hash_model(struct strbuf *out, const struct group *t)
{
    struct strbuf json = { 0 };
    status st = ST_OK;

    TRY_OUT(model_spec_asked_json(&json, &t->model));
    TRY_OUT(add_hash(out, "card", &json));
    strbuf_addf(out, "weights %s\nvae %s\ntext-encoder %s\n", t->weights_hash, t->vae_hash,
                t->text_hash);
out:
    strbuf_free(&json);
    return st;
}

/* The same, wherever its files lie: their hashes say what they are. */
static status hash_numbers(struct strbuf *out, const struct group *t)
{
    struct strbuf json = { 0 };
    struct model_lora lora[MODEL_LORAS];
    struct model_spec numbers = t->model; /* shallow: nothing of it is freed */
    char none[] = "";
    status st = ST_OK;

    numbers.name = numbers.license = numbers.card = numbers.weights = numbers.config =
        numbers.encoder = numbers.tokenizer = numbers.vae = none;
    numbers.files = 0;
    numbers.lora = lora;
    for (int i = 0; i < numbers.loras; i++) {
        lora[i] = t->model.lora[i];
        lora[i].file = (char *)(uintptr_t)t->lora_hash[i]; /* not written to */
    }
    TRY_OUT(model_spec_to_json(&json, &numbers));
    TRY_OUT(add_hash(out, "model", &json));
    strbuf_addf(out, "weights %s\nvae %s\ntext-encoder %s\n", t->weights_hash, t->vae_hash,
                t->text_hash);
out:
    strbuf_free(&json);
    return st;
}

/* All that the clip asks for, but for what becomes of it when it is made. */
static status add_clip(struct strbuf *out, const struct clip_spec *spec)
{
    struct strbuf json = { 0 };
    struct clip_spec asked = *spec; /* shallow: nothing of it is freed */
    status st = ST_OK;

    asked.owner = asked.dir = asked.extends = NULL;
    asked.priority = 0;
    asked.timeout_ms = asked.stall_ms = asked.grace_ms = 0;
    asked.labels = 0;
    asked.job = asked.name;
    asked.index = 0;
    TRY_OUT(clip_spec_to_json(&json, &asked));
    TRY_OUT(add_hash(out, "clip", &json));
    strbuf_addf(out, "blocks %lld\ncheckpoint %lld\n", (long long)spec->blocks,
                (long long)spec->checkpoint);
out:
    strbuf_free(&json);
    return st;
}

/* Shallow, but for its ids: nothing of it is freed. */
static struct clip_spec without_length(const struct clip_spec *spec)
{
    struct clip_spec any = *spec;

    any.pictures = any.blocks = 1;
    any.content_id[0] = any.task_id[0] = '\0';
    any.name = any.job; /* and not its folder's */
    any.start.file = NULL;
    return any;
}

static void add_means(struct strbuf *out, const struct group *t)
{
    const struct engine_options *const o = &t->g.o;
    char mode[LINE_MODE_TEXT], kernels[KERN_TEXT], text_kernels[KERN_TEXT], libs[CODEC_LIBS];

    strbuf_addf(out, "program %s %s %s\n", version_program, version_commit, version_build);
    strbuf_addf(out, "backend %s\nkernels %s\n", o->backend->name, o->backend->kernels(kernels));
    strbuf_addf(out, "text-backend %s\ntext-kernels %s\n", o->text_backend->name,
                o->text_backend->kernels(text_kernels));
    strbuf_addf(out, "device %s\nmode %s\nprecision %s\nlibav %s\n", o->device_name,
                line_mode_text(o->mode, mode), dtype_precision(t->g.act), codec_libs(libs));
}

status clip_identity(struct strbuf *out, const struct group *t, const struct clip_spec *spec)
{
    add_means(out, t);
    TRY(hash_model(out, t));
    TRY(add_clip(out, spec));
    return out->failed ? fail(ST_NOMEM, "clip %s: no memory", spec->name) : ST_OK;
}

status clip_extension_identity(struct strbuf *out, const struct group *t,
                               const struct clip_spec *spec)
{
    struct clip_spec const any = without_length(spec);

    add_means(out, t);
    TRY(hash_numbers(out, t));
    TRY(add_clip(out, &any));
    return out->failed ? fail(ST_NOMEM, "clip %s: no memory", spec->name) : ST_OK;
}

/* ---- what is kept with a clip that can be extended ----------------------------------------- */

static status write_model(struct strbuf *out, const struct model_spec *m, const char *here)
{
    struct strbuf json = { 0 };
    struct model_spec own = { 0 };
    status st = ST_OK;

    TRY_OUT(model_spec_to_json(&json, m));
    TRY_OUT(model_spec_from_json(&own, json.s, json.len));
    TRY_OUT(model_spec_resolve_paths(&own, here));
    st = model_spec_to_json(out, &own);
out:
    model_spec_free(&own);
    strbuf_free(&json);
    return st;
}

/* Paths no longer depend on where this process stands, nor on where the clip lies. */
status clip_extension_specs(struct strbuf *clip, struct strbuf *model, const struct group *t,
                            const struct clip_spec *spec)
{
    struct clip_spec asked = *spec; /* shallow: only the path of its start is its own */
    char *const here = realpath(".", NULL);
    status st = ST_OK;

    asked.dir = asked.extends = asked.start.file = NULL;
    if (!here) return fail(ST_IO, "the working folder: %s", strerror(errno));
    if (spec->start.file) asked.start.file = path_join(here, spec->start.file);
    if (spec->start.file && !asked.start.file) FAIL_OUT(ST_NOMEM, "clip %s: no memory", spec->name);
    TRY_OUT(clip_spec_to_json(clip, &asked));
    st = write_model(model, &t->model, here);
out:
    /* Nothing is wrong with the clip, nor with an attempt at it. */
    if (st == ST_FORMAT)
        st = fail(ST_IO,
                  "output.extendable: whole paths are kept, and the working folder's name is not "
                  "UTF-8: %s",
                  here);
    free(asked.start.file);
    free(here);
    return st;
}

static status check_specs(const struct group *t, const struct clip_spec *spec)
{
    struct strbuf clip = { 0 }, model = { 0 };
    status const st = clip_extension_specs(&clip, &model, t, spec);

    strbuf_free(&clip);
    strbuf_free(&model);
    return st;
}

/* ---- the search ------------------------------------------------------------------------- */

/* Checksums are right whoever wrote a snapshot; its numbers may be none that a render leaves. */
struct judge {
    const struct group *t;
    const struct live_clip *c;
    struct kv_state choices; /* of a policy that chooses: what the blocks up to here have chosen */
};

static status judge_sizes(const struct judge *j, const struct snapshot *s)
{
    int const windows = clip_window_blocks(j->t, j->c, s->blocks);

    if (s->latent != group_block_record(&j->t->g))
        return fail(ST_FORMAT, "latents of %lld numbers; this model's have %lld",
                    (long long)s->latent, (long long)group_block_record(&j->t->g));
    if (s->blocks >= j->c->spec.blocks || s->windows < windows)
        return fail(ST_FORMAT, "%lld blocks and a window of %d; up to %lld and %d are allowed",
                    (long long)s->blocks, s->windows, (long long)(j->c->spec.blocks - 1), windows);
    return ST_OK;
}

static status judge_block(void *arg, const struct snapshot *s, int64_t block, const float *latent)
{
    struct judge *const j = arg;

    if (block == 0) {
        TRY(judge_sizes(j, s));
        if (j->choices.choice) kv_state_reset(&j->choices);
    }
    if (!j->choices.choice) return ST_OK;
    return kv_replay_choice(&j->choices, block, latent + group_block_latent(&j->t->g));
}

static status open_judge(struct judge *j, const struct group *t, const struct live_clip *c)
{
    const struct engine_group *const g = &t->g;

    *j = (struct judge){ .t = t, .c = c };
    if (!kv_policy_chooses(&g->policy)) return ST_OK;
    return kv_state_open(&j->choices, &g->policy,
                         &(struct kv_state_shape){ .layers = g->shape.layers,
                                                   .tokens = g->latent_h / 2 * (g->latent_w / 2),
                                                   .dim = g->shape.dim,
                                                   .heads = g->shape.heads });
}

static status find_attempt(const struct group *t, struct live_clip *c, bool (*stop)(void *arg),
                           void *arg)
{
    struct strbuf identity = { 0 };
    struct judge judge = { 0 };
    char *why = NULL;
    status st = ST_OK;

    if (!t->rank->o->resume || !c->spec.checkpoint || !c->spec.dir) return ST_OK;
    TRY_OUT(open_judge(&judge, t, c));
    TRY_OUT(clip_identity(&identity, t, &c->spec));
    TRY_OUT(snapshot_find(&c->resume_dir, &c->resumed, &c->lock, &why,
                          &(struct snapshot_search){ .target = c->spec.dir,
                                                     .identity = identity.s,
                                                     .check = judge_block,
                                                     .check_arg = &judge,
                                                     .stop = stop,
                                                     .stop_arg = arg }));
    c->coded = c->resumed;
    if (c->resume_dir)
        log_info("clip %s: resumes after block %lld of %lld, from %s", c->spec.name,
                 (long long)c->resumed, (long long)c->spec.blocks, c->resume_dir);
    else if (why)
        log_info("clip %s: starts over; its checkpoints cannot be resumed: %s", c->spec.name, why);
out:
    free(why);
    strbuf_free(&identity);
    kv_state_close(&judge.choices);
    return st;
}

static status find_extended(const struct group *t, struct live_clip *c, bool (*stop)(void *arg),
                            void *arg)
{
    struct strbuf identity = { 0 };
    struct judge judge = { 0 };
    status st = ST_OK;

    TRY_OUT(open_judge(&judge, t, c));
    TRY_OUT(clip_extension_identity(&identity, t, &c->spec));
    st = snapshot_find_in(c->spec.extends, &c->resumed, &c->coded,
                          &(struct snapshot_search){ .identity = identity.s,
                                                     .check = judge_block,
                                                     .check_arg = &judge,
                                                     .stop = stop,
                                                     .stop_arg = arg });
    if (st == ST_MISMATCH || st == ST_FORMAT) {
        struct error const why = *error_last();
        FAIL_OUT(ST_FORMAT, "%s cannot be extended: %.3000s", c->spec.extends, why.msg);
    }
    TRY_OUT(st);
    c->extends = true;
    c->resume_dir = str_format("%s", c->spec.extends);
    if (!c->resume_dir) FAIL_OUT(ST_NOMEM, "clip %s: no memory", c->spec.name);
    log_info("clip %s: extended after block %lld to %lld, from %s", c->spec.name,
             (long long)c->resumed, (long long)c->spec.blocks, c->resume_dir);
out:
    strbuf_free(&identity);
    kv_state_close(&judge.choices);
    return st;
}

status clip_find_resume(const struct group *t, struct live_clip *c, bool (*stop)(void *arg),
                        void *arg)
{
    if (clip_extension_blocks(t, c)) TRY(check_specs(t, &c->spec));
    TRY(find_attempt(t, c, stop, arg));
    return c->spec.extends && !c->resume_dir ? find_extended(t, c, stop, arg) : ST_OK;
}
