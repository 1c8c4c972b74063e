/*
 * clip_trial.h - what a seed makes of clips, when they join and are cut, ranks, stops, faults and
 * delays; and whether what came of it is right.
 *
 * Right is: a rank's own fault comes back from it and all others are told that a peer
 * failed; a stop is every rank's; and whatever was handed out, before either, is to the
 * bit what one rank makes of the clip alone, with keys and values as wide on the wire.
 */
#ifndef CLIP_TRIAL_H
#define CLIP_TRIAL_H

#include "tests/support/clip_show.h"

enum { TRIAL_BLOCKS = 8, TRIAL_CLIPS = 4, TRIAL_SEEDS = 3 };

/* Clips alone on one rank, made when they are first asked for. */
struct wants {
    const struct show_model *model; /* borrowed */
    struct show *clip[LINE_FP8 + 1][SHOW_KINDS][TRIAL_SEEDS][SHOW_BLOCKS + 1];
};
void wants_free(struct wants *w);

/* Clips of the show, as far as they came, are those made alone. Only seeds below
 * TRIAL_SEEDS. */
status wants_check(struct wants *w, const struct show *s) MUST_USE;

struct trial {
    uint64_t seed;
    int ranks, delay_us;
    struct show *show;
};

/* Clips alone: seeds in turn, nothing else. ST_NOMEM. */
status trial_of(struct trial *t, const struct show_model *m, const struct kv_policy *p, int clips,
                const int64_t *blocks) MUST_USE;

/* All by the seed. ranks: 0, or how many. faults: may a callback or a wait fail? ST_NOMEM. */
status trial_make(struct trial *t, const struct show_model *m, uint64_t seed, int ranks,
                  bool faults) MUST_USE;
void trial_free(struct trial *t);

/* Did it end as it should? here: the rank that looks; -1: all ranks are of this process. */
status trial_check(const struct trial *t, int here, struct wants *w) MUST_USE;

/* In words, for who is to run it again. */
enum { TRIAL_TEXT = 320 };
const char *trial_words(const struct trial *t, char buf[TRIAL_TEXT]);

#endif /* CLIP_TRIAL_H */
