/* line.c - a rank's part of the line from open to close, and tick after tick in between. */
#include "pipeline/dit/rope.h"
#include "pipeline/line/line_internal.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the mode, in words ----------------------------------------------------------------- */

const char *line_determinism_name(enum line_determinism d)
{
    return d == LINE_BATCH ? "batch" : "strict";
}

const char *line_wire_name(enum line_wire w) { return w == LINE_FP8 ? "fp8" : "act"; }

const char *line_exchange_name(enum line_exchange e)
{
    return e == LINE_HEADS ? "heads" : "blocks";
}

const char *line_mode_text(struct line_mode m, char buf[LINE_MODE_TEXT])
{
    snprintf(buf, LINE_MODE_TEXT, "%s%s%s", line_determinism_name(m.determinism),
             m.exchange == LINE_HEADS ? ", exchange by heads" : "",
             m.wire == LINE_FP8 ? ", keys and values in fp8" : "");
    return buf;
}

/* ---- open and close --------------------------------------------------------------------- */

status line_measure(struct line_bytes *out, const struct line_config *c)
{
    struct line *const l = malloc(sizeof *l);
    size_t bytes[LINE_ARENAS];
    size_t kernels = 0;
    status st = ST_OK;

    *out = (struct line_bytes){ 0 };
    if (!l) return fail(ST_NOMEM, "line: no memory");
    TRY_OUT(line_measure_arenas(l, c, bytes));
    TRY_OUT(line_allocate_host(l));
    TRY_OUT(line_dry_run(&kernels, l));
    *out = (struct line_bytes){ .cache = bytes[LINE_CACHE],
                                .context = bytes[LINE_CONTEXT],
                                .scratch = bytes[LINE_SCRATCH],
                                .wire = bytes[LINE_WIRE],
                                .kernels = kernels,
                                .host = line_host_bytes(l) };
out:
    timeline_free(&l->timeline);
    line_free_memory(l);
    free(l);
    return st;
}

/* Angles of rows or columns, which do not change while the line is open. step -1: those that take
 * RoPE off. */
static status upload_side_angles(struct line *l, const struct tensor *to, int step)
{
    if (!to->ndim) return ST_OK; /* no policy takes RoPE off */

    int const count = (int)to->dim[0], pairs = (int)to->dim[1];
    float *const host = malloc(tensor_bytes(to) + 1);

    if (!host) return fail(ST_NOMEM, "angles of %d positions", count);
    for (int i = 0; i < count; i++) rope_angles(host + i * pairs * 2, pairs, step * i, 1);
    status st = l->c.ctx->backend->upload(l->c.ctx, to, host);
    if (st == ST_OK) st = l->c.ctx->backend->sync(l->c.ctx);
    free(host);
    return st;
}

/* All that does not take the others. */
static status open_own_part(struct line *l, const struct line_config *c, size_t bytes[LINE_ARENAS])
{
    size_t kernels = 0;

    TRY(line_measure_arenas(l, c, bytes));
    TRY(line_allocate_host(l));
    TRY(line_dry_run(&kernels, l));
    return c->ctx->backend->reserve ? c->ctx->backend->reserve(c->ctx, kernels) : ST_OK;
}

status line_open(struct line **out, const struct line_config *c)
{
    struct line *l = calloc(1, sizeof *l);
    size_t bytes[LINE_ARENAS];
    status st = l ? open_own_part(l, c, bytes) : fail(ST_NOMEM, "line: no memory");

    *out = NULL;
    status const all = comm_agree(c->comm, st); /* or the others would wait for this one */
    if (st == ST_OK) st = all;
    if (st != ST_OK) goto out;
    TRY_OUT(comm_attach(c->comm, c->ctx->memory));
    TRY_OUT(line_allocate(l, bytes));
    TRY_OUT(line_prepare(l));
    TRY_OUT(upload_side_angles(l, &l->row, 1));
    TRY_OUT(upload_side_angles(l, &l->col, 1));
    TRY_OUT(upload_side_angles(l, &l->row_back, -1));
    TRY_OUT(upload_side_angles(l, &l->col_back, -1));
    TRY_OUT(line_upload_some_heads(l));
    *out = l;
    l = NULL; /* handed over */
out:
    line_close(&l);
    return st;
}

void line_close(struct line **line)
{
    struct line *const l = *line;

    if (!l) return;
    timeline_free(&l->timeline);
    line_free_memory(l);
    free(l);
    *line = NULL;
}

/* ---- ticks ------------------------------------------------------------------------------ */

/* New noise where a block enters, a given block at the clean stage. Host memory that the last
 * tick's uploads read may be overwritten from here on. */
static status enter_blocks(struct line *l)
{
    const struct kern_backend *const b = l->c.ctx->backend;
    struct place const clean = l->place[l->levels];

    TRY(line_synchronize(l));
    for (int i = l->first; i < l->end; i++) {
        struct place const p = l->place[i];
        if (p.clip < 0 || l->stage[i].level > 0) continue; /* at most one is left */
        TRY(l->io->noise(l->io->arg, p.clip, p.block, 0, l->host[0]));
        TRY(b->upload(l->c.ctx, &l->stage[i].in, l->host[0]));
    }
    TRY(line_enter_window(l));
    if (l->end <= l->levels || !timeline_given(&l->timeline, l->tick)) return ST_OK;
    TRY(l->io->given(l->io->arg, clean.clip, clean.block, l->host[1]));
    return b->upload(l->c.ctx, &l->stage[l->levels].in, l->host[1]);
}

status line_tick(struct line *l, bool *more)
{
    do {
        TRY(line_cross_boundary(l));
        *more = !line_is_drained(l);
        if (!*more) return ST_OK;
    } while (line_is_idle(l));
    TRY(line_recache(l));
    line_schedule_tick(l);
    TRY(enter_blocks(l));
    TRY(line_keep_clean(l));
    TRY(line_forward(l));
    TRY(line_hand_over(l));
    TRY(line_share_policy(l));
    TRY(line_keep_window(l));
    l->tick++;
    return ST_OK;
}

struct place line_place_of(const struct line *l, int stage) { return l->place[stage]; }

status line_render(const struct line_render *r, struct comm *comm,
                   const struct timeline_entry *entry, int entries, const struct line_io *io)
{
    struct line_config config = r->line;
    struct line *line = NULL;
    bool more = true;
    status st = ST_OK;

    config.comm = comm;
    config.ctx = NULL;
    TRY_OUT(split_make(&config.split, config.schedule->levels + 1, comm->size));
    TRY_OUT(r->backend->open(
        &config.ctx, &(struct kern_config){ .threads = r->threads,
                                            .device = r->device,
                                            .strict = config.mode.determinism == LINE_STRICT }));
    TRY_OUT(line_open(&line, &config));
    if (entry) line_begin_list(line, entry, entries, io);
    else line_begin(line, io);
    while (more) TRY_OUT(line_tick(line, &more));
out:
    line_close(&line);
    if (config.ctx) r->backend->close(&config.ctx);
    return st;
}
