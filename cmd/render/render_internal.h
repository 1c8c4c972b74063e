/* render_internal.h - what the files of cmd/render share: the work, and what people and programs
 * see of it. */
#ifndef RENDER_INTERNAL_H
#define RENDER_INTERNAL_H

#include "base/file_hash.h"
#include "cmd/clip_folder.h"
#include "pipeline/engine/engine.h"
#include "pipeline/engine/work_source.h"

/* ---- work_list.c, work_list_source.c ---- */

/* The clips of job files, less what is done, as a work source.
 *
 * For rank 0 alone: it reads the jobs and their cards, and looks at the disk. All clips are
 * known before the first one is rendered. */

struct work_list;

struct clip_range {
    int64_t first, last;
};

/* Zeroed: all clips. */
enum { CLIP_RANGES = 256 };
struct clip_choice {
    struct clip_range range[CLIP_RANGES]; /* numbers in the job, from 0 */
    int ranges;                           /* 0: all */
    int64_t part, parts;                  /* of these, each parts-th from the part-th on; 0: all */
};

/* From "17-24,30" and "3/16"; NULL: all. What lies beyond a job's last clip is fine. ST_ARG. */
status clip_choice_read(struct clip_choice *c, const char *clips, const char *part) MUST_USE;
bool clip_choice_has(const struct clip_choice *c, int64_t index);

struct work_list_options {
    struct clip_choice choice; /* of every job's clips; others are as if they were not there */
    const char *precision;     /* "f32" or "bf16" to overrule the jobs; NULL: as they say */
    bool verify;               /* read finished clips before they are skipped */
    bool same_numerics;        /* those made with other numerics are made again */
    bool fail_fast;            /* a model that cannot be read ends all */
    const struct engine_options *engine; /* of this render; NULL: not known */
    struct file_hash_rule hash;          /* of the models' files */
    struct clip_numerics given;          /* by options: a job that asks otherwise is refused */
};

/* A job file, or a job's text under a path that need not be there (job_parse). */
struct work_job {
    const char *path;
    const char *text; /* NULL: the file's */
};

/* Read and validate all jobs and cards, hash the models, settle what encodes, make the output
 * folders, remove attempts of killed renders there, expand the jobs and leave out what stands there
 * already: a finished clip of the same task, with all its files (on_exists: skip). Clips are in the
 * order of their priority, then in that of the jobs. ST_FORMAT at the key that is wrong,
 * for a clip that is there under on_exists: error, for a folder that holds something else, for
 * two clips with the same folder, for numerics that the options contradict; ST_IO for an output
 * folder that cannot be written; ST_DEVICE for a card's encoder, or numerics, that are asked for
 * and cannot be had. One bad job ends all: nothing is rendered. But one whose card or model's files
 * cannot be read is left out and told of (work_list_refusal), if it is not every job's and without
 * fail_fast. */
status work_list_open(struct work_list **out, const struct work_job *jobs, int count,
                      const struct work_list_options *o) MUST_USE;
void work_list_close(struct work_list **l); /* NULL is fine; sets NULL */

/* Hands the clips over, one group after another. It never waits. A clip is claimed first
 * (clip_claim.h) and its place looked at once more: one that another process has made meanwhile is
 * skipped, one that it is at work on fails, with the others' turn first. Borrows from l. */
struct work_source work_list_source(struct work_list *l);

struct work_counts {
    int64_t clips; /* to make, from the start */
    int64_t skipped;
    int64_t done, failed; /* by now */
    int refused;          /* jobs that were left out */
};
struct work_counts work_list_counts(const struct work_list *l);

/* A clip that was not made. Borrowed from the list. */
struct work_failure {
    const struct clip_spec *clip;
    status st;
    const char *why;
};

/* Failure i of counts.failed, in the order they came. */
struct work_failure work_list_failure(const struct work_list *l, int64_t i);

/* Job i of counts.refused, whose model cannot be read. Borrowed likewise. */
struct work_refusal {
    const char *job;
    status st;
    const char *why;
};
struct work_refusal work_list_refusal(const struct work_list *l, int i);

/* What its two files share. */

enum { WORK_NONE = -1 };

struct work_clip {
    struct clip_spec spec;
    char *base;                     /* OUT/NAME; spec.dir may be another version of it */
    int on_exists;                  /* enum job_exists */
    const struct model_spec *model; /* one of the list's */
    const char *numerics;           /* the id of what it would be computed with; "": not known */
    int64_t at;                     /* place among all, as the jobs have them */
    int group;
    int64_t next; /* the group's next waiting clip; WORK_NONE */
    status st;    /* of one that failed */
    char *why;    /* NULL: it did not */
};

/* Clips that can share a line, and those of them that wait. */
struct work_group {
    int64_t first, last; /* WORK_NONE: none waits */
};

/* A job whose model cannot be read. */
struct refusal {
    char *job; /* its name */
    status st;
    char *why;
};

struct work_list {
    struct work_list_options o;
    struct clip_claims *claims;
    struct work_clip *clip; /* a clip's place is its ticket */
    int64_t clips, skipped, done;
    struct model_spec *model; /* [models], one a job */
    int models;
    char (*numerics)[ENGINE_NUMERICS]; /* likewise */
    struct work_group *group;
    int groups;
    int64_t *failed; /* tickets, in the order they came */
    int64_t failures;
    struct refusal *refused;
    int refusals;
};

/* By which a clip's place is looked at. told: what is there has been told of. */
struct clip_folder_rules work_list_rules(const struct work_list *l, int on_exists,
                                         const char *numerics, bool quiet);

struct work_item work_list_item(const struct work_list *l, int64_t ticket);

/* ---- render_summary.c ---- */

/* What people see of a render: who does what, progress while it runs, and where the time went.
 * Rank 0's: the engine's events (engine.h). */

struct render_report;

/* all_clips: that there are to make, of all groups, and `report` a file for programs or NULL;
 * both may be set until the first group begins. Whoever opens, closes. */
struct render_summary;
status render_summary_open(struct render_summary **out, const struct engine_options *o) MUST_USE;
void render_summary_close(struct render_summary **r); /* NULL is fine; sets NULL */
void render_summary_set(struct render_summary *r, int64_t all_clips, struct render_report *report);

struct engine_events render_summary_events(struct render_summary *r);

/* ---- render_progress.c ---- */

/* A bar on a terminal, one line every 30 s otherwise. */

struct render_progress {
    int clips, clips_done; /* of the whole render; clips 0: nobody knows */
    int64_t pictures;      /* made so far in this group */
    int64_t blocks, done;  /* of this group: all, and those whose pictures are out */
    int lines, stages_each, stages[ROLES_RANKS]; /* stages that hold a block, by line */
    double start, last;                          /* seconds */
    bool bar, shown;
};

/* A group begins. of: clips, clips_done, blocks, lines and stages_each. */
void render_progress_begin(struct render_progress *p, const struct render_progress *of);

/* So many more blocks and pictures of a clip are out; `block` is the newest. */
void render_progress_blocks(struct render_progress *p, const struct clip_spec *clip, int64_t block,
                            int64_t blocks, int64_t pictures);

/* Leave the terminal's line. */
void render_progress_end(struct render_progress *p);

/* ---- render_report_json.c ---- */

/* `render --report FILE`: the table at the end as JSON, for programs.
 *
 * {"report": 1, "program", "commit", "cpu", "backend", "world", "batches": [a group ...]};
 * of a group: what was made, how long it took, and "ranks": role, ticks and seconds of
 * each. docs/architecture.md names the fields. The file is whole at any time: an empty
 * list first, then one group more whenever one has ended, stopped or not. */

/* Writes a report without groups: ST_IO if it cannot be written. Whoever opens, closes. */
status render_report_open(struct render_report **out, const char *path,
                          const struct engine_options *o, int ranks) MUST_USE;
void render_report_close(struct render_report **f); /* NULL is fine; sets NULL */

/* all: [ranks]. */
status render_report_add(struct render_report *f, const struct engine_group *g,
                         const struct group_run *run, const struct rank_stats *all) MUST_USE;

/* ---- render_notes.c ---- */

/* What programs are told while a render runs; docs/farms.md names the lines. */
struct render_notes_config {
    const char *events;  /* a file that grows by a line of JSON an event; NULL: none */
    const char *metrics; /* a file for Prometheus' node_exporter, removed at the end; NULL: none */
    bool openjd;         /* openjd_progress, _status and _fail on stdout */
    int64_t clips;       /* to make; 0: nobody knows */
};

/* A work source that hands everything on to `inner` and writes down what that is told. ST_IO for a
 * file that cannot be written. Whoever opens, closes, also after a failure. */
struct render_notes;
status render_notes_open(struct render_notes **out, const struct render_notes_config *c,
                         struct work_source inner) MUST_USE;
struct work_source render_notes_source(struct render_notes *n);
void render_notes_close(struct render_notes **n); /* NULL is fine; sets NULL */

/* ---- prompt_job.c ---- */

/* One sentence on the command line as a job. */

/* What stands for the job file's name in messages; its paths are relative to where the program
 * was started. */
#define PROMPT_JOB_PATH "--prompt"

/* As written on the command line, NULL where it is not; the job's own reader judges the values. */
struct prompt_request {
    const char *text;
    const char *length; /* default 20s */
    const char *card, *size;
    const char *seed, *out; /* defaults 0 and the folder out */
};

/* ST_ARG if what belongs to --prompt is given without it. */
status prompt_request_check(const struct prompt_request *r) MUST_USE;

/*
 * The YAML of a job with one clip: clip.mp4, and contact.png with six pictures in a row. Its name
 * is made of the sentence's letters and digits; a name that is taken gets a number (on_exists:
 * version). Without a card it is that of $ROLLMILL_MODEL, else models/demo/card.yaml here, beside
 * the program, two folders above it (build/MODE/rollmill), or in ../share/rollmill of it. Without a
 * size it is the card's, else the job's default.
 *
 * ST_FORMAT with the places looked at if there is no model, or what the card's reader says.
 * Caller frees *out.
 */
status prompt_job_text(char **out, const struct prompt_request *r) MUST_USE;

#endif /* RENDER_INTERNAL_H */
