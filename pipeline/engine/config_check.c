#include "pipeline/engine/config_check.h"
#include "base/strbuf.h"
#include "base/version.h"
#include "comm/world.h"

static void describe(struct text *out, const struct render_options *o, char *const *path, int paths)
{
    char kernels[KERN_TEXT];

    text_addf(out, "program %s, %s\n", version_program, version_commit);
    text_addf(out, "%d jobs\n", paths);
    for (int i = 0; i < paths; i++) text_addf(out, "job %s\n", path[i]);
    text_addf(out, "--backend %s\n", o->backend->name);
    text_addf(out, "--text-backend %s\n", o->text_backend->name);
    text_addf(out, "kernels %s\n", o->backend->kernels(kernels));
    text_addf(out, "--determinism %s\n", line_determinism_name(o->mode.determinism));
    text_addf(out, "--exchange %s\n", line_exchange_name(o->mode.exchange));
    text_addf(out, "--wire %s\n", line_wire_name(o->mode.wire));
    text_addf(out, "--precision %s\n", o->precision ? o->precision : "job");
    text_addf(out, "--ranks-per-line %d\n--decode-ranks %d\n", o->ranks_per_line, o->decode_ranks);
    text_addf(out, "--for %s\n", o->for_latency ? "latency" : "throughput");
    text_addf(out, "--cross-nodes %s\n", o->cross_nodes ? "yes" : "no");
    text_addf(out, "--trace %s\n", o->trace ? o->trace : "-");
    text_addf(out, "--report %s\n", o->report ? o->report : "-");
}

status render_alike(struct comm *world, const struct render_options *o, char *const *path,
                    int paths)
{
    struct text mine = { 0 };

    describe(&mine, o, path, paths);
    status st = world->ops->agree(world, mine.failed ? fail(ST_NOMEM, "no memory") : ST_OK);
    if (st == ST_OK) st = world_alike(world, mine.s);
    text_free(&mine);
    return st;
}
