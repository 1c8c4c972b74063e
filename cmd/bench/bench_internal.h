/*
 * bench_internal.h - what the files of `rollmill bench` share.
 *
 *   cmd_bench.c       options, timing, the table or JSON
 *   bench_recorder.c  a recorded list of operations that is run again and again
 *   bench_cases.c     single operations and layers, one function each
 *   bench_model*.c    whole parts of a model, timed on files in the release's form
 *   bench_for_job.c   --for JOB: the speeds that `plan --bench` takes, by bench_job.c and
 *                     the files that it calls: bench_passes.c, bench_pictures.c, bench_link.c
 *   bench_file.c      those speeds as a file
 *
 * tools/bench_torch.py holds the cases and tools/bench_model.py the parts of a model, under
 * the same names, in PyTorch.
 */
#ifndef BENCH_INTERNAL_H
#define BENCH_INTERNAL_H

#include "cmd/backend.h"
#include "kernels/kern.h"
#include "pipeline/line/line.h"

struct comm;
struct cost_parts;
struct dit;
struct workload;

/* ---- bench_recorder.c, bench_cases.c: operations and layers on random data --------------- */

/* Shapes of the models at one size. */
struct bench_size {
    const char *name;
    /* transformer: three latent frames of `rows` by `cols` tokens are a block;
     * a block attends to `blocks` of them */
    int64_t dim, heads, ffn, rows, cols, blocks, text_rows;
    /* text encoder: `words` real tokens */
    int64_t text_dim, text_heads, text_ffn, words;
    /* decoder: one latent frame of `h` by `w` */
    int64_t h, w;
    int64_t roof[3];            /* rows, k and n of the large product */
    int64_t latent_h, latent_w; /* of whole parts of a model */
};
extern const char bench_size_names[]; /* "small|middle|..." */

enum { BENCH_STEPS = 24, BENCH_TENSORS = 96 };

/* A list of operations and all they work on. Zero-initialise, begin, record,
 * run as often as wanted, free. */
struct program {
    struct kern_ctx *ctx;
    enum dtype act;
    double flops; /* of products, attention and convolutions: two per multiply-add */
    double bytes; /* read or written by the other operations */
    int steps, tensors;
    struct step {
        enum step_op {
#define OP(op) STEP_##op,
            KERN_OPS(OP)
#undef OP
        } op;
        union {
#define OP(op) struct kern_##op op;
            KERN_OPS(OP)
#undef OP
        } a;
    } step[BENCH_STEPS];
    struct kern_segment segments[KERN_SEGMENTS];
    struct tensor tensor[BENCH_TENSORS];
    struct kern_weight weight[BENCH_TENSORS];
    int weights;
    status st; /* the first failure while recording; later calls do nothing */
};

/* Random numbers around 0. Never NULL: after a failure, a tensor without data
 * that program_queue does not reach. */
struct tensor *program_tensor(struct program *p, enum dtype t, int ndim, const int64_t *dim);
struct kern_weight *program_weight(struct program *p, enum kern_use use, int ndim,
                                   const int64_t *dim);

/* program_linear(p, &(struct kern_linear){...}) for every operation: record it. */
#define OP(op) void program_##op(struct program *p, const struct kern_##op *a);
KERN_OPS(OP)
#undef OP

/* All steps, one after another; then wait until they have run. A processor has run them
 * when program_queue returns. */
status program_queue(const struct program *p) MUST_USE;
status program_wait(const struct program *p) MUST_USE;
void program_free(struct program *p);

struct bench_case {
    const char *name, *what;
    void (*record)(struct program *p, const struct bench_size *s);
};

extern const struct bench_case bench_cases[];
extern const int bench_case_count;

/* NULL if there is none of that name. */
const struct bench_size *bench_size_find(const char *name);

/* ---- bench_common.c: what all of it uses -------------------------------------------------- */

/* Of n numbers, which end up in order. */
double bench_median(double *s, int n);

/* What is taken of the first card's memory now; 0: the processor computes. */
status bench_card_bytes(const struct backend *backend, uint64_t *bytes) MUST_USE;

/* A line by itself, to time one rank's work without the exchange and without what becomes of
 * it: with noise and context of its own, one prompt, and nobody who takes the blocks. */
struct line_io bench_null_io(struct line_io own);

/* ---- bench_model*.c: whole parts of a model ------------------------------------------------ */

struct bench_model_config {
    const char *dir; /* what make_model wrote */
    const struct backend *backend;
    int threads;
    enum dtype precision;
    int64_t latent_h, latent_w; /* pixels / 8; even */
};

enum { BENCH_FRAMES = 3 /* of a block */, BENCH_ROW_RUNS = 3 };
struct bench_result {
    double seconds[BENCH_ROW_RUNS]; /* of each run */
    double flop;                    /* of one; 0: not counted */
    uint64_t card; /* bytes of the card's memory that were taken, by whomever, while all of it
                    * was open; 0: no card */
};

struct bench_row {
    const char *name, *what;
    /* Open, run at least once uncounted, then BENCH_ROW_RUNS times. */
    status (*time)(const struct bench_model_config *c, struct bench_result *out);
};

extern const struct bench_row bench_rows[]; /* bench_model.c */
extern const int bench_row_count;

/* bench_model_tick.c: one tick in the steady state: of a line that is one rank; of one rank of
 * a line that has a rank for every stage, the exchange left out; of the former and a decode
 * behind it. */
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

/* ---- bench_for_job.c: the speeds that cost.h asks for, of one job --------------------------- */

struct bench_for {
    char *job; /* path */
    const struct backend *backend;
    const struct backend_request *request; /* that it was chosen by */
    const char *precision;                 /* "job", "f32", "bf16" */
    int threads;                           /* of a rank */
    bool json;
};

/* Measures and prints. ST_ARG in a build without jobs (MEDIA=0). */
status bench_for_job(const struct bench_for *r) MUST_USE;

/*
 * In a world the passes run on all ranks at once, each with weights of its own, and all
 * send to all; else a pass and a decode are timed in two copies at once where the cores
 * allow it: a rank never runs alone. So the speeds are those of a world of so many ranks.
 * Medians; the first runs are not counted. What counts is the time that the thread had a
 * processor, so that other work on the machine does not; of the first prompt, of what
 * goes from rank to rank and of all that a card does, the time it took.
 */

/* [all] All but what bench_link measures, known to rank 0. threads: of a rank. */
status bench_job(struct cost_parts *out, const struct workload *m, const struct backend *backend,
                 int threads, struct comm *world) MUST_USE;

/* [all] What goes from rank to rank: out->link, bytes per second into a rank from all
 * others while it sends as many, in pieces of a layer's keys and values; latency, message,
 * byte. Between two threads, if the world is one rank. Known to rank 0. */
status bench_link(struct cost_parts *out, const struct workload *m, struct comm *world) MUST_USE;

enum { BENCH_RUNS = 5 };

/* What the functions below time. */
struct bench_subject {
    const struct workload *model;
    const struct kern_backend *backend;
    struct line_mode mode;
    const struct dit *dit; /* loaded; NULL for the text */
    int threads, device;   /* see kern_config */
    double (*clock)(void); /* seconds that count */
    bool alone;            /* a card: one copy at a time */
};

/* Seconds of one, [0]; of a pass also of one with no keys but the block's own, [1].
 * Several may run at once. */
typedef status (*bench_timing)(const struct bench_subject *b, double seconds[2]);

/* bench_passes.c: stage 0 and the clean stage of a line with a rank for each stage; the first
 * prompt, its encoder's weights read and all. */
status bench_noise(const struct bench_subject *b, double seconds[2]) MUST_USE;
status bench_clean(const struct bench_subject *b, double seconds[2]) MUST_USE;
status bench_text(const struct bench_subject *b, double *seconds) MUST_USE;

/* bench_pictures.c: a block to pictures; pictures of a block into the job's files. */
status bench_decode(const struct bench_subject *b, double seconds[2]) MUST_USE;
status bench_encode(const struct bench_subject *b, double *seconds) MUST_USE;

#endif /* BENCH_INTERNAL_H */
