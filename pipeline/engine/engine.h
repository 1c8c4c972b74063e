/*
 * engine.h - the renderer: clips of a work source in, finished clips' folders out, on all ranks
 * of a world.
 *
 *   work source --> dispatcher --> feed of line 0 --> line ranks --> decode ranks --> encode worker
 *    (rank 0)       (rank 0)  \--> feed of line 1 --> ...                                  |
 *        ^                                                                                  v
 *        +------------- done, failed <----------------- reports ---------------------------+
 *
 * The source is asked for clips while lines run (work_source.h). Those that can share a line are
 * a group: the engine opens what each rank does for it, renders until the source has no more
 * clips of the group, closes, and goes on with the next group.
 */
#ifndef ENGINE_H
#define ENGINE_H

#include "base/track.h"
#include "cluster/roles.h"
#include "pipeline/engine/work_source.h"
#include "pipeline/line/line.h"

/* The same on all ranks, but for threads, caches and functions. */
struct engine_options {
    const struct kern_backend *backend;
    const struct kern_backend *text_backend; /* embeds the prompts */
    const char *device_name;                 /* of what computes: a card, the processor */
    int devices;                             /* cards of this machine; 0: the processor computes */
    struct line_mode mode;
    int threads;        /* of this process; 0: its share of the machine */
    int ranks_per_line; /* 0: the planner's choice */
    int decode_ranks;   /* -1: the planner's choice */
    bool for_latency;   /* what the planner looks at; else throughput */
    bool cross_nodes;
    bool fail_fast;    /* the first clip or group that fails asks for a stop */
    bool resume;       /* clips go on where an attempt at them stands, where they can */
    int ahead;         /* clips taken from the source that have not begun, at most, and one more for
                          each further line; >= 1 */
    double deadline_s; /* longest wait for a rank that lives, first tick, encoding of a block */
    double stall_s;    /* longest silence of a rank, and later tick unless 16 usual ones take
                            longer; at most deadline_s */
    const char *prompt_cache;   /* folder; NULL: none */
    int64_t prompt_cache_bytes; /* it has at most, about */
    const char *hash_cache;     /* file of whole files' hashes (file_hash.h); NULL: none */
    const char *trace;          /* file; NULL: none */
    const char *same;           /* the caller's own text that must be alike on all ranks, lines */
    bool (*stop)(void);         /* a person asked to stop; from now on this is heeded */
    bool (*stop_asked)(void);   /* the same, for those who only pass it on */
    void (*loading)(void); /* nothing is in work until `stop` is called next, so that a stop may
                                    just end the process; or NULL */
    void (*overdue)(void); /* the clips in work have had their grace since a stop: the process is to
                                 end where it stands; or NULL */
    int (*exit_code)(status st); /* for a process that has to end where it stands */
};

/* What clips ask for in place of what stands there. ST_ARG for kernels that are not of this
 * backend, or not in this build. */
status engine_apply_numerics(const struct kern_backend **backend, struct line_mode *mode,
                             const struct clip_numerics *asked) MUST_USE;

/* The same of all options; ST_DEVICE too, for kernels that cannot compute here. */
status engine_adapt_options(struct engine_options *out, const struct engine_options *o,
                            const struct clip_numerics *asked) MUST_USE;

/* What a clip is computed with, as 16 hex digits: backend, its instructions and libraries, those of
 * the prompts' too, wire, determinism and exchange. Clips of one content and other numerics differ
 * by rounding. ST_NOMEM. */
enum { ENGINE_NUMERICS = 17 };
status engine_numerics_id(const struct engine_options *o, char id[ENGINE_NUMERICS]) MUST_USE;

/* A group as it is rendered; read-only to callbacks. */
struct engine_group {
    int number; /* from 0 */
    /* The render's options with what these clips ask for: backends and mode are read here, never
     * from engine_rank.o, which has the rest. */
    struct engine_options o;
    const struct model_spec *model;
    enum dtype act;
    int width, height; /* pictures */
    struct work_outlook outlook;

    struct schedule schedule;
    struct kv_policy policy;
    struct dit_shape shape;
    int64_t latent_h, latent_w;
    int64_t picture_bytes; /* of a picture in all formats of the outlook */

    struct roles roles;
    const int *node; /* [ranks]: machine of each */
};

/* Seconds: on the wall, and of a processor by the thread itself (track_processor). */
struct cpu_wall {
    double wall, processor;
};

/* What one rank did; doubles only, so that it travels as a tensor. Ticks, blocks and pictures
 * are counted, seconds measured. */
struct rank_stats {
    double ticks;
    double wall;             /* but for: */
    double idle;             /* without work; of a rank that decodes, of its lines on average */
    double threads;          /* it may compute with */
    double process;          /* processor seconds of its process, all threads */
    double blocks, pictures; /* through its encoders */
    struct {
        double busy, span; /* ticks with a block; ticks from the first to the last of them */
        struct cpu_wall compute;
    } stage[SCHEDULE_LEVELS + 1];
    struct cpu_wall exchange, hand_over, queue, decode, encode;
};

/* A group that has ended, as rank 0 saw it. */
struct group_run {
    double load, seconds; /* until every rank was ready; from then to the end */
    bool stopped;         /* before the source had said that there is no more */
    int numbers;          /* of clips, given out so far in the whole render */
    int64_t done, failed; /* clips */
    int64_t refused;      /* of the failed: their files or the options do not allow the group */
    status why;           /* of the first that failed */
};

/* What rank 0 reports while it renders, each optional; never two at once. tick and blocks come
 * from the dispatcher's thread, which may be held up by what they do. */
struct engine_events {
    void *arg;
    void (*group_begin)(void *arg, const struct engine_group *g); /* roles are known */
    void (*group_ready)(void *arg, const struct engine_group *g); /* every rank is ready */
    void (*tick)(void *arg, int line, int busy);                  /* stages that hold a block */
    /* So many blocks of a clip, and pictures, were encoded since the last call for it; `block` is
     * the newest. */
    void (*blocks)(void *arg, const struct clip_spec *clip, int64_t block, int64_t blocks,
                   int64_t pictures);
    status (*group_end)(void *arg, const struct engine_group *g, const struct group_run *run,
                        const struct rank_stats *all /* [ranks] */);
};

/* What the ranks of a process share: models that stay loaded from group to group. */
struct model_pool;

struct engine_config {
    const struct engine_options *options;
    struct model_pool *pool;

    /* Rank 0 alone: opened once all ranks are found alike, on rank 0's thread; closed there. */
    status (*open_source)(void *arg, int ranks, struct work_source *out);
    void (*close_source)(void *arg);
    void *source_arg;
    const struct engine_events *events; /* rank 0; may be NULL */
};

/* What became of the clips, the same on all ranks. */
struct engine_result {
    int64_t done, failed;
    int64_t refused; /* of the failed, those of groups that files or options do not allow: another
                        try would end the same */
    status why;      /* of the first that failed; ST_OK: none has */
};

/* [all] Render until the source has no more. Clips that fail alone are reported to the source
 * and counted, and so are those of a group that a rank cannot open; a failure that leaves ranks out
 * of step is returned. ST_CANCELED after a stop: what is committed stays. *out counts in both
 * cases. */
status engine_run(struct comm *world, const struct engine_config *c,
                  struct engine_result *out) MUST_USE;

#endif /* ENGINE_H */
