/*
 * numerics.c - what decides a clip's bits beside what is asked for: what computes it, and how.
 *
 * Options say so for a whole render, and a job may ask for its own clips. These are a group of
 * their own, which has the options with what is asked in their place.
 */
#include "base/digest.h"
#include "base/strbuf.h"
#include "pipeline/engine/engine.h"

#include <stdio.h>

static status choose_kernels(const struct kern_backend **backend, int level)
{
    const struct kern_backend *const other = kern_backend_of_cards(level);

    if (!(*backend)->on_cards)
        return fail(ST_ARG, "numerics.kernels: %d is of the cuda backend; this is %s", level,
                    (*backend)->name);
    if (!other) return fail(ST_ARG, "numerics.kernels: this program has no level %d", level);
    *backend = other;
    return ST_OK;
}

status engine_apply_numerics(const struct kern_backend **backend, struct line_mode *mode,
                             const struct clip_numerics *asked)
{
    static const enum line_wire wires[] = { LINE_ACT, LINE_FP8 };
    static const enum line_determinism classes[] = { LINE_STRICT, LINE_BATCH };
    const int *const a = asked->choice;

    if (a[CLIP_WIRE]) mode->wire = wires[a[CLIP_WIRE] - 1];
    if (a[CLIP_DETERMINISM]) mode->determinism = classes[a[CLIP_DETERMINISM] - 1];
    return a[CLIP_KERNELS] ? choose_kernels(backend, a[CLIP_KERNELS]) : ST_OK;
}

status engine_adapt_options(struct engine_options *out, const struct engine_options *o,
                            const struct clip_numerics *asked)
{
    *out = *o;
    TRY(engine_apply_numerics(&out->backend, &out->mode, asked));
    if (o->text_backend == o->backend) out->text_backend = out->backend;
    const char *const why = out->backend->absent();
    return why ? fail(ST_DEVICE, "backend %s: %s", out->backend->name, why) : ST_OK;
}

status engine_numerics_id(const struct engine_options *o, char id[ENGINE_NUMERICS])
{
    char kernels[KERN_TEXT], hex[DIGEST_HEX];
    struct strbuf t = { 0 };
    status st = ST_OK;

    strbuf_addf(&t, "backend %s\nkernels %s\n", o->backend->name, o->backend->kernels(kernels));
    strbuf_addf(&t, "text %s\nkernels %s\n", o->text_backend->name,
                o->text_backend->kernels(kernels));
    strbuf_addf(&t, "determinism %s\nexchange %s\nwire %s\n",
                line_determinism_name(o->mode.determinism), line_exchange_name(o->mode.exchange),
                line_wire_name(o->mode.wire));
    if (t.failed) st = fail(ST_NOMEM, "the numerics: no memory");
    else st = digest_bytes(t.s, t.len, hex);
    if (st == ST_OK) snprintf(id, ENGINE_NUMERICS, "%.16s", hex);
    strbuf_free(&t);
    return st;
}
