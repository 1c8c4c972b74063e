/*
 * mpi_decode.c - blocks from a line's tail over a chain of decode ranks, over MPI: the
 * pictures of one rank, to the bit.
 *
 * RANKS 2 3 4
 *
 *   mpi_decode                a chain of all ranks but one
 *   mpi_decode hunt SEEDS     chains, stops and delays without faults: chain_fixture.h
 *   mpi_decode fault SEEDS    chains with faults until one is met, which ends the world with
 *                             the code of its status
 */
#include "tests/support/chain_fixture.h"
#include "tests/support/mpi_harness.h"

#include <string.h>

/* This rank's part, and whether it is right. A fault comes back as it was met. */
static status run_chain(struct comm *c, void *fixture)
{
    struct chain_fixture *const s = fixture;
    char words[CHAIN_TEXT];
    status const ended = chain_fixture_run(s, c);
    struct error const own = *error_last();
    status const st = chain_fixture_check(s, c->rank);

    if (st != ST_OK) return fail(st, "%s: %s", chain_fixture_words(s, words), error_last()->msg);
    if (ended == ST_OK || ended == ST_CANCELED) return ST_OK;
    error_adopt(&own);
    return ended;
}

/* Chain after chain, each over some of the ranks. */
static status chains(struct comm *world, const struct chain_clips *clips,
                     const struct harness *harness)
{
    bool const faults = !strcmp(harness->what, "fault");
    status st = ST_OK;

    for (int i = 0; i < harness->seeds && st == ST_OK; i++) {
        uint64_t const seed = harness->seed + (uint64_t)i;
        struct chain_fixture s;
        chain_fixture_draw(&s, clips, seed, 1 + (int)(seed % (uint64_t)(world->size - 1)), faults);
        st = harness_run_some(world, s.parts + 1, run_chain, &s);
        chain_fixture_close(&s);
    }
    return st;
}

static status whole(struct comm *world, const struct chain_clips *clips)
{
    struct chain_fixture s;

    chain_fixture_open(&s, clips, world->size - 1);
    status const st = run_chain(world, &s);
    chain_fixture_close(&s);
    return st;
}

static status run(struct comm *world, const struct harness *harness)
{
    struct chain_clips clips;
    status st;

    if (world->size < 2 || world->size > CHAIN_PARTS + 1)
        return fail(ST_ARG, "%d ranks; 2..%d are tried", world->size, CHAIN_PARTS + 1);
    st = chain_clips_open(&clips);
    if (st == ST_OK)
        st = strcmp(harness->what, "well") ? chains(world, &clips, harness) : whole(world, &clips);
    if (st == ST_OK) st = comm_agree(world, ST_OK);
    chain_clips_close(&clips);
    return st;
}

int main(int argc, char **argv) { return harness_run(argc, argv, run); }
