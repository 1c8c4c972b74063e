/*
 * engine_fixture.h - an engine over ranks that are threads, a tiny model, clips of it, and what
 * each clip comes to when it is rendered alone.
 */
#ifndef ENGINE_FIXTURE_H
#define ENGINE_FIXTURE_H

#include "pipeline/engine/engine.h"
#include "pipeline/engine/model_pool.h"
#include "tests/engine/made_source.h"

/* What is wrong with a clip: it fails at this stage of its way. */
enum clip_fault {
    FAULT_NONE,
    FAULT_PROMPT,
    FAULT_START,
    FAULT_ENCODER,
    FAULT_DISK,
    FAULT_VALUE,
    FAULTS
};

enum { FIXTURE_TEXTS = 20 };

struct fixture_clip {
    int64_t blocks;
    uint64_t seed;
    int size;                   /* 0: 32x32, 1: 48x32 */
    bool blend;                 /* two prompts, the second one blended in */
    enum clip_start_kind start; /* latents or a video, one block of it; blocks > 1 */
    enum clip_fault fault;      /* of its prompt, where that is bad: then without a text */
    int text;                   /* one of its own, 1 to FIXTURE_TEXTS; 0: the one of all others */
};

struct engine_run_config {
    int ranks, ranks_per_line, decode_ranks; /* per line 0, decode -1: the planner's choice */
    int ahead;                               /* 0: 64 */
    int64_t stop_at;                         /* blocks encoded; -1: no stop */
    int stop_call;                           /* the engine's question that gets a yes; 0: none */
    bool loses_control;                      /* no control message but heartbeats arrives */
    double patience_s;                       /* deadline and stall; 0: long enough */
    bool fail_fast, no_cache, resume;
    const struct kern_backend *backend; /* of line and decoder; NULL: cpu */
    const struct kern_backend *text_backend;
};

enum { FIXTURE_RANKS = 16 };

/* What a run came to. */
struct fixture_run {
    status st;
    struct engine_result result;
    int groups;
    bool stopped; /* the question was asked that got a yes */
    enum role role[FIXTURE_RANKS];
    struct rank_stats rank[FIXTURE_RANKS]; /* of the last group */
    double busy, span; /* stage-ticks with a block; from a stage's first to its last; all groups */
};

/* A text of a spec that is not freed: the fixture keeps its specs' other texts itself. */
static inline char *constant(const char *text) { return (char *)(uintptr_t)text; }

struct engine_fixture;

/* program: argv[0]; make_model lies beside its folder. Whoever opens, closes. */
status engine_fixture_open(struct engine_fixture **out, const char *program) MUST_USE;
void engine_fixture_close(struct engine_fixture **f);

const char *engine_fixture_dir(const struct engine_fixture *f); /* where all of it lies */

/* The process ends with this if a rank hangs. */
enum { FIXTURE_HUNG = 71 };
/* The model of its clips; borrowed. */
const struct model_spec *engine_fixture_model(const struct engine_fixture *f);

/* In a run: the rank whose main thread this is; -1 on others. */
int engine_fixture_rank(void);

/* In a run, from any of its threads: has rank 0 heard of a stop, or of a rank that failed? */
bool engine_fixture_is_over(void);

/* Fill s with these clips, named c0, c1 ... under a folder of this run's own. */
void engine_fixture_clips(struct engine_fixture *f, struct made_source *s,
                          const struct fixture_clip *clip, int clips);

void engine_fixture_forget(struct made_source *s); /* frees what clips took */

/* Is there an attempt at any clip of this source, finished or not? */
bool engine_fixture_attempts(const struct made_source *s);

/* Of a clip that is done, a number under "run" of its clip.json: `wall`, in seconds;
 * `resumed_from`, the block it went on from. Below 0: there is none. */
double engine_fixture_number(const struct made_source *s, int i, const char *name);

/* Where the next run of the same clips finds them as they were before the first. */
void engine_fixture_rewind(struct made_source *s);

/* Render. Removes nothing. */
void engine_fixture_run(struct engine_fixture *f, struct made_source *s,
                        const struct engine_run_config *c, struct fixture_run *out);

/* The clip's folder holds the very bytes of the clip rendered alone; or, done false, there is no
 * folder. ST_MISMATCH says what differs. */
status engine_fixture_check(struct engine_fixture *f, const struct made_source *s, int i,
                            const struct fixture_clip *clip, bool done) MUST_USE;

#endif /* ENGINE_FIXTURE_H */
