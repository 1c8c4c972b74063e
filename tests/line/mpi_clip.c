/*
 * mpi_clip.c - clips through the line, over MPI: what one rank makes, to the bit.
 *
 * RANKS 1 2 3 4 5 6
 *
 *   mpi_clip                  clips of all windows, and a queue of five against each alone
 *   mpi_clip hunt SEEDS       trials without faults: clip_trial.h
 *   mpi_clip fault SEEDS      trials with faults until one is met, which ends the world with
 *                             the code of its status
 */
#include "tests/support/clip_trial.h"
#include "tests/support/comm_jitter.h"
#include "tests/support/mpi_harness.h"

#include <string.h>

struct run {
    struct trial trial;
    struct wants wants;
};

/* This rank's part of a trial, and whether it is right. A fault comes back as it was met. */
static status run_trial(struct comm *c, void *arg)
{
    struct run *const r = arg;
    const struct trial *const t = &r->trial;
    struct comm *late = c;
    char words[TRIAL_TEXT];

    c->gathers = t->show->gathers;
    if (t->delay_us) TRY(comm_jitter_open(&late, c, t->seed, t->delay_us));
    status const ended = show_run(t->show, late);
    if (late != c) comm_jitter_end(&late);
    if (ended != ST_OK && ended != ST_CANCELED) comm_abort(c);
    struct error const own = *error_last();
    status const st = trial_check(t, c->rank, &r->wants);
    if (st != ST_OK) return fail(st, "%s: %s", trial_words(t, words), error_last()->msg);
    if (ended == ST_OK || ended == ST_CANCELED) return ST_OK;
    error_adopt(&own);
    return ended;
}

/* All ranks of the world, every kind of window, by blocks and where they divide by heads; that of
 * many blocks gathers too. */
static status queues(struct comm *world, struct run *r)
{
    static int64_t const blocks[] = { 6, 1, 9, 2, 3 };
    status st = ST_OK;

    for (int i = 0; i <= 2 * SHOW_KINDS && st == ST_OK; i++) {
        bool const gathers = i == 2 * SHOW_KINDS, heads = i % 2;
        int const kind = gathers ? SHOW_ROLLING : i / 2;
        if (heads && SHOW_HEADS % world->size) continue;
        st = trial_of(&r->trial, r->wants.model, &show_policy[kind], COUNT_OF(blocks), blocks);
        r->trial.ranks = world->size;
        if (st == ST_OK && heads) r->trial.show->mode.exchange = LINE_HEADS;
        if (st == ST_OK) r->trial.show->gathers = gathers;
        if (st == ST_OK) st = run_trial(world, r);
        trial_free(&r->trial);
    }
    return st;
}

/* Trial after trial, each over some of the ranks. */
static status trials(struct comm *world, struct run *r, const struct harness *harness, bool faults)
{
    status st = ST_OK;

    for (int i = 0; i < harness->seeds && st == ST_OK; i++) {
        uint64_t const seed = harness->seed + (uint64_t)i;
        TRY(trial_make(&r->trial, r->wants.model, seed, 1 + (int)(seed % (uint64_t)world->size),
                       faults));
        st = harness_run_some(world, r->trial.ranks, run_trial, r);
        trial_free(&r->trial);
    }
    return st;
}

static status run(struct comm *world, const struct harness *harness)
{
    struct show_model model = { .backend = NULL };
    struct run r = { .wants.model = &model };
    bool const faults = !strcmp(harness->what, "fault");
    status st = show_model_open(&model, kern_backend_find("cpu"));

    if (st == ST_OK && world->size > SHOW_RANKS)
        st = fail(ST_ARG, "%d ranks; a line has up to %d", world->size, SHOW_RANKS);
    if (st == ST_OK && !strcmp(harness->what, "well")) st = queues(world, &r);
    else if (st == ST_OK) st = trials(world, &r, harness, faults);
    if (st == ST_OK) st = comm_agree(world, ST_OK);
    wants_free(&r.wants);
    show_model_close(&model);
    return st;
}

int main(int argc, char **argv) { return harness_run(argc, argv, run); }
