/* config_check.c - what all ranks of a world must have in common. */
#include "base/strbuf.h"
#include "base/version.h"
#include "pipeline/engine/engine_internal.h"

static void describe_config(struct strbuf *out, const struct engine_options *o)
{
    char kernels[KERN_TEXT];

    strbuf_addf(out, "program %s, %s\n", version_program, version_commit);
    strbuf_addf(out, "%s", o->same ? o->same : "");
    strbuf_addf(out, "--backend %s\n", o->backend->name);
    strbuf_addf(out, "--text-backend %s\n", o->text_backend->name);
    strbuf_addf(out, "kernels %s\n", o->backend->kernels(kernels));
    strbuf_addf(out, "--determinism %s\n", line_determinism_name(o->mode.determinism));
    strbuf_addf(out, "--exchange %s\n", line_exchange_name(o->mode.exchange));
    strbuf_addf(out, "--wire %s\n", line_wire_name(o->mode.wire));
    strbuf_addf(out, "--ranks-per-line %d\n--decode-ranks %d\n", o->ranks_per_line,
                o->decode_ranks);
    strbuf_addf(out, "--for %s\n", o->for_latency ? "latency" : "throughput");
    strbuf_addf(out, "--cross-nodes %s\n", o->cross_nodes ? "yes" : "no");
    strbuf_addf(out, "--fail-fast %s\n", o->fail_fast ? "yes" : "no");
    strbuf_addf(out, "--trace %s\n", o->trace ? o->trace : "-");
}

status engine_check_config(struct comm *world, const struct engine_options *o)
{
    struct strbuf mine = { 0 };

    describe_config(&mine, o);
    status st = comm_agree(world, mine.failed ? fail(ST_NOMEM, "no memory") : ST_OK);
    if (st == ST_OK) st = comm_check_same(world, mine.s);
    strbuf_free(&mine);
    return st;
}
