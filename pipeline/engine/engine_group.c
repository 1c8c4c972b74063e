/*
 * engine_group.c - a group of clips: what each rank of the world does for it.
 *
 * Opened on every rank before any runs, so that what is missing is found before a clip is
 * begun: first what each rank opens by itself, then what takes several. Whatever one of them cannot
 * open, all hear of it before they go on (group_verdict.c), and the group's clips fail alone.
 *
 * While it runs a rank has, beside its worker, threads that bring clips (clip_feed.c), and
 * rank 0 the dispatcher. They all end because the source has no more clips of the group, because a
 * stop was asked for, or because the world is aborted: then every wait breaks.
 */
#include "base/clock.h"
#include "base/file_set.h"
#include "base/log.h"
#include "pipeline/engine/dispatch/dispatch.h"

#include <stdlib.h>
#include <string.h>

/* ---- what all ranks must read alike -------------------------------------------------------- */

/* A file's hash goes from rank `from` to everyone, into `hash`; own is NULL on a rank that has
 * not read the file. *mine becomes ST_FORMAT, if it was ST_OK, where that read another one. */
static status share_hash(struct group *t, int from, const char *own, const char *file,
                         char hash[DIGEST_HEX], status *mine)
{
    bool const sends = t->world->rank == from;
    char sent[DIGEST_HEX] = "", *bytes = sends ? sent : NULL;

    if (sends && own) memcpy(sent, own, sizeof sent);
    size_t len = strlen(sent);
    status const st = comm_broadcast(t->world, from, &bytes, &len);
    if (st == ST_OK && len < DIGEST_HEX) memcpy(hash, bytes, len + 1);
    if (!sends) free(bytes);
    if (st == ST_OK && *mine == ST_OK && own && strcmp(own, hash) != 0)
        *mine = fail(ST_FORMAT, "%s: rank %d reads another file than rank %d under this name", file,
                     t->world->rank, from);
    return st;
}

/* NULL: this rank has not read it, nor need it. */
static const char *own_vae_hash(const struct group *t)
{
    const char *hash = t->world->rank == 0 && t->vae_hash[0] ? t->vae_hash : NULL;

    if (t->line_worker && !hash) hash = line_worker_vae_hash(t->line_worker);
    if (t->decode_worker && !hash) hash = decode_worker_vae_hash(t->decode_worker);
    return hash;
}

/* Rank 0: of what it tells the others though it may not have loaded it itself. */
static status hash_for_all(struct group *t)
{
    if (t->world->rank) return ST_OK;
    if (!own_vae_hash(t))
        TRY(model_file_hash(t->model.vae, file_set_vae, group_hash_cache(t), t->vae_hash));
    for (int i = 0; i < t->model.loras; i++)
        TRY(model_file_hash(t->model.lora[i].file, weights_folders(WEIGHTS_LORA),
                            group_hash_cache(t), t->lora_hash[i]));
    return ST_OK;
}

/* [all] *mine: as share_hash has it. */
static status share_hashes(struct group *t, status *mine)
{
    bool const asks = t->world->rank == 0;
    const struct model_spec *const m = &t->model;
    const char *const weights = t->line_worker ? line_worker_weights_hash(t->line_worker) : NULL;
    const char *const text = t->prompt_encoder ? prompt_encoder_hash(t->prompt_encoder) : NULL;

    TRY(share_hash(t, t->g.roles.line[0].first, weights, m->weights, t->weights_hash, mine));
    TRY(share_hash(t, t->g.roles.text, text, m->encoder, t->text_hash, mine));
    TRY(share_hash(t, 0, own_vae_hash(t), m->vae, t->vae_hash, mine));
    for (int i = 0; i < m->loras; i++)
        TRY(share_hash(t, 0, asks ? t->lora_hash[i] : NULL, m->lora[i].file, t->lora_hash[i],
                       mine));
    return ST_OK;
}

/* ---- opening ------------------------------------------------------------------------------- */

static status open_worker(struct group *t)
{
    struct vae_range part[VAE_PARTS_MAX] = { { 0, 0 } };
    const struct role_line *const served = &t->g.roles.line[t->me->line];

    if (t->me->role == ROLE_LINE) return line_worker_open(&t->line_worker, t);
    if (t->me->role != ROLE_DECODE) return ST_OK;
    if (served->decode_ranks > 1) {
        struct vae_size size = { .latent_h = t->g.latent_h, .latent_w = t->g.latent_w };
        TRY(vae_base(&size.base, t->model.vae));
        TRY(vae_parts(part, served->decode_ranks, &size));
    }
    return decode_worker_open(&t->decode_worker, t,
                              &(struct decode_worker_config){ .line = t->me->line,
                                                              .lines = t->me->lines,
                                                              .in = t->in,
                                                              .out = t->out,
                                                              .part = part[t->me->place] });
}

/* What this rank opens without the others. */
static status open_parts(struct group *t)
{
    TRY(clip_board_open(&t->board, t->world));
    if (t->world->rank == t->g.roles.text) TRY(prompt_encoder_open(&t->prompt_encoder, t));
    TRY(open_worker(t));
    return hash_for_all(t);
}

/* [all] What ranks open together; *mine: how that went on this one. What fails otherwise leaves
 * them out of step. */
static status join_parts(struct group *t, status *mine)
{
    *mine = t->line_worker ? line_worker_join(t->line_worker) : ST_OK;
    if (*mine == ST_COMM) return *mine;
    TRY(share_hashes(t, mine));
    if (*mine == ST_OK) *mine = group_check_files(t); /* what was hashed is what has been loaded */
    return ST_OK;
}

static status open_group(struct group *t)
{
    status mine;
    const struct engine_events *const ev = t->rank->events;

    if (t->first) TRY(dispatcher_open(&t->dispatcher, t)); /* whatever comes, its clip is told of */
    if (t->rank->o->loading) t->rank->o->loading();
    if (t->rank->o->stop_asked()) comm_stop(t->world); /* before it ended the process by itself */
    TRY(group_read_model(t));
    TRY(engine_assign_roles(t));
    if (ev && ev->group_begin) ev->group_begin(ev->arg, &t->g);
    TRY(engine_comms_open(t));
    TRY(group_agree(t, open_parts(t)));
    TRY(join_parts(t, &mine));
    return group_agree(t, mine);
}

/* [all] Its clips have failed, and nothing else. */
static status refuse_group(struct group *t, struct group_run *r)
{
    error_clear();
    if (!t->dispatcher) return ST_OK;
    log_info("%s cannot be opened: %s", t->first->model->card, t->verdict.why);
    return dispatcher_refuse(t->dispatcher, r);
}

/* ---- running -------------------------------------------------------------------------------- */

static status run_worker(struct group *t)
{
    status st = ST_OK;

    /* From here on a stop is heeded between ticks, on whichever rank it is asked for. */
    if (t->rank->o->stop()) comm_stop(t->world);
    if (t->line_worker) st = line_worker_run(t->line_worker);
    if (t->decode_worker) st = decode_worker_run(t->decode_worker);
    if (st != ST_OK && st != ST_CANCELED) {
        struct error const why = *error_last();
        engine_note_failure(t->rank->failure, &why); /* should what follows hang */
        comm_abort(t->world);
        error_adopt(&why);
    }
    return st;
}

/* Everything that runs beside the worker ends with it. */
static status run_threads(struct group *t, struct group_run *r)
{
    status st = clip_feed_open(&t->feed, t);

    if (st == ST_OK) st = prompt_encoder_start(t->prompt_encoder);
    if (st == ST_OK && t->dispatcher) st = dispatcher_start(t->dispatcher);
    if (st == ST_OK) st = run_worker(t);
    else comm_abort(t->world);
    if (t->dispatcher) st = dispatcher_join(t->dispatcher, st, r);
    st = prompt_encoder_join(t->prompt_encoder, st);
    return clip_feed_join(t->feed, st);
}

/* ---- what each rank did ---------------------------------------------------------------------- */

/* The group's outcome stays what it is, whether the statistics can be sent or not. */
static status report_stats(struct group *t, const struct rank_stats *mine,
                           const struct group_run *r, status st)
{
    struct error const own = *error_last();
    status const gathered = rank_stats_gather(t, mine, r);

    if (st == ST_OK) return gathered;
    if (gathered != ST_OK) log_error("%s", error_last()->msg);
    error_adopt(&own);
    return st;
}

static status run_group(struct group *t, struct group_run *r)
{
    const struct engine_events *const ev = t->rank->events;
    double const begin = clock_seconds(), processor = clock_process_seconds();
    struct rank_stats mine = { .threads = t->rank->threads };

    if (ev && ev->group_ready) ev->group_ready(ev->arg, &t->g);
    status st = run_threads(t, r);
    if (st == ST_OK || st == ST_CANCELED) st = comm_agree(t->world, st);
    r->seconds = clock_seconds() - begin;
    r->stopped = r->stopped || st != ST_OK;
    if (st != ST_OK && st != ST_CANCELED) return st; /* what counts may still run */
    mine.process = clock_process_seconds() - processor;
    if (t->line_worker) line_worker_stats(t->line_worker, &mine);
    if (t->decode_worker) decode_worker_stats(t->decode_worker, &mine);
    return report_stats(t, &mine, r, st);
}

/* ---- closing --------------------------------------------------------------------------------- */

/* What an abort leaves behind on a card may hold up for ever whoever gives its memory back. */
static status watch_closing(struct track **out, const struct group *t)
{
    TRY(track_open(out, NULL, TRACK_ROW_LINE, "close"));
    track_begin(*out, TRACK_CLOSE, TRACK_NOWHERE);
    watchdog_add(t->rank->watch, *out, t->rank->o->stall_s, t->rank->o->stall_s);
    return ST_OK;
}

/* The others are told before this rank closes what they may wait in. */
static void give_up(struct track **closing, const struct group *t)
{
    struct error const why = *error_last();

    engine_note_failure(t->rank->failure, &why);
    comm_abort(t->world);
    (void)watch_closing(closing, t);
    error_adopt(&why);
}

status engine_group_run(const struct engine_rank *rank, int number, const struct work_item *first,
                        int numbers, struct group_run *r)
{
    struct group *const t = calloc(1, sizeof *t);
    double const begin = clock_seconds();
    struct track *closing = NULL;
    status st = ST_OK;

    *r = (struct group_run){ 0 };
    if (!t) return fail(ST_NOMEM, "a group of clips");
    *t = (struct group){ .g = { .number = number, .o = *rank->o, .node = rank->world->node },
                         .rank = rank,
                         .first = first,
                         .numbers = numbers,
                         .world = rank->world };
    st = open_group(t);
    r->load = clock_seconds() - begin;
    if (st == ST_OK) st = run_group(t, r);
    else if (t->verdict.st != ST_OK) st = refuse_group(t, r);
    if (st != ST_OK && st != ST_CANCELED) give_up(&closing, t);
    struct error const why = *error_last(); /* what closing comes upon only follows from it */
    decode_worker_close(&t->decode_worker);
    line_worker_close(&t->line_worker);
    dispatcher_close(&t->dispatcher);
    prompt_encoder_close(&t->prompt_encoder);
    clip_feed_close(&t->feed);
    engine_comms_close(t);
    clip_board_close(&t->board);
    group_release_files(t);
    model_spec_free(&t->model);
    if (closing) watchdog_drop(rank->watch, closing);
    track_close(&closing);
    free(t);
    if (st != ST_OK) error_adopt(&why);
    return st;
}
