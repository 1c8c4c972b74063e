/* render_batch.c - a batch of clips: what each rank of the world does for it. */
#include "cmd/render_batch.h"
#include "cmd/render_report.h"
#include "cmd/world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { END_WAIT_S = 1000000 }; /* for those that are still at work: their own waits end first */

double batch_wait_share(int hops) { return pow(0.75, hops); }

int batch_threads(const struct batch *t) { return t->rank->threads; }

static status collect_prompts(struct batch *t)
{
    const struct clip_spec **const specs = calloc((size_t)t->b->clips + 1, sizeof *specs);

    if (!specs) return fail(ST_NOMEM, "%d clips", t->b->clips);
    for (int i = 0; i < t->b->clips; i++) specs[i] = t->b->clip[i]->spec;
    status const st =
        render_prompts_open(&t->prompts, specs, t->b->clips, t->shape.text_len, t->shape.text_dim);
    free(specs);
    return st;
}

/* ---- the groups ------------------------------------------------------------------- */

/* The two ranks of hop `p` of a line: false if the chain is not as long. */
static bool hop_ends(const struct batch *t, int line, int p, int *from, int *to)
{
    const struct role_line *const l = &t->roles.line[line];

    if (p >= l->decode_ranks) return false;
    *to = l->decode + p;
    *from = p ? *to - 1 : roles_tail(&t->roles, line, t->schedule.levels + 1);
    return true;
}

static int chain_longest(const struct batch *t)
{
    int most = 0;

    for (int i = 0; i < t->roles.lines; i++)
        if (t->roles.line[i].decode_ranks > most) most = t->roles.line[i].decode_ranks;
    return most;
}

/* A rank is in one hop of a split at most: so one split for every line a decode rank
 * serves and every place in a chain. */
static status join_hops(struct batch *t, int nth, int p)
{
    int const rank = t->world->rank;
    int colour = -1, from, to;
    struct comm *hop;

    for (int line = 0; line < t->roles.lines; line++)
        if (hop_ends(t, line, p, &from, &to) && line - t->roles.rank[to].line == nth &&
            (rank == from || rank == to))
            colour = line;
    TRY(t->world->ops->split(t->world, colour, &hop));
    if (!hop) return ST_OK;
    if (hop->rank) t->in[nth] = hop;
    else t->out = hop;
    return ST_OK;
}

static status join_groups(struct batch *t)
{
    int const longest = chain_longest(t);
    int most = 0;

    TRY(t->world->ops->split(t->world, t->me->role == ROLE_LINE ? t->me->line : -1, &t->line_comm));
    for (int i = 0; i < t->roles.ranks; i++)
        if (t->roles.rank[i].role == ROLE_DECODE && t->roles.rank[i].lines > most)
            most = t->roles.rank[i].lines;
    for (int nth = 0; nth < most; nth++)
        for (int p = 0; p < (nth ? 1 : longest); p++) TRY(join_hops(t, nth, p));
    return ST_OK;
}

static void leave_groups(struct batch *t)
{
    for (int i = 0; i < COUNT_OF(t->in); i++)
        if (t->in[i]) t->in[i]->ops->close(&t->in[i]);
    if (t->out) t->out->ops->close(&t->out);
    if (t->line_comm) t->line_comm->ops->close(&t->line_comm);
}

/* ---- prompts ---------------------------------------------------------------------- */

static status encode_prompts(struct batch *t)
{
    const struct render_options *const o = t->rank->o;
    const struct card *const card = t->b->clip[0]->card;
    struct text_config const text = { .encoder_path = card->encoder,
                                      .tokenizer_path = card->tokenizer,
                                      .cache_dir = o->prompt_cache,
                                      .text_len = t->shape.text_len,
                                      .backend = o->backend,
                                      .threads = batch_threads(t),
                                      .precision = t->act };
    return render_prompts_encode(t->prompts, &text);
}

static bool is_of_line(const void *arg, int rank, int clip)
{
    const struct batch *const t = arg;
    const struct role_at *const at = &t->roles.rank[rank];
    return at->role == ROLE_LINE && at->line == t->line_of[clip];
}

/* The transformer's hash, from a rank that has it to those that write clip.json. */
static status share_hash(struct batch *t, const struct render_line *line)
{
    int const from = t->roles.line[0].first;
    const char *const own = line ? render_line_weights_hash(line) : "";
    char *hash = t->world->rank == from ? strdup(own) : NULL;
    size_t len = hash ? strlen(hash) : 0;

    status const st = world_share(t->world, from, &hash, &len);
    if (st == ST_OK && len < sizeof t->weights_hash) memcpy(t->weights_hash, hash, len + 1);
    free(hash);
    return st;
}

/* ---- all of it -------------------------------------------------------------------- */

static status prepare(struct batch *t)
{
    TRY(render_cast_card(t));
    TRY(collect_prompts(t));
    TRY(render_cast_roles(t));
    if (t->world->rank == 0) render_report_roles(t);
    if (t->world->rank == t->roles.text) TRY(encode_prompts(t));
    return join_groups(t);
}

static status open_role(struct batch *t, struct render_line **line, struct render_decode **decode)
{
    struct vae_part part[VAE_PARTS_MAX] = { { 0, 0 } };
    const struct role_line *const served = &t->roles.line[t->me->line];

    if (t->me->role == ROLE_LINE) return render_line_open(line, t);
    if (t->me->role != ROLE_DECODE) return ST_OK;
    if (served->decode_ranks > 1) {
        struct vae_size size = { .latent_h = t->latent_h, .latent_w = t->latent_w };
        TRY(vae_base(&size.base, t->b->clip[0]->card->vae));
        TRY(vae_parts(part, served->decode_ranks, &size));
    }
    return render_decode_open(decode, t,
                              &(struct render_decode_config){ .line = t->me->line,
                                                              .lines = t->me->lines,
                                                              .in = t->in,
                                                              .out = t->out,
                                                              .part = part[t->me->place],
                                                              .place = t->me->place });
}

/* Everyone waits here for the last one; what went wrong anywhere ends it before. */
static status meet_at_end(struct batch *t, status st)
{
    double const usual = t->world->deadline_s;

    t->world->deadline_s = END_WAIT_S;
    st = t->world->ops->agree(t->world, st);
    t->world->deadline_s = usual;
    return st;
}

/* From here on a stop is heeded between ticks, on whichever rank it is asked for. */
static void stop_at_ticks(const struct batch *t)
{
    if (t->rank->o->stop()) t->world->ops->stop(t->world);
}

status render_batch_run(const struct render_rank *rank, const struct render_batch *b)
{
    struct batch *const t = calloc(1, sizeof *t);
    struct render_line *line = NULL;
    struct render_decode *decode = NULL;
    struct render_report *report = NULL;
    status st = ST_OK;

    if (!t) return fail(ST_NOMEM, "a batch of %d clips", b->clips);
    *t = (struct batch){ .b = b, .rank = rank, .world = rank->world };
    TRY_OUT(prepare(t));
    TRY_OUT(open_role(t, &line, &decode));
    TRY_OUT(render_prompts_share(
        t->prompts, &(struct render_prompts_share){
                        .world = t->world, .from = t->roles.text, .mine = is_of_line, .arg = t }));
    TRY_OUT(share_hash(t, line));
    TRY_OUT(t->world->ops->agree(t->world, ST_OK));
    if (t->world->rank == 0) TRY_OUT(render_report_open(&report, t));
    stop_at_ticks(t);
    if (line) st = render_line_run(line);
    if (decode) st = render_decode_run(decode);
    if (st == ST_OK || st == ST_CANCELED) st = meet_at_end(t, st);
    if (st != ST_OK && st != ST_CANCELED) goto out;
    struct error const own = *error_last();
    struct render_account account = { 0 };
    if (line) render_line_account(line, &account);
    if (decode) render_decode_account(decode, &account);
    render_report_close(&report);
    status const told = render_report_table(t, &account);
    if (st != ST_OK) error_adopt(&own);
    else st = told;
out:
    render_report_close(&report);
    render_decode_close(&decode);
    render_line_close(&line);
    leave_groups(t);
    render_prompts_close(&t->prompts);
    free(t->line_of);
    free(t);
    return st;
}
