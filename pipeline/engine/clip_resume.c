/*
 * clip_resume.c - when checkpoints are made, what makes two renders of a clip the same to the bit,
 * and the search for an attempt to go on from.
 *
 * Bits depend on the program, on what computes and encodes, on the model's files, on the mode and
 * on what the clip asks for; not on threads, ranks, or how they are shared out (in strict; in batch
 * these round otherwise, with a stop or without). A snapshot says all of this in lines; whoever
 * has other lines begins the clip anew, and says which line it was.
 */
#include "base/log.h"
#include "base/strbuf.h"
#include "base/version.h"
#include "jobs/spec/spec_json.h"
#include "pipeline/engine/engine_internal.h"
#include "pipeline/output/av/codec.h"

#include <stdlib.h>

/* ---- checkpoints ------------------------------------------------------------------------ */

bool clip_checkpoint_due(const struct group *t, const struct live_clip *c, int64_t blocks)
{
    int64_t const every = c->spec.checkpoint;

    return every > 0 && blocks % every == 0 && blocks < c->spec.blocks &&
           !kv_policy_chooses(&t->g.policy);
}

int clip_window_blocks(const struct group *t, const struct live_clip *c, int64_t blocks)
{
    int64_t const left = c->spec.blocks - blocks, most = t->g.policy.levels - 1;

    if (!kv_policy_joint(&t->g.policy)) return 0;
    return (int)(left < most ? left : most);
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

/* All that the clip asks for, but for what becomes of it when it is made. */
static status add_clip(struct strbuf *out, const struct clip_spec *spec)
{
    struct strbuf json = { 0 };
    struct clip_spec asked = *spec; /* shallow: nothing of it is freed */
    status st = ST_OK;

    asked.owner = asked.dir = NULL;
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

status clip_identity(struct strbuf *out, const struct group *t, const struct clip_spec *spec)
{
    const struct engine_options *const o = &t->g.o;
    char mode[LINE_MODE_TEXT], kernels[KERN_TEXT], text_kernels[KERN_TEXT], libs[CODEC_LIBS];

    strbuf_addf(out, "program %s %s %s\n", version_program, version_commit, version_build);
    strbuf_addf(out, "backend %s\nkernels %s\n", o->backend->name, o->backend->kernels(kernels));
    strbuf_addf(out, "text-backend %s\ntext-kernels %s\n", o->text_backend->name,
                o->text_backend->kernels(text_kernels));
    strbuf_addf(out, "device %s\nmode %s\nprecision %s\nlibav %s\n", o->device_name,
                line_mode_text(o->mode, mode), dtype_precision(t->g.act), codec_libs(libs));
    TRY(hash_model(out, t));
    TRY(add_clip(out, spec));
    return out->failed ? fail(ST_NOMEM, "clip %s: no memory", spec->name) : ST_OK;
}

/* ---- the search ------------------------------------------------------------------------- */

status clip_find_resume(const struct group *t, struct live_clip *c, bool (*stop)(void *arg),
                        void *arg)
{
    struct strbuf identity = { 0 };
    char *why = NULL;
    status st = ST_OK;

    if (!t->rank->o->resume || !c->spec.checkpoint || !c->spec.dir) return ST_OK;
    TRY_OUT(clip_identity(&identity, t, &c->spec));
    TRY_OUT(snapshot_find(
        &c->resume_dir, &c->resumed, &c->lock, &why,
        &(struct snapshot_search){
            .target = c->spec.dir, .identity = identity.s, .stop = stop, .stop_arg = arg }));
    if (c->resume_dir)
        log_info("clip %s: goes on behind block %lld of %lld, from %s", c->spec.name,
                 (long long)c->resumed, (long long)c->spec.blocks, c->resume_dir);
    else if (why)
        log_info("clip %s: begun anew; what there is cannot be gone on from: %s", c->spec.name,
                 why);
out:
    free(why);
    strbuf_free(&identity);
    return st;
}
