/*
 * engine.c - a rank's life: what watches over it, then group after group until rank 0's source
 * has no more.
 *
 * All ranks go through the same groups: rank 0 alone asks the source, and whether there is another
 * group reaches the others in an agree, in which they wait as long as the source does.
 */
#include "base/file_watch.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/strbuf.h"
#include "base/version.h"
#include "comm/world.h"
#include "pipeline/engine/engine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static double const ask_every_s = 0.5;

static struct error read_failure(struct engine_failure *f)
{
    pthread_mutex_lock(&f->lock);
    struct error const why = f->why;
    pthread_mutex_unlock(&f->lock);
    return why;
}

/* The rank hangs where no wait for a peer would notice: the world ends here. */
static void end_hung_rank(void *arg, const struct track *t, double seconds)
{
    const struct engine_rank *const rank = arg;
    const struct comm *const world = rank->world;
    char words[TRACK_TEXT_BYTES];

    log_set_rank(world->rank);
    log_error("rank %d: no progress for %.0f s: %s", world->rank, seconds,
              track_words(track_state(t), words));
    struct error const why = read_failure(rank->failure);
    if (why.st != ST_OK) log_error("%s", why.msg);
    _exit(rank->o->exit_code(why.st != ST_OK ? why.st : ST_COMM));
}

/* The same for a disk that does not answer, from the first file that is read. Threads of one
 * process may be several ranks, each with a watchdog. */
static void end_waiting_rank(void *arg, double running)
{
    const struct engine_rank *const rank = arg;
    const struct comm *const world = rank->world;
    bool const shares = world->size > 1 && comm_launcher_rank() < 0;
    struct file_wait w;

    file_watch_longest(&w, shares ? world->rank : -1);
    double const idle = w.seconds < running ? w.seconds : running;
    if (!(idle > rank->o->stall_s)) return;
    log_set_rank(world->rank);
    log_error("rank %d: %s: the disk has not answered for %.0f s", world->rank, w.path, idle);
    _exit(rank->o->exit_code(ST_COMM));
}

static int count_threads(const struct comm *world, const struct engine_options *o)
{
    int here = 1;

    for (int r = 0; r < world->size; r++)
        here += r != world->rank && world->node[r] == world->node[world->rank];
    if (comm_launcher_rank() >= 0 && o->threads) return o->threads;
    int const threads = (o->threads ? o->threads : pool_cpus()) / here;
    return threads > 0 ? threads : 1;
}

/* ---- what all ranks must have in common ----------------------------------------------------- */

static void describe_options(struct strbuf *out, const struct engine_options *o)
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

/* [all] ST_ARG if this rank was given other options than rank 0, is another build, or computes
 * with other kernels, so that a clip would be of two kinds of bits; ST_PEER if another rank was.
 * What may differ from rank to rank is not looked at: threads, caches. */
static status compare_options(struct comm *world, const struct engine_options *o)
{
    struct strbuf mine = { 0 };

    describe_options(&mine, o);
    status st = comm_agree(world, mine.failed ? fail(ST_NOMEM, "no memory") : ST_OK);
    if (st == ST_OK) st = comm_check_same(world, mine.s);
    strbuf_free(&mine);
    return st;
}

/* ---- the trace ------------------------------------------------------------------------------ */

/* [all] One file for all; times count from rank 0's word. */
static status open_trace(struct trace **out, struct comm *world, const char *path)
{
    double start = trace_epoch();
    char *bytes = (char *)&start, name[64];
    size_t len = sizeof start;

    if (!path) return ST_OK;
    TRY(comm_agree(world, world->rank ? ST_OK : trace_create(path)));
    TRY(comm_broadcast(world, 0, &bytes, &len));
    if (world->rank) {
        memcpy(&start, bytes, sizeof start);
        free(bytes);
    }
    snprintf(name, sizeof name, "rank %d, machine %d", world->rank, world->node[world->rank]);
    return trace_open(out, &(struct trace_config){
                               .path = path, .rank = world->rank, .name = name, .start = start });
}

/* [all] The file's closing bracket, when everyone has written. */
static status end_trace(struct engine_rank *rank, status st)
{
    struct error const own = *error_last();

    if (!rank->trace) return st;
    if (rank->world->rank) trace_close(&rank->trace, false);
    status const met = comm_agree(rank->world, ST_OK);
    trace_close(&rank->trace, met == ST_OK);
    if (status_outweighs(met, st)) return met;
    if (st != ST_OK) error_adopt(&own);
    return st;
}

/* ---- groups --------------------------------------------------------------------------------- */

/* Rank 0: the clip that begins the next group. *more false: there is none. */
static status await_first_clip(const struct engine_rank *rank, struct work_item *first, bool *more)
{
    const struct work_source *const s = rank->source;
    enum work_next what = WORK_LATER;

    while (what == WORK_LATER || what == WORK_OTHER) {
        TRY(s->ops->next(s->arg, NULL, ask_every_s, first, &what));
        if (rank->o->stop_asked()) comm_stop(rank->world);
        if (what != WORK_END && comm_stopped(rank->world)) {
            if (what == WORK_CLIP) s->ops->failed(s->arg, first->ticket, ST_CANCELED, "stopped");
            return fail(ST_CANCELED, "stopped");
        }
    }
    *more = what == WORK_CLIP;
    return ST_OK;
}

/* [all] Is there another group? */
static status next_group(const struct engine_rank *rank, struct work_item *first, bool *more)
{
    int64_t words[COMM_AGREE_WORDS] = { 0 };
    status st = ST_OK;

    if (rank->world->rank == 0) {
        st = await_first_clip(rank, first, more);
        words[0] = *more;
    }
    TRY(comm_agree_on(rank->world, st, words));
    *more = words[0] != 0;
    return ST_OK;
}

static status run_groups(const struct engine_rank *rank, struct engine_result *out)
{
    bool const asks = rank->world->rank == 0;
    bool more = false;
    status st = ST_OK;

    for (int number = 0, numbers = 0; st == ST_OK; number++) {
        struct work_item first = { 0 };
        struct group_run r;
        TRY(next_group(rank, &first, &more));
        if (!more) break;
        st = engine_group_run(rank, number, asks ? &first : NULL, numbers, &r);
        numbers = r.numbers;
        if (!out->failed) out->why = r.why;
        out->done += r.done;
        out->failed += r.failed;
        out->refused += r.refused;
    }
    return st;
}

/* [all] What rank 0 has counted, after a stop too. */
static status share_result(struct comm *world, struct engine_result *out, status st)
{
    int64_t words[COMM_AGREE_WORDS] = { out->done, out->failed, out->refused, out->why };
    struct error const own = *error_last();

    TRY(comm_agree_on(world, ST_OK, words));
    *out = (struct engine_result){ words[0], words[1], words[2], (status)words[3] };
    if (st != ST_OK) error_adopt(&own);
    return st;
}

/* [all] */
static status open_work(struct engine_rank *rank, const struct engine_config *c,
                        struct work_source *source)
{
    status st = ST_OK;

    if (rank->world->rank == 0) {
        st = c->open_source(c->source_arg, rank->world->size, source);
        if (st == ST_OK) rank->source = source;
    }
    return comm_agree(rank->world, st); /* what is wrong with a file is said once */
}

status engine_run(struct comm *world, const struct engine_config *c, struct engine_result *out)
{
    const struct engine_options *const o = c->options;
    struct engine_failure failure = { .lock = PTHREAD_MUTEX_INITIALIZER };
    struct engine_rank rank = {
        .o = o,
        .world = world,
        .threads = count_threads(world, o),
        .device = world_device(world, o->devices),
        .pool = c->pool,
        .failure = &failure,
        .events = world->rank ? NULL : c->events,
    };
    struct watchdog_config const watch = { .expired = end_hung_rank,
                                           .look = end_waiting_rank,
                                           .arg = &rank };
    double const usual = world->deadline_s;
    struct work_source source;
    status st = ST_OK;

    *out = (struct engine_result){ 0 };
    log_set_rank(world->size > 1 ? world->rank : -1);
    TRY_OUT(watchdog_open(&rank.watch, &watch));
    TRY_OUT(heartbeat_open(&rank.heartbeat, world, o->stall_s, o->stop_asked));
    world->deadline_s = ENGINE_WAIT_S;
    TRY_OUT(compare_options(world, o));
    TRY_OUT(open_trace(&rank.trace, world, o->trace));
    TRY_OUT(open_work(&rank, c, &source));
    st = run_groups(&rank, out);
    if (st == ST_OK || st == ST_CANCELED) st = share_result(world, out, st);
out:
    if (rank.source) c->close_source(c->source_arg);
    if (st == ST_OK || st == ST_CANCELED) st = end_trace(&rank, st);
    trace_close(&rank.trace, false);
    if (st == ST_PEER && rank.heartbeat && heartbeat_verdict(rank.heartbeat) != ST_OK)
        st = error_last()->st;
    heartbeat_close(&rank.heartbeat);
    watchdog_close(&rank.watch);
    world->deadline_s = usual;
    return st;
}
