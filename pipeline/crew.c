#include "pipeline/crew.h"
#include "base/log.h"

struct crew {
    const struct crew_config *c;
    const struct timeline *timeline;
    const struct line_io *io;
    struct split split;
};

static int share(const struct crew_config *c, int rank)
{
    int const threads = c->threads / c->ranks + (rank < c->threads % c->ranks);
    return threads > 0 ? threads : 1;
}

static struct line_config config_of(const struct crew *crew, struct comm *comm,
                                    struct kern_ctx *ctx)
{
    const struct crew_config *const c = crew->c;
    return (struct line_config){ .model = c->model,
                                 .schedule = c->schedule,
                                 .policy = c->policy,
                                 .split = crew->split,
                                 .latent_h = c->latent_h,
                                 .latent_w = c->latent_w,
                                 .contexts = c->contexts,
                                 .comm = comm,
                                 .ctx = ctx };
}

static status rank_main(struct comm *comm, void *arg)
{
    const struct crew *const crew = arg;
    struct kern_ctx *ctx = NULL;
    struct line *line = NULL;
    struct line_config config;
    status st = ST_OK;

    if (comm->size > 1) log_set_rank(comm->rank);
    TRY_OUT(crew->c->backend->open(&ctx, share(crew->c, comm->rank)));
    config = config_of(crew, comm, ctx);
    TRY_OUT(line_open(&line, &config));
    TRY_OUT(line_run(line, crew->timeline, crew->io));
out:
    line_close(&line);
    if (ctx) crew->c->backend->close(&ctx);
    log_set_rank(-1);
    return st;
}

status crew_run(const struct crew_config *c, const struct timeline *t, const struct line_io *io)
{
    struct crew crew = { .c = c, .timeline = t, .io = io };
    struct comm *group[SPLIT_RANKS] = { NULL };
    status st = ST_OK;

    TRY(split_make(&crew.split, c->schedule->levels + 1, c->ranks));
    TRY(comm_thread_open(group, c->ranks, c->deadline_s));
    TRY_OUT(comm_thread_run(group, c->ranks, rank_main, &crew));
out:
    for (int i = 0; i < c->ranks; i++)
        if (group[i]) group[i]->ops->close(&group[i]);
    return st;
}

status crew_measure(struct line_bytes *out, const struct crew_config *c)
{
    struct crew crew = { .c = c };
    struct kern_ctx ctx = { .backend = c->backend, .threads = 1 };

    *out = (struct line_bytes){ 0 };
    TRY(split_make(&crew.split, c->schedule->levels + 1, c->ranks));
    for (int rank = 0; rank < c->ranks; rank++) {
        struct comm comm = { .rank = rank, .size = c->ranks };
        struct line_config const config = config_of(&crew, &comm, &ctx);
        struct line_bytes b;
        TRY(line_measure(&b, &config));
        out->cache += b.cache;
        out->context += b.context;
        out->scratch += b.scratch;
        out->wire += b.wire;
    }
    return ST_OK;
}
