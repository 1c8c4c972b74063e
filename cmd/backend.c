/*
 * backend.c - from what is asked for (--backend, --kernels, ...) to one backend.
 *
 * Nothing falls back in silence. A backend that is named is taken or refused with the reason;
 * where none is named the best that can compute here is taken, and backend_print says which.
 */
#include "cmd/backend.h"
#include "base/log.h"
#include "base/version.h"
#include "jobs/spec/clip_spec.h"
#include "kernels/kern_device.h"

#include <stdio.h>
#include <string.h>

struct opt backend_option(struct backend_request *r, int row)
{
    struct opt const rows[] = {
        { "backend", OPT_CHOICE, &r->name, .value = "NAME",
          .help = "what computes; else cuda where there is a card, and cpu where not",
          .choices = "ref|cpu|cuda" },
        { "determinism", OPT_CHOICE, &r->determinism, .value = "CLASS",
          .help = "a rank's blocks one by one, the same bits for any ranks, or in one batch; else "
                  "batch on cuda, strict elsewhere",
          .choices = CLIP_DETERMINISM_CHOICES },
        { "wire", OPT_CHOICE, &r->wire, .value = "TYPE",
          .help = "of keys and values from rank to rank: as computed with, or 8 bits, which "
                  "changes the clip; else act",
          .choices = CLIP_WIRE_CHOICES },
        { "exchange", OPT_CHOICE, &r->exchange, .value = "WAY",
          .help = "of ranks that share a line: each attends for its blocks, or for all with its "
                  "share of the heads, on links slower than NVLink; else blocks",
          .choices = "blocks|heads" },
        { "kernels", OPT_CHOICE, &r->kernels, .value = "LEVEL",
          .help = "of cuda: 1 plain ones, 2 the libraries' and fused ones, 3 with FP8 products, "
                  "4 with FP8 attention too; else 2",
          .choices = CLIP_KERNELS_CHOICES },
    };

    return rows[row];
}

/* Nobody said which: the best that can compute here; of none the first that there is, for
 * its reason to be printed. */
static const struct kern_backend *find_usual(void)
{
    const struct kern_backend *const best[] = { kern_backend_of_cards(2), kern_backend_of_cards(1),
                                                kern_backend_find("cpu"),
                                                kern_backend_find("ref") };
    const struct kern_backend *first = NULL;

    for (int i = 0; i < COUNT_OF(best); i++) {
        if (best[i] && !best[i]->absent()) return best[i];
        if (!first) first = best[i];
    }
    return first;
}

static status find_named(const struct kern_backend **out, const char *name, const char *level)
{
    char names[KERN_NAMES];

    if (!level) level = "2";
    *out =
        strcmp(name, "cuda") != 0 ? kern_backend_find(name) : kern_backend_of_cards(level[0] - '0');
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
static status fill_mode(struct backend *b, const struct backend_request *r)
{
    if (r->kernels && !b->kern->on_cards)
        return fail(ST_ARG, "--kernels %s is of the cuda backend; this is %s", r->kernels,
                    b->kern->name);
    bool const batch = r->determinism ? !strcmp(r->determinism, "batch") : b->kern->batches;
    b->mode.determinism = batch ? LINE_BATCH : LINE_STRICT;
    b->mode.exchange = r->exchange && !strcmp(r->exchange, "heads") ? LINE_HEADS : LINE_BLOCKS;
    b->mode.wire = r->wire && !strcmp(r->wire, "fp8") ? LINE_FP8 : LINE_ACT;
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

status backend_choose(struct backend *out, const struct backend_request *r)
{
    const char *const name = r->name ? r->name : r->kernels ? "cuda" : NULL;

    *out = (struct backend){ 0 };
    if (name) TRY(find_named(&out->kern, name, r->kernels));
    else out->kern = find_usual();
    TRY(fill_mode(out, r));
    const char *const why = out->kern->absent();
    if (why) return fail(ST_DEVICE, "backend %s: %s", name ? name : out->kern->name, why);
    if (out->kern->on_cards) out->devices = kern_device_count();
    return name_device(out);
}

status backend_plan(struct backend *out, const struct backend_request *r, bool cards)
{
    bool const cuda = !r->name && (r->kernels || (cards && kern_device_built()));
    const char *const name = cuda ? "cuda" : r->name;

    *out = (struct backend){ 0 };
    if (name) TRY(find_named(&out->kern, name, r->kernels));
    else out->kern = kern_backend_find("cpu");
    if (cards && r->name && !out->kern->on_cards)
        return fail(
            ST_ARG,
            "--backend %s: machines with GPUs compute with cuda; machines without are cpu:N",
            r->name);
    if (!cards && out->kern->on_cards)
        return fail(ST_ARG,
                    "--backend cuda: the machines have no GPUs; machines with GPUs are gpu:N");
    return fill_mode(out, r);
}

void backend_print(const struct backend *b)
{
    char more[32] = "", mode[LINE_MODE_TEXT];

    if (b->devices > 1) snprintf(more, sizeof more, " and %d more", b->devices - 1);
    log_info("backend: %s, %s, on %s%s", b->kern->name, line_mode_text(b->mode, mode),
             b->device_name, more);
}
