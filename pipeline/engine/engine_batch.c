/* engine_batch.c - a batch of clips: what each rank of the world does for it. */
#include "pipeline/engine/engine_batch.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "cmd/render/render_summary.h"
#include "comm/world.h"

#include <stdlib.h>
#include <string.h>

void cpu_wall_add(struct cpu_wall *to, const struct track *t, enum track_what what, int stage)
{
    to->wall += track_seconds(t, what, stage);
    to->processor += track_processor(t, what, stage);
}

static status collect_prompts(struct batch *t)
{
    const struct clip_spec **const specs = calloc((size_t)t->b->clips + 1, sizeof *specs);

    if (!specs) return fail(ST_NOMEM, "%d clips", t->b->clips);
    for (int i = 0; i < t->b->clips; i++) specs[i] = t->b->clip[i]->spec;
    status const st =
        prompt_bank_open(&t->prompts, specs, t->b->clips, t->shape.text_len, t->shape.text_dim);
    free(specs);
    return st;
}

/* ---- prompts ---------------------------------------------------------------------- */

static status encode_prompts(struct batch *t)
{
    const struct engine_options *const o = t->rank->o;
    const struct model_spec *const card = t->b->clip[0]->card;
    struct text_config const text = { .encoder_path = card->encoder,
                                      .tokenizer_path = card->tokenizer,
                                      .cache_dir = o->prompt_cache,
                                      .text_len = t->shape.text_len,
                                      .backend = o->text_backend,
                                      .threads = t->rank->threads,
                                      .device = t->rank->device,
                                      .precision = t->act };
    struct track *track = NULL;
    status st = ST_OK;

    TRY(track_open(&track, t->rank->trace, TRACK_ROW_TEXT, "prompts"));
    track_begin(track, TRACK_TEXT, TRACK_NOWHERE);
    st = prompt_bank_encode(t->prompts, &text);
    track_end(track);
    track_close(&track);
    return st;
}

static bool is_of_line(const void *arg, int rank, int clip)
{
    const struct batch *const t = arg;
    const struct role_at *const at = &t->roles.rank[rank];
    return at->role == ROLE_LINE && at->line == t->line_of[clip];
}

/* What a rank opens for its role; NULL where it has none of it. */
struct part {
    struct line_worker *line;
    struct decode_worker *decode;
};

/* What one rank has must be what all of its kind have: a file's hash goes from rank
 * `from` to everyone, into `hash`; own is NULL on a rank that has not read the file. */
static status share_hash(struct batch *t, int from, const char *own, const char *file,
                         char hash[DIGEST_HEX])
{
    char *bytes = t->world->rank == from && own ? strdup(own) : NULL;
    size_t len = bytes ? strlen(bytes) : 0;
    status st = comm_broadcast(t->world, from, &bytes, &len);

    if (st == ST_OK && len < DIGEST_HEX) memcpy(hash, bytes, len + 1);
    free(bytes);
    if (st != ST_OK || !own || !strcmp(own, hash)) return st;
    return fail(ST_FORMAT, "%s: rank %d reads another file than rank %d under this name", file,
                t->world->rank, from);
}

static status share_hashes(struct batch *t, const struct part *p)
{
    const struct model_spec *const card = t->b->clip[0]->card;
    char first[DIGEST_HEX];
    const char *vae = p->decode ? decode_worker_vae_hash(p->decode) : NULL;

    if (p->line) vae = line_worker_vae_hash(p->line);
    if (t->world->rank == 0 && !vae) {
        TRY(digest_file(card->vae, first));
        vae = first;
    }
    TRY(share_hash(t, t->roles.line[0].first, p->line ? line_worker_weights_hash(p->line) : NULL,
                   card->weights, t->weights_hash));
    return share_hash(t, 0, vae, card->vae, t->vae_hash);
}

static status open_role(struct batch *t, struct part *p)
{
    struct vae_range part[VAE_PARTS_MAX] = { { 0, 0 } };
    const struct role_line *const served = &t->roles.line[t->me->line];

    if (t->me->role == ROLE_LINE) return line_worker_open(&p->line, t);
    if (t->me->role != ROLE_DECODE) return ST_OK;
    if (served->decode_ranks > 1) {
        struct vae_size size = { .latent_h = t->latent_h, .latent_w = t->latent_w };
        TRY(vae_base(&size.base, t->b->clip[0]->card->vae));
        TRY(vae_parts(part, served->decode_ranks, &size));
    }
    return decode_worker_open(&p->decode, t,
                              &(struct decode_worker_config){ .line = t->me->line,
                                                              .lines = t->me->lines,
                                                              .in = t->in,
                                                              .out = t->out,
                                                              .part = part[t->me->place] });
}

/* Every rank is ready when this returns. The one that embeds prompts does so before it
 * loads anything else; the others load meanwhile. */
static status open_part(struct batch *t, struct part *p)
{
    trace_begin_batch(t->rank->trace, (uint64_t)t->b->clips_done);
    TRY(engine_read_card(t));
    TRY(collect_prompts(t));
    TRY(engine_assign_roles(t));
    if (t->world->rank == 0) render_summary_roles(t);
    TRY(engine_comms_open(t));
    if (t->world->rank == t->roles.text) TRY(encode_prompts(t));
    TRY(open_role(t, p));
    TRY(prompt_bank_broadcast(
        t->prompts, &(struct prompt_bank_broadcast){
                        .world = t->world, .from = t->roles.text, .mine = is_of_line, .arg = t }));
    TRY(share_hashes(t, p));
    return comm_agree(t->world, ST_OK);
}

static status run_role(struct batch *t, struct part *p)
{
    status st = ST_OK;

    /* From here on a stop is heeded between ticks, on whichever rank it is asked for. */
    if (t->rank->o->stop()) comm_stop(t->world);
    if (p->line) st = line_worker_run(p->line);
    if (p->decode) st = decode_worker_run(p->decode);
    return st == ST_OK || st == ST_CANCELED ? comm_agree(t->world, st) : st;
}

/* All of the run but opening and closing. */
static status run_part(struct batch *t, struct part *p, struct batch_run *run)
{
    double const begin = clock_seconds(), processor = clock_process_seconds();
    struct render_summary *report = NULL;

    if (t->world->rank == 0) TRY(render_summary_open(&report, t));
    status const st = run_role(t, p);
    run->seconds = clock_seconds() - begin;
    run->stopped = st != ST_OK;
    run->account.threads = t->rank->threads;
    run->account.process = clock_process_seconds() - processor;
    if (p->line) line_worker_stats(p->line, &run->account);
    if (p->decode) decode_worker_stats(p->decode, &run->account);
    render_summary_close(&report);
    return st;
}

/* What became of the batch stays what it is, whether it can be told or not. */
static status tell(const struct batch *t, const struct batch_run *run, status st)
{
    struct error const own = *error_last();
    status const told = render_summary_print(t, run);

    if (st == ST_OK) return told;
    if (told != ST_OK) log_error("%s", error_last()->msg);
    error_adopt(&own);
    return st;
}

/* What an abort leaves behind on a card may hold up for ever whoever gives its memory back. */
static status close_watched(struct track **out, const struct batch *t)
{
    TRY(track_open(out, NULL, TRACK_ROW_LINE, "close"));
    track_begin(*out, TRACK_CLOSE, TRACK_NOWHERE);
    watchdog_add(t->rank->watch, *out, t->rank->o->stall_s, t->rank->o->stall_s);
    return ST_OK;
}

/* The others hear of it before this rank closes what they may wait in. */
static void give_up(struct track **closing, const struct batch *t)
{
    struct error const why = *error_last();

    *t->rank->why = why;
    comm_abort(t->world);
    (void)close_watched(closing, t);
    error_adopt(&why);
}

status engine_batch_run(const struct engine_rank *rank, const struct engine_batch *b)
{
    struct batch *const t = calloc(1, sizeof *t);
    struct batch_run run = { 0 };
    struct part p = { 0 };
    double const begin = clock_seconds();
    struct track *closing = NULL;
    status st = ST_OK;

    if (!t) return fail(ST_NOMEM, "a batch of %d clips", b->clips);
    *t = (struct batch){ .b = b, .rank = rank, .world = rank->world };
    TRY_OUT(open_part(t, &p));
    run.load = clock_seconds() - begin;
    st = run_part(t, &p, &run);
    if (st == ST_OK || st == ST_CANCELED) st = tell(t, &run, st);
out:
    if (st != ST_OK && st != ST_CANCELED) give_up(&closing, t);
    decode_worker_close(&p.decode);
    line_worker_close(&p.line);
    engine_comms_close(t);
    prompt_bank_close(&t->prompts);
    free(t->formats);
    free(t->line_of);
    if (closing) watchdog_drop(rank->watch, closing);
    track_close(&closing);
    free(t);
    return st;
}
