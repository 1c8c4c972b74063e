/*
 * random_case.h - what a seed makes of clips, when they join and are cut, ranks, stops, faults and
 * delays; and whether what came of it is right.
 *
 * Right is: a rank's own fault comes back from it and all others are told that a peer
 * failed; a stop is every rank's; and whatever was handed out, before either, is to the
 * bit what one rank makes of the clip alone, with keys and values as wide on the wire.
 */
#ifndef RANDOM_CASE_H
#define RANDOM_CASE_H

#include "tests/support/clip_fixture.h"

enum { RANDOM_CASE_BLOCKS = 8, RANDOM_CASE_CLIPS = 4, RANDOM_CASE_SEEDS = 3 };

/* Clips alone on one rank, made when they are first asked for. */
struct expected {
    const struct clip_fixture_model *model; /* borrowed */
    struct clip_fixture
        *clip[2][LINE_FP8 + 1][FIXTURE_KINDS][RANDOM_CASE_SEEDS][FIXTURE_BLOCKS + 1]; /* recache */
};
void expected_free(struct expected *w);

/* Clips of the fixture, as far as they came, are those made alone. Only seeds below
 * RANDOM_CASE_SEEDS. */
status expected_check(struct expected *w, const struct clip_fixture *s) MUST_USE;

struct random_case {
    uint64_t seed;
    int ranks, delay_us;
    struct clip_fixture *fixture;
};

/* Clips alone: seeds in turn, nothing else. ST_NOMEM. */
status random_case_of(struct random_case *t, const struct clip_fixture_model *m,
                      const struct kv_policy *p, int clips, const int64_t *blocks) MUST_USE;

/* All by the seed. ranks: 0, or how many. faults: may a callback or a wait fail? ST_NOMEM. */
status random_case_draw(struct random_case *t, const struct clip_fixture_model *m, uint64_t seed,
                        int ranks, bool faults) MUST_USE;
void random_case_free(struct random_case *t);

/* Did it end as it should? here: the rank that looks; -1: all ranks are of this process. */
status random_case_check(const struct random_case *t, int here, struct expected *w) MUST_USE;

/* In words, for who is to run it again. */
enum { RANDOM_CASE_TEXT = 320 };
const char *random_case_words(const struct random_case *t, char buf[RANDOM_CASE_TEXT]);

#endif /* RANDOM_CASE_H */
