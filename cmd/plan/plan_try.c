/*
 * plan_try.c - the prediction of one rank's memory against what it takes for real.
 *
 * The rank's part of the model is opened as a render opens it, through the plan's own
 * configurations, but over a backend whose memory is written as soon as it is handed out: a
 * page that nobody has written does not count as resident. What the process grew by, or the
 * card, is what is compared.
 */
#include "base/log.h"
#include "cmd/plan/plan_internal.h"
#include "kernels/kern_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In place of a backend's own: memory that counts at once, for every page of it is
 * written when it is handed out. */
static status alloc_touched(struct kern_ctx *ctx, size_t bytes, void **at)
{
    TRY(kern_backend_find(ctx->backend->name)->alloc(ctx, bytes, at));
    memset(*at, 0, bytes);
    return ST_OK;
}

/* Bytes this process has in memory. */
static status read_resident(uint64_t *out)
{
    FILE *const f = fopen("/proc/self/status", "r");
    unsigned long long kib = 0;
    char line[256];

    while (f && kib == 0 && fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %llu", &kib) != 1) kib = 0;
    if (f) fclose(f);
    *out = (uint64_t)kib << 10;
    return kib ? ST_OK : fail(ST_IO, "/proc/self/status does not say how much is resident");
}

/* Of the first card's memory, what is handed out. */
static status read_card_taken(uint64_t *out)
{
    struct kern_device card;

    TRY(kern_device_about(&card, 0));
    *out = card.memory - card.free;
    return ST_OK;
}

/* What the process, or on cards the card, has taken so far. */
static status read_taken(const struct plan_view *v, uint64_t *out)
{
    return v->bytes.cards ? read_card_taken(out) : read_resident(out);
}

/* The others of its line are not there, and nothing is sent to them. */
static status agree_alone(struct comm *c, status mine, int64_t words[COMM_AGREE_WORDS])
{
    (void)c, (void)words;
    return mine;
}

static const struct comm_ops alone = { .agree = agree_alone };

/* Everything a rank holds. */
struct held {
    const struct plan_view *v;
    struct kern_backend touching; /* the plan's, but for alloc */
    struct kern_ctx *ctx;
    struct comm comm; /* a place in a line */
    struct dit *dit;
    struct line *line;
    struct vae *vae[ROLES_RANKS]; /* one for each line it decodes for */
    struct vae *encoder;
    void *host; /* prompts and pictures */
};

static status hold_line(struct held *h, const struct role_at *at)
{
    const struct plan_view *const v = h->v;
    struct dit_config const dit = workload_dit(&v->jobs.work);
    int const ranks = v->roles.line[at->line].ranks;
    struct line_config c;

    TRY(v->bytes.backend->open(&h->ctx, &(struct kern_config){ .threads = v->cost.parts.threads }));
    h->ctx->backend = &h->touching;
    log_info("try: loading %s", dit.weights);
    TRY(dit_open(&h->dit, &dit, h->ctx));
    TRY(plan_line_config(&c, &v->bytes, ranks));
    c.model = h->dit;
    h->comm = (struct comm){ .ops = &alone, .rank = at->place, .size = ranks };
    c.comm = &h->comm;
    c.ctx = h->ctx;
    return line_open(&h->line, &c);
}

static status hold_vae(struct held *h, const struct role_at *at)
{
    int const chain = h->v->roles.line[at->line].decode_ranks;
    struct vae_config c;

    TRY(plan_vae_config(&c, &h->v->bytes, chain, chain > 0 ? at->place : 0));
    c.backend = &h->touching;
    log_info("try: loading %s", c.path);
    TRY(vae_open(&h->vae[0], &c));
    for (int i = 1; i < at->lines; i++) TRY(vae_open_beside(&h->vae[i], h->vae[0]));
    return ST_OK;
}

static status hold_encoder(struct held *h)
{
    struct vae_config c;

    TRY(plan_encoder_config(&c, &h->v->bytes));
    c.backend = &h->touching;
    return vae_open(&h->encoder, &c);
}

/* What lies beside the backend's memory; what the line has of it is not written yet. */
static status hold_host(struct held *h, const struct plan_rank_bytes *b)
{
    size_t const bytes = b->arena[PLAN_PROMPTS] + b->arena[PLAN_PICTURES] + b->arena[PLAN_HOST];

    h->host = malloc(bytes + 1);
    if (!h->host) return fail(ST_NOMEM, "try: %zu bytes", bytes);
    memset(h->host, 1, bytes);
    return ST_OK;
}

static void release_held(struct held *h)
{
    for (int i = ROLES_RANKS - 1; i >= 0; i--) vae_close(&h->vae[i]); /* the first one last */
    vae_close(&h->encoder);
    line_close(&h->line);
    dit_close(&h->dit);
    if (h->ctx) h->touching.close(&h->ctx);
    free(h->host);
}

status plan_try(struct strbuf *out, const struct plan_view *v, int rank)
{
    struct held h = { .v = v, .touching = *v->bytes.backend };
    struct plan_rank_bytes b;
    uint64_t before, after;
    status st = ST_OK;

    if (rank < 0 || rank >= v->roles.ranks)
        return fail(ST_ARG, "--try %d: 0 to %d are allowed", rank, v->roles.ranks - 1);
    if (h.touching.absent())
        return fail(ST_DEVICE, "--try: %s opens what it holds for real, and here it cannot: %s",
                    h.touching.name, h.touching.absent());
    if (!v->bytes.cards) h.touching.alloc = alloc_touched;
    plan_bytes_rank(&b, &v->bytes, &v->roles, rank);
    TRY_OUT(read_taken(v, &before));
    if (v->roles.rank[rank].role == ROLE_LINE) TRY_OUT(hold_line(&h, &v->roles.rank[rank]));
    if (roles_decodes(&v->roles, rank)) TRY_OUT(hold_vae(&h, &v->roles.rank[rank]));
    if (b.arena[PLAN_START]) TRY_OUT(hold_encoder(&h));
    TRY_OUT(hold_host(&h, &b));
    TRY_OUT(read_taken(v, &after));
    double const grown = (double)after - (double)before,
                 predicted = (double)(v->bytes.cards ? b.card : b.all);
    strbuf_addf(out, "\nrank %d: predicted %.1f MiB%s, holds %.1f MiB", rank, bytes_mib(predicted),
                v->bytes.cards ? " of a card" : "", bytes_mib(grown));
    if (grown > 0) strbuf_addf(out, ", off by %+.2f %%", 100 * (predicted - grown) / grown);
    strbuf_addf(out, "\n");
out:
    release_held(&h);
    return st;
}
