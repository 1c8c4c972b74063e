/* engine.h - what the files of `render` share: its options, a rank, one batch of clips. */
#ifndef ENGINE_H
#define ENGINE_H

#include "base/watchdog.h"
#include "cmd/render/render_list.h"
#include "comm/heartbeat.h"
#include "pipeline/engine/model_pool.h"
#include "pipeline/line/line.h"

struct engine_options {
    const struct kern_backend *backend;
    const struct kern_backend *text_backend; /* embeds the prompts */
    const char *device_name;                 /* of what computes: a card, the processor */
    int devices;                             /* cards of this machine; 0: the processor computes */
    struct line_mode mode;
    const char *precision; /* "f32" or "bf16", overrules the jobs; NULL: as they say */
    int threads;           /* of this process; 0: its share of the machine */
    int ranks_per_line;    /* 0: the planner's choice */
    int decode_ranks;      /* -1: the planner's choice */
    bool for_latency;      /* what the planner looks at; else throughput */
    bool cross_nodes;
    double deadline_s; /* longest wait for a rank that lives, first tick, encoding of a block */
    double stall_s;    /* longest silence of a rank, and later tick unless 16 usual ones take
                          longer; at most deadline_s */
    const char *prompt_cache; /* folder; NULL: none */
    const char *trace;        /* file; NULL: none */
    const char *report;       /* the same */
    bool (*stop)(void);       /* a person asked to stop; from now on this is heeded */
    bool (*stop_asked)(void); /* the same, for those who only pass it on */
};

struct render_report;

/* One rank, over all batches. */
struct engine_rank {
    const struct engine_options *o;
    struct comm *world;
    int threads;                  /* this rank may compute with */
    int device;                   /* this rank computes on; see kern_config */
    struct model_pool *store;     /* this process's */
    struct trace *trace;          /* this rank's, or NULL */
    struct watchdog *watch;       /* this rank's */
    struct heartbeat *pulse;      /* this rank's */
    struct render_report *report; /* rank 0's, or NULL */
    struct error *why;            /* this rank gives up for; ST_OK: it does not */
};

/* Clips that go down the same lines: the same card, precision and size. */
struct engine_batch {
    const struct render_clip *const *clip;
    int clips;
    int all_clips, clips_done; /* of the whole render, for people */
};

/* [all] Load what this rank's role needs, render all clips back to back, commit each as
 * it ends. ST_CANCELED after a stop: clips that are committed stay. */
status engine_batch_run(const struct engine_rank *rank, const struct engine_batch *b) MUST_USE;

#endif /* ENGINE_H */
