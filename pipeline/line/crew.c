#include "pipeline/line/crew.h"

status crew_run(const struct crew_config *c, struct comm *comm, const struct timeline_entry *entry,
                int entries, const struct line_io *io)
{
    struct line_config config = { .model = c->model,
                                  .schedule = c->schedule,
                                  .policy = c->policy,
                                  .mode = c->mode,
                                  .latent_h = c->latent_h,
                                  .latent_w = c->latent_w,
                                  .contexts = c->contexts,
                                  .given = c->given,
                                  .idle_s = 60,
                                  .comm = comm };
    struct kern_ctx *ctx = NULL;
    struct line *line = NULL;
    bool more = true;
    status st = ST_OK;

    TRY_OUT(split_make(&config.split, c->schedule->levels + 1, comm->size));
    TRY_OUT(c->backend->open(
        &ctx, &(struct kern_config){ .threads = c->threads,
                                     .device = c->device,
                                     .strict = c->mode.determinism == LINE_STRICT }));
    config.ctx = ctx;
    TRY_OUT(line_open(&line, &config));
    if (entry) line_begin_list(line, entry, entries, io);
    else line_begin(line, io);
    while (more) TRY_OUT(line_tick(line, &more));
out:
    line_close(&line);
    if (ctx) c->backend->close(&ctx);
    return st;
}
