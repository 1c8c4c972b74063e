/* bench_model.c - the parts of a model that are timed, in the order they are printed. */
#include "cmd/bench/bench_internal.h"

const struct bench_row bench_rows[] = {
    { "tick", "five noise stages and the clean one", bench_time_tick },
    { "tick-rank", "one of six ranks, exchange left out", bench_time_rank },
    { "vae-block", "3 latent frames to 12 pictures", bench_time_vae },
    { "film", "a tick, then a block decoded", bench_time_film },
    { "text", "a prompt, weights at hand", bench_time_text },
};
const int bench_row_count = COUNT_OF(bench_rows);
