/*
 * engine_batch.h - one batch of clips on one rank: what all roles know of it, and what
 * each role does. Private to cmd/render_*.c.
 *
 *   engine_batch.c   opens, runs and closes what each rank does; prompts
 *   engine_comms.c  the groups of ranks that messages go through
 *   engine_roles.c    who plays which role, which line renders which clip
 *   line_worker.c    ROLE_LINE: a rank of a line; its tail sends finished blocks on
 *   decode_local.c  a thread that decodes beside the line
 *   decode_worker.c  ROLE_DECODE, or a thread beside the tail: blocks to pictures to film
 *   encode_worker.c    pictures to files, on a thread of their own
 *   render_summary.c  rank 0: progress, the table at the end
 */
#ifndef ENGINE_BATCH_H
#define ENGINE_BATCH_H

#include "cluster/roles.h"
#include "pipeline/engine/engine.h"
#include "pipeline/engine/prompt_bank.h"
#include "pipeline/line/line.h"
#include "pipeline/vae/vae.h"

struct batch {
    const struct engine_batch *b;
    const struct engine_rank *rank;
    struct comm *world;

    /* the card's numbers */
    struct schedule schedule;
    struct kv_policy policy;
    struct dit_shape shape;
    enum dtype act;
    int64_t latent_h, latent_w;

    /* pictures, as the clips' files want them */
    unsigned *formats;     /* [clips]: sets of enum pix */
    int64_t picture_bytes; /* of a picture, the most of all clips */

    struct roles roles;
    const struct role_at *me;
    int *line_of; /* [clips]: the line that renders it */

    struct prompt_bank *prompts;
    char weights_hash[DIGEST_HEX], vae_hash[DIGEST_HEX]; /* the same on all ranks */

    /* Groups this rank is in; NULL where it is not. A hop joins two ranks: a line's tail
     * with the first part of its decode chain, or one part with the next. */
    struct comm *line_comm;
    struct comm *in[ROLES_RANKS]; /* decode rank: per line it serves, the hop that comes in */
    struct comm *out;             /* tail or decode rank: the hop that goes out */
};

/* The card's numbers, as the line wants them, and the clips' pictures. */
status engine_read_card(struct batch *t) MUST_USE;

/* [all] Roles as asked for, the rest as the planner says; then lines for clips. */
status engine_assign_roles(struct batch *t) MUST_USE;

/* [all] The groups of this rank, by its role; leave closes them. */
status engine_comms_open(struct batch *t) MUST_USE;
void engine_comms_close(struct batch *t);

/* What one rank did; doubles only, so that it travels as a tensor. Ticks, blocks and
 * pictures are counted, seconds measured. */
struct cpu_wall {
    double wall, processor; /* the latter: of the thread itself, see track_processor */
};
struct rank_stats {
    double ticks, wall;
    double threads;          /* it may compute with */
    double process;          /* processor seconds of its process, all threads */
    double blocks, pictures; /* through its encoders */
    struct {
        double busy, span; /* ticks with a block; ticks from the first to the last of them */
        struct cpu_wall compute;
    } stage[SCHEDULE_LEVELS + 1];
    struct cpu_wall exchange, hand_over, queue, decode, encode;
};

/* Adds what a track has of a kind. */
void cpu_wall_add(struct cpu_wall *to, const struct track *t, enum track_what what, int stage);

/* Everything a role opens, runs and closes. Opened on every rank before any runs. */
struct line_worker;
status line_worker_open(struct line_worker **out, struct batch *t) MUST_USE;
status line_worker_run(struct line_worker *l) MUST_USE; /* all clips of the line */
void line_worker_close(struct line_worker **l);         /* NULL is fine; sets NULL */
const char *line_worker_weights_hash(const struct line_worker *l);
const char *line_worker_vae_hash(const struct line_worker *l); /* NULL: does not decode */
void line_worker_stats(const struct line_worker *l, struct rank_stats *a); /* adds */

/* in: [lines], hops that bring blocks of the lines `line` ...; out: the next part's, or
 * NULL for the last part, which makes the films. All borrowed. */
struct decode_worker_config {
    int line, lines;
    struct comm *const *in;
    struct comm *out;
    struct vae_range part;
};
struct decode_worker;
status decode_worker_open(struct decode_worker **out, struct batch *t,
                          const struct decode_worker_config *c) MUST_USE;
status decode_worker_run(struct decode_worker *d) MUST_USE; /* until its lines end */
void decode_worker_close(struct decode_worker **d);         /* NULL is fine; sets NULL */
const char *decode_worker_vae_hash(const struct decode_worker *d);
void decode_worker_stats(const struct decode_worker *d, struct rank_stats *a); /* adds */

#endif /* ENGINE_BATCH_H */
