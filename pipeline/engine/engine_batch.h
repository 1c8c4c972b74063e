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
    const struct render_batch *b;
    const struct render_rank *rank;
    struct comm *world;

    /* the card's numbers */
    struct schedule schedule;
    struct key_policy policy;
    struct dit_shape shape;
    enum dtype act;
    int64_t latent_h, latent_w;

    /* pictures, as the clips' files want them */
    unsigned *formats;     /* [clips]: sets of enum pix */
    int64_t picture_bytes; /* of a picture, the most of all clips */

    struct roles roles;
    const struct role_at *me;
    int *line_of; /* [clips]: the line that renders it */

    struct render_prompts *prompts;
    char weights_hash[DIGEST_HEX], vae_hash[DIGEST_HEX]; /* the same on all ranks */

    /* Groups this rank is in; NULL where it is not. A hop joins two ranks: a line's tail
     * with the first part of its decode chain, or one part with the next. */
    struct comm *line_comm;
    struct comm *in[ROLES_RANKS]; /* decode rank: per line it serves, the hop that comes in */
    struct comm *out;             /* tail or decode rank: the hop that goes out */
};

/* The card's numbers, as the line wants them, and the clips' pictures. */
status render_cast_card(struct batch *t) MUST_USE;

/* [all] Roles as asked for, the rest as the planner says; then lines for clips. */
status render_cast_roles(struct batch *t) MUST_USE;

/* [all] The groups of this rank, by its role; leave closes them. */
status render_join_groups(struct batch *t) MUST_USE;
void render_leave_groups(struct batch *t);

/* What one rank did; doubles only, so that it travels as a tensor. Ticks, blocks and
 * pictures are counted, seconds measured. */
struct render_spent {
    double wall, processor; /* the latter: of the thread itself, see track_processor */
};
struct render_account {
    double ticks, wall;
    double threads;          /* it may compute with */
    double process;          /* processor seconds of its process, all threads */
    double blocks, pictures; /* through its encoders */
    struct {
        double busy, span; /* ticks with a block; ticks from the first to the last of them */
        struct render_spent compute;
    } stage[SCHEDULE_LEVELS + 1];
    struct render_spent exchange, hand_over, queue, decode, encode;
};

/* Adds what a track has of a kind. */
void render_spent_add(struct render_spent *to, const struct track *t, enum track_what what,
                      int stage);

/* Everything a role opens, runs and closes. Opened on every rank before any runs. */
struct render_line;
status render_line_open(struct render_line **out, struct batch *t) MUST_USE;
status render_line_run(struct render_line *l) MUST_USE; /* all clips of the line */
void render_line_close(struct render_line **l);         /* NULL is fine; sets NULL */
const char *render_line_weights_hash(const struct render_line *l);
const char *render_line_vae_hash(const struct render_line *l); /* NULL: does not decode */
void render_line_account(const struct render_line *l, struct render_account *a); /* adds */

/* in: [lines], hops that bring blocks of the lines `line` ...; out: the next part's, or
 * NULL for the last part, which makes the films. All borrowed. */
struct render_decode_config {
    int line, lines;
    struct comm *const *in;
    struct comm *out;
    struct vae_part part;
};
struct render_decode;
status render_decode_open(struct render_decode **out, struct batch *t,
                          const struct render_decode_config *c) MUST_USE;
status render_decode_run(struct render_decode *d) MUST_USE; /* until its lines end */
void render_decode_close(struct render_decode **d);         /* NULL is fine; sets NULL */
const char *render_decode_vae_hash(const struct render_decode *d);
void render_decode_account(const struct render_decode *d, struct render_account *a); /* adds */

#endif /* ENGINE_BATCH_H */
