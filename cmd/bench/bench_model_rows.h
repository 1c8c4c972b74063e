/* bench_model_rows.h - the parts of a model, timed. Private to cmd/bench_model*.c. */
#ifndef BENCH_MODEL_ROWS_H
#define BENCH_MODEL_ROWS_H

#include "cmd/bench/bench_model.h"

/* One tick in the steady state: of a line that is one rank; of one rank of a line that has
 * a rank for every stage, the exchange left out; of the former and a decode behind it. */
status bench_time_tick(const struct bench_model_config *c, struct bench_result *out) MUST_USE;
status bench_time_rank(const struct bench_model_config *c, struct bench_result *out) MUST_USE;
status bench_time_film(const struct bench_model_config *c, struct bench_result *out) MUST_USE;

/* bench_model_vae.c: a block in the middle of a clip. The decoder may be opened and run by
 * itself: whoever opens, closes. */
struct bench_decoder;
status bench_time_vae(const struct bench_model_config *c, struct bench_result *out) MUST_USE;
status bench_decoder_open(struct bench_decoder **out, const struct bench_model_config *c) MUST_USE;
status bench_decoder_run(struct bench_decoder *d) MUST_USE;
double bench_decoder_flop(const struct bench_decoder *d); /* of a run */
void bench_decoder_close(struct bench_decoder **d);

/* bench_model_text.c */
status bench_time_text(const struct bench_model_config *c, struct bench_result *out) MUST_USE;

/* What is taken of the card's memory now; 0: no card. */
status bench_card_bytes(const struct bench_model_config *c, uint64_t *bytes) MUST_USE;

enum { BENCH_FRAMES = 3 /* of a block */ };

#endif /* BENCH_MODEL_ROWS_H */
