#include "cmd/backend.h"
#include "base/log.h"
#include "base/version.h"
#include "kernels/kern_device.h"

#include <stdio.h>
#include <string.h>

/* Of level 1 to 4; NULL if this build has none. */
static const struct kern_backend *cuda_at(int level)
{
    const struct kern_backend *b;

    for (int i = 0; (b = kern_backend_at(i)); i++)
        if (b->on_cards && b->level == level) return b;
    return NULL;
}

/* Nobody said which: the best that can compute here; of none the first that there is, for
 * its reason to be told. */
static const struct kern_backend *usual(void)
{
    const struct kern_backend *const best[] = { cuda_at(2), cuda_at(1), kern_backend_find("cpu"),
                                                kern_backend_find("ref") };
    const struct kern_backend *first = NULL;

    for (int i = 0; i < COUNT_OF(best); i++) {
        if (best[i] && !best[i]->absent()) return best[i];
        if (!first) first = best[i];
    }
    return first;
}

static status find(const struct kern_backend **out, const char *name, const char *level)
{
    char names[KERN_NAMES];

    if (!level) level = "2";
    *out = strcmp(name, "cuda") != 0 ? kern_backend_find(name) : cuda_at(level[0] - '0');
    if (*out) return ST_OK;
    kern_backend_names(names);
    if (strcmp(name, "cuda") != 0)
        return fail(ST_ARG, "--backend %s: this program was built without it; it has %s", name,
                    names);
    if (!kern_device_built())
        return fail(ST_ARG, "--backend cuda: this program was built without CUDA (make CUDA=1)");
    return fail(ST_ARG, "--kernels %s: this program has %s", level, names);
}

/* What else was asked for, or goes with the backend. */
static status settle(struct backend *b, const struct backend_request *w)
{
    if (w->kernels && !b->kern->on_cards)
        return fail(ST_ARG, "--kernels %s is of the cuda backend; this is %s", w->kernels,
                    b->kern->name);
    bool const batch = w->determinism ? !strcmp(w->determinism, "batch") : b->kern->batches;
    b->mode.determinism = batch ? LINE_BATCH : LINE_STRICT;
    b->mode.exchange = w->exchange && !strcmp(w->exchange, "heads") ? LINE_HEADS : LINE_BLOCKS;
    b->mode.wire = w->wire && !strcmp(w->wire, "fp8") ? LINE_FP8 : LINE_ACT;
    return ST_OK;
}

static status name_device(struct backend *b)
{
    struct kern_device card;
    char processor[VERSION_CPU];

    if (b->devices) TRY(kern_device_about(&card, 0));
    snprintf(b->device_name, sizeof b->device_name, "%s",
             b->devices ? card.name : version_cpu(processor));
    return ST_OK;
}

status backend_choose(struct backend *out, const struct backend_request *w)
{
    const char *const name = w->name ? w->name : w->kernels ? "cuda" : NULL;

    *out = (struct backend){ 0 };
    if (name) TRY(find(&out->kern, name, w->kernels));
    else out->kern = usual();
    TRY(settle(out, w));
    const char *const why = out->kern->absent();
    if (why) return fail(ST_DEVICE, "backend %s: %s", name ? name : out->kern->name, why);
    if (out->kern->on_cards) out->devices = kern_device_count();
    return name_device(out);
}

status backend_plan(struct backend *out, const struct backend_request *w, bool cards)
{
    bool const cuda = !w->name && (w->kernels || (cards && kern_device_built()));
    const char *const name = cuda ? "cuda" : w->name;

    *out = (struct backend){ 0 };
    if (name) TRY(find(&out->kern, name, w->kernels));
    else out->kern = kern_backend_find("cpu");
    if (cards && w->name && !out->kern->on_cards)
        return fail(ST_ARG, "--backend %s: GPUs compute by cuda; machines without are cpu:N",
                    w->name);
    if (!cards && out->kern->on_cards)
        return fail(ST_ARG, "--backend cuda: the machines have no GPUs; such are gpu:N");
    return settle(out, w);
}

void backend_print(const struct backend *b)
{
    char more[32] = "", mode[LINE_MODE_TEXT];

    if (b->devices > 1) snprintf(more, sizeof more, " and %d more", b->devices - 1);
    log_info("backend: %s, %s, on %s%s", b->kern->name, line_mode_text(b->mode, mode),
             b->device_name, more);
}
