/*
 * engine_internal.h - one group of clips on one rank: what the engine's files share.
 *
 * In the order of reading; [all] is called by every rank of the world at once.
 *
 *   1  the render        engine.c            groups, one after another
 *                        numerics.c          what decides bits beside what a clip is
 *   2  a clip in work    prompt_mix.c        which prompts a block goes by
 *   3  a group           engine_group.c      opens, runs and closes what each rank does for it
 *                        engine_roles.c      who plays which role
 *                        group_verdict.c     whether all ranks could open what they need
 *                        engine_comms.c      the groups of ranks that messages go through
 *                        model_files.c       are the model's files still what its id says?
 *                        rank_stats.c        what each rank did
 *   4  clips on their    clip_feed.c         from the dispatcher to their line's ranks, and reports
 *      way               clip_board.c        those that a rank has received
 *   5  the workers       line_worker.c       ROLE_LINE: a rank of a line, the loop of its ticks
 *                        line_clips.c        what the line asks for and hands out
 *                        decode_local.c      a thread that decodes beside the line
 *                        decode_worker.c     ROLE_DECODE, or that thread: blocks to pictures
 *                        encode_worker.c     the thread that takes pictures
 *                        encode_clips.c      pictures to files, one clip after another
 *   6  what is written   clip_provenance.c   what clip.json says of a clip before it is rendered
 *      of a clip         clip_resume.c       its checkpoints, and which attempt to go on from
 *
 * Rank 0's side, from which all this is fed, is dispatch/ (dispatch.h). What others than the engine
 * use has headers of its own: engine.h, work_source.h; of what a job needs, workload.h,
 * workload_query.h, footprint.h, output_formats.h, model_check.h, model_pool.h.
 */
#ifndef ENGINE_INTERNAL_H
#define ENGINE_INTERNAL_H

#include "base/digest.h"
#include "base/watchdog.h"
#include "comm/heartbeat.h"
#include "pipeline/decode/decode_chain.h"
#include "pipeline/engine/engine.h"
#include "pipeline/engine/model_pool.h"
#include "pipeline/output/sidecar.h"
#include "pipeline/resume/snapshot.h"
#include "pipeline/text/text_encoder.h"
#include "pipeline/vae/vae.h"

#include <pthread.h>

/* ==== 1. the render ==== */

/* Where all ranks meet, and where a rank waits for work, they wait as long as the others live:
 * the heartbeat sees to that. Seconds. */
enum { ENGINE_WAIT_S = 1000000000 };

/* What this rank gives up for; ST_OK: it does not. The watchdog's thread reads it, too. */
struct engine_failure {
    pthread_mutex_t lock;
    struct error why;
};
static inline void engine_note_failure(struct engine_failure *f, const struct error *why)
{
    pthread_mutex_lock(&f->lock);
    f->why = *why;
    pthread_mutex_unlock(&f->lock);
}

/* One rank, over all groups. */
struct engine_rank {
    const struct engine_options *o;
    struct comm *world;
    int threads;                        /* this rank may compute with */
    int device;                         /* this rank computes on; see kern_config */
    struct model_pool *pool;            /* this process's */
    struct trace *trace;                /* this rank's, or NULL */
    struct watchdog *watch;             /* this rank's */
    struct heartbeat *heartbeat;        /* this rank's */
    struct engine_failure *failure;     /* this rank's */
    const struct work_source *source;   /* rank 0's, else NULL */
    const struct engine_events *events; /* rank 0's, or NULL */
};

/* Control messages to rank 0 while ranks run, for progress and for the dispatcher; a message may
 * be lost, and the next of its kind makes it good. */
enum engine_control {
    CONTROL_BLOCK = CONTROL_OTHER, /* a block is encoded */
    CONTROL_TICK                   /* a line has ended a tick, or is idle */
};

/* Places of their values. */
enum { BLOCK_CLIP, BLOCK_NUMBER };
enum {
    TICK_LINE,
    TICK_BUSY,     /* stages that held a block */
    TICK_LEFT,     /* blocks of admitted clips that have not entered */
    TICK_ADMITTED, /* clips */
    TICK_NEWEST    /* the newest clip in the line; -1: none */
};

/* [all] One group; one that cannot be opened has failed with its clips, and that is ST_OK. *r
 * counts what became of them, on rank 0. */
status engine_group_run(const struct engine_rank *rank, int number, const struct work_item *first,
                        int numbers, struct group_run *r) MUST_USE;

/* ==== 2. a clip in work ==== */

/* The embedding of a prompt: rows of its real tokens. */
struct embedding {
    int64_t id; /* within a group: equal ids, equal rows */
    int tokens;
    float *rows; /* [tokens, text_dim]; owned */
};

/* A clip that has been handed to a line, on one rank. */
struct live_clip {
    int number; /* the dispatcher's: from 0 in a render, rising */
    int line;
    struct clip_spec spec;
    struct embedding *text; /* [texts]: of its different prompts */
    int texts;
    int *text_of; /* [spec.prompts]: index into text */
    float *given; /* [given_blocks * frames, channels, h, w]: its first blocks; owned */
    int64_t given_blocks;
    int users;                  /* workers of this rank that need it; clip_board's */
    unsigned formats;           /* of its files: a set of enum pix */
    char *resume_dir;           /* what it goes on from; NULL: from its start */
    int64_t resumed;            /* blocks that are finished there */
    int64_t coded;              /* of these, whose pictures are in the videos; the others' are
                                   made again: of a clip that extends another */
    bool extends;               /* resume_dir is a finished clip's, and stays; else an attempt's */
    struct snapshot_lock *lock; /* on rank 0, until it is handed over: nobody removes it */
    double posted;              /* when it came to this rank, clock_seconds() */

    /* line_clips.c's */
    struct live_clip *next_held;
    struct snapshot_reader *resume; /* what the attempt left; owned */
    float *last;                    /* the record of its block resumed - 1; owned */
    struct error unread;            /* why this rank cannot read it; ST_OK: it can */
    status refusal;                 /* what the line's ranks have agreed on; ST_OK: all can */
    int64_t replayed;               /* resumed blocks that are through or need not be decoded */
    int64_t entered;                /* blocks that have entered the line */
    bool cut;                       /* no more of it enters */

    /* encode_clips.c's */
    bool dropped;       /* what comes of it is dropped: it failed, is lost or cut */
    int64_t came, ends; /* blocks that have come, or are not needed; how many when it is through */
};
void live_clip_free(struct live_clip *c); /* NULL is fine */

/* The embedding of a block, mixed where it stands in a blend: id, and rows [text_len, text_dim],
 * zero behind the prompt. */
int64_t live_clip_context_id(const struct live_clip *c, int64_t block);
void live_clip_context(const struct live_clip *c, int64_t block, int text_len, int text_dim,
                       float *embeds);

/* Does a prompt begin at this block with such a change? */
bool live_clip_changes(const struct live_clip *c, int64_t block, enum clip_change how);

/* ==== 3. a group ==== */

struct dispatcher;
struct dispatch_list;
struct clip_feed;
struct line_worker;
struct decode_worker;

/* Why a group is not rendered, though all ranks are in step. */
enum { GROUP_WHY = 1024 };
struct group_verdict {
    status st;           /* ST_OK: nothing speaks against it; the same on all ranks */
    char why[GROUP_WHY]; /* rank 0: the words of the rank that refuses it, and which */
};
void group_verdict_set(struct group_verdict *v, status st, int rank, const char *why);

struct group {
    struct engine_group g;
    const struct engine_rank *rank;
    struct comm *world;
    struct group_verdict verdict;
    const struct role_at *me;

    struct model_spec model;
    struct file_pledge *pledge;    /* [model.files]; owned */
    const struct work_item *first; /* the clip that began it; rank 0, else NULL */
    int numbers;                   /* clips of earlier groups; rank 0 */
    char weights_hash[DIGEST_HEX], vae_hash[DIGEST_HEX], text_hash[DIGEST_HEX];
    char lora_hash[MODEL_LORAS][DIGEST_HEX];
    char numerics[ENGINE_NUMERICS]; /* the id of what it is computed with */

    struct clip_board *board;
    struct clip_feed *feed;
    struct dispatcher *dispatcher;         /* rank 0 */
    struct dispatch_list *work;            /* rank 0: the dispatcher's, which owns it */
    struct prompt_encoder *prompt_encoder; /* the rank that embeds */
    struct line_worker *line_worker;       /* ROLE_LINE */
    struct decode_worker *decode_worker;   /* ROLE_DECODE */

    /* Groups of ranks that this rank is in; NULL where it is not. A link joins two ranks: a line's
     * tail with the first part of its decode chain, or one part with the next. */
    struct comm *line_comm;
    struct comm *in[ROLES_RANKS];      /* decode rank: per line it serves, the link that comes in */
    struct comm *out;                  /* tail or decode rank: the link that goes out */
    struct comm *feeds[ROLES_RANKS];   /* per line: rank 0, then the line's ranks and decoders */
    struct comm *reports[ROLES_RANKS]; /* per line: rank 0, then the rank that encodes */
    struct comm *texts;                /* rank 0, then the rank that embeds prompts */
};

/* Floats of a block's latent, [frames, channels, h, w]. */
static inline int64_t group_block_latent(const struct engine_group *g)
{
    return (int64_t)g->policy.frames_per_block * g->shape.channels * g->latent_h * g->latent_w;
}

/* Numbers that the policy chooses for a block. */
static inline int64_t group_block_choice(const struct engine_group *g)
{
    return kv_policy_choice(&g->policy, g->shape.layers, g->latent_h / 2 * (g->latent_w / 2));
}

/* Floats of a block's record, which goes to the encoder and into snapshots: the latent, and behind
 * it the choice, 4 bytes each. */
static inline int64_t group_block_record(const struct engine_group *g)
{
    return group_block_latent(g) + group_block_choice(g);
}

/* ---- group_verdict.c */

/* [all] Every rank brings what opening its part has come to. ST_OK: all are well. ST_CANCELED: a
 * stop was asked for, and nothing worse happened. Another status that t->verdict has too: the
 * group cannot be opened, and the ranks are in step; without a verdict they are not. */
status group_agree(struct group *t, status mine) MUST_USE;

/* [all] Ranks of a line: the weightiest of what they bring, and whose it is; ST_OK: all are well.
 * They are in step, and no memory is needed. */
status line_verdict(struct comm *line, status mine, status *verdict, int *whose) MUST_USE;

/* [all] From the clip that begins the group, which rank 0 has; the others get what they need. As
 * group_agree. */
status group_read_model(struct group *t) MUST_USE;

/* ---- model_files.c */

/* From now on it is noted which files the names of the model's files lead to. Released before the
 * model is freed; safe without a pledge. */
status group_pledge_files(struct group *t) MUST_USE;
void group_release_files(struct group *t);

/* ST_IO names the first of the model's files that is no more what it was when the model's id was
 * made, or was another when it was opened: before anything of them is read, and again when it has
 * been. */
status group_check_files(struct group *t) MUST_USE;

/* Equal keys, equal files and adapters on this machine. */
status model_files_key(const struct model_spec *m, char key[DIGEST_HEX]) MUST_USE;

/* Where the hashes of whole files are kept, for a model whose id is made of them; else NULL: then
 * they are read anew for the record. */
const char *group_hash_cache(const struct group *t);

/* SHA-256 of the file; of several, of the lines "HASH  NAME". inside: see file_set.h; cache:
 * file_hash.h. */
status model_file_hash(const char *path, const char *const *inside, const char *cache,
                       char hex[DIGEST_HEX]) MUST_USE;

/* ---- engine_roles.c, engine_comms.c */

/* [all] Roles as asked for, the rest as the planner says. As group_agree. */
status engine_assign_roles(struct group *t) MUST_USE;

/* [all] The groups of this rank, by its role; close closes them. */
status engine_comms_open(struct group *t) MUST_USE;
void engine_comms_close(struct group *t);

/* ---- rank_stats.c */

/* Adds what a track has of a kind. */
void cpu_wall_add(struct cpu_wall *to, const struct track *t, enum track_what what, int stage);

/* [all] Everyone's go to rank 0, which calls group_end of its events. */
status rank_stats_gather(struct group *t, const struct rank_stats *mine,
                         const struct group_run *r) MUST_USE;

/* ==== 4. clips on their way ==== */

/* ---- clip_feed.c: from the dispatcher to a line's ranks, and back */

enum feed_kind {
    FEED_CLIP,
    FEED_CUT,  /* a clip is wanted no more */
    FEED_END,  /* no more clips; cuts may come */
    FEED_CLOSE /* nothing more */
};

/* What became of a clip; travels as bytes. */
enum { REPORT_WHY = 1024 };
struct clip_report {
    int32_t number; /* -1: the encoder of this line has ended */
    int32_t st;     /* ST_OK: its folder is there */
    char why[REPORT_WHY];
};

/* Threads that receive a line's clips on this rank, and on rank 0 those that receive reports.
 * Opened on every rank once the comms are; joined once rank 0 has closed the feeds and every
 * encoder has ended, unless the world is aborted. */
status clip_feed_open(struct clip_feed **out, struct group *t) MUST_USE;
status clip_feed_join(struct clip_feed *f, status st) MUST_USE;
void clip_feed_close(struct clip_feed **f);

/* Rank 0, the dispatcher's thread. Takes the clip over. */
status clip_feed_send(struct group *t, struct live_clip *c) MUST_USE;
status clip_feed_cut(struct group *t, int line, int number) MUST_USE;
status clip_feed_end(struct group *t, int line) MUST_USE;
status clip_feed_finish(struct group *t, int line) MUST_USE; /* threads that receive may end */

/* The rank that encodes for the line. */
status clip_report_send(struct group *t, int line, int number, status st, const char *why) MUST_USE;

/* ---- clip_board.c: the clips that this rank has received
 *
 * A feed's thread puts clips on the board; the line worker and the encode workers of this rank
 * take them from it and give them back when they are through. Any thread may call.
 */
struct clip_board;

status clip_board_open(struct clip_board **out, struct comm *world) MUST_USE;
void clip_board_close(struct clip_board **b); /* frees what is left; NULL is fine */

/* Of a line, in the order they are handed to it. post takes the clip over. */
void clip_board_post(struct clip_board *b, struct live_clip *c, int users);
void clip_board_cut(struct clip_board *b, int line, int number); /* it gets no further blocks */
bool clip_board_is_cut(struct clip_board *b, int line, int number);
void clip_board_end(struct clip_board *b, int line);                  /* no more will come */
void clip_board_break(struct clip_board *b, const struct error *why); /* nothing more can come */

/* What a line's head decides by. wait: until it is another than `known`, or a second has passed (a
 * stop ends the wait, ST_CANCELED). Cuts come one at a time. */
struct board_state {
    int64_t posted; /* clips of the line, ever */
    int64_t cuts;   /* that have been taken from the board */
    int cut;        /* the one that was taken now; -1: none */
    bool over;
};
status clip_board_state(struct clip_board *b, int line, bool wait, const struct board_state *known,
                        struct board_state *out) MUST_USE;

/* The line's i-th clip, from 0; a clip by its number. Both wait until it has come here. */
status clip_board_nth(struct clip_board *b, int line, int64_t i, struct live_clip **out) MUST_USE;
status clip_board_find(struct clip_board *b, int number, struct live_clip **out) MUST_USE;
status clip_board_formats(struct clip_board *b, int number, unsigned *out) MUST_USE;

/* A user is through with it; the last one frees it. */
void clip_board_release(struct clip_board *b, struct live_clip *c);

/* ==== 5. the workers ==== */

/* Everything a role opens, runs and closes; opened on every rank before any runs. */

/* ---- line_worker.c */

status line_worker_open(struct line_worker **out, struct group *t) MUST_USE;
/* [the line's ranks] Once all of them are open. ST_COMM: out of step. */
status line_worker_join(struct line_worker *l) MUST_USE;
status line_worker_run(struct line_worker *l) MUST_USE; /* until the line has drained */
void line_worker_close(struct line_worker **l);         /* NULL is fine; sets NULL */
const char *line_worker_weights_hash(const struct line_worker *l);
const char *line_worker_vae_hash(const struct line_worker *l); /* NULL: does not decode */
void line_worker_stats(const struct line_worker *l, struct rank_stats *a); /* adds */

/* ---- line_clips.c: the clips that stand in the line, on this rank; the line's thread */

/* ST_NOMEM. link: the tail's, else NULL; all borrowed. */
struct line_clips;
status line_clips_open(struct line_clips **out, struct group *t, const struct line *line,
                       struct decode_link *link, struct track *track) MUST_USE;
void line_clips_close(struct line_clips **c);            /* NULL is fine; sets NULL */
struct line_io line_clips_io(struct line_clips *c);      /* for line_begin */
status line_clips_follow(struct line_clips *c) MUST_USE; /* after each tick that was not the last */

/* ---- decode_worker.c, decode_local.c */

/* in: [lines], links that bring blocks of the lines `line` ...; out: the next part's, or
 * NULL for the last part, which makes pictures. All borrowed. */
struct decode_worker_config {
    int line, lines;
    struct comm *const *in;
    struct comm *out;
    struct vae_range part;
};
status decode_worker_open(struct decode_worker **out, struct group *t,
                          const struct decode_worker_config *c) MUST_USE;
status decode_worker_run(struct decode_worker *d) MUST_USE; /* until its lines end */
void decode_worker_close(struct decode_worker **d);         /* NULL is fine; sets NULL */
const char *decode_worker_vae_hash(const struct decode_worker *d);
void decode_worker_stats(const struct decode_worker *d, struct rank_stats *a); /* adds */

/* Decoding beside the line: a thread of its tail, reached as another rank would be, over a group
 * of two thread ranks. */
struct decode_local;
status decode_local_open(struct decode_local **out, struct group *t) MUST_USE;
void decode_local_close(struct decode_local **b);             /* NULL is fine; sets NULL */
struct comm *decode_local_link(const struct decode_local *b); /* the tail's end of the link */
const char *decode_local_vae_hash(const struct decode_local *b);
status decode_local_start(struct decode_local *b) MUST_USE;
/* The thread is over after this. st: the line's own outcome; what comes back is that, or
 * the decoder's failure if the line's only follows from it. */
status decode_local_join(struct decode_local *b, status st) MUST_USE;
void decode_local_stats(const struct decode_local *b, struct rank_stats *a); /* adds */

/* ---- encode_worker.c, encode_clips.c */

/*
 * Where a line's pictures go: encoded, committed, reported. One clip at a time, block after
 * block, in the order the line finishes them. A thread of its own encodes; a few blocks may wait
 * for it, then whoever brings the next one waits too. A clip that fails or is cut is reported, its
 * blocks are dropped, and the next one is begun.
 */
enum { ENCODE_WORKER_SLOTS = 2 };
struct encode_worker;
struct encode_worker_config {
    struct group *t;
    int line;
    struct track *decode; /* of the thread that brings blocks */
};
status encode_worker_open(struct encode_worker **out,
                          const struct encode_worker_config *c) MUST_USE;
void encode_worker_close(struct encode_worker **e); /* NULL is fine; sets NULL */
/* The next block; all of it is copied. */
status encode_worker_block(struct encode_worker *e, const struct decode_block *b) MUST_USE;
/* Of a checkpoint behind the block that came last: the next latent of the window. */
status encode_worker_window(struct encode_worker *e, int clip, int64_t block,
                            const float *x) MUST_USE;
/* The clip is cut: `blocks` of it have come, or still will among those of others. why: ST_CANCELED:
 * it was withdrawn; else the line cannot read what it goes on from. */
status encode_worker_cut(struct encode_worker *e, int clip, int64_t blocks, status why) MUST_USE;
/* Nothing more comes: encode what waits, and report the end. */
status encode_worker_end(struct encode_worker *e) MUST_USE;
const struct track *encode_worker_track(const struct encode_worker *e);
int64_t encode_worker_blocks(const struct encode_worker *e); /* once it has ended */
int64_t encode_worker_pictures(const struct encode_worker *e);

/* What the thread works with; a call each for what was brought to it. ST_OK also where the clip
 * failed, which is then reported. */
struct encode_clips;
status encode_clips_open(struct encode_clips **out, const struct encode_worker_config *c) MUST_USE;
void encode_clips_close(struct encode_clips **e); /* after leave; NULL is fine; sets NULL */
status encode_clips_block(struct encode_clips *e, const struct decode_block *b) MUST_USE;
status encode_clips_window(struct encode_clips *e, int clip, int64_t block,
                           const float *x) MUST_USE;
status encode_clips_cut(struct encode_clips *e, int clip, int64_t blocks, status why) MUST_USE;
/* No more comes of the clip in work. What is unfinished after a stop or an abort is kept, to go on
 * from. */
void encode_clips_leave(struct encode_clips *e);
int64_t encode_clips_blocks(const struct encode_clips *e);
int64_t encode_clips_pictures(const struct encode_clips *e);

/* ==== 6. what is written of a clip ==== */

/* ---- clip_provenance.c */

/* The record and what it points into; the rest belongs to the clip and the group. */
struct clip_provenance {
    struct sidecar_info about;
    struct sidecar_prompt *prompt;
    struct sidecar_pair *value, *label;
    struct sidecar_pair asked[CLIP_NUMERICS];
    char asked_word[CLIP_NUMERICS][CLIP_WORD];
    struct sidecar_pair file[3 + MODEL_LORAS], library[1], host[1];
    struct sidecar_lora lora[MODEL_LORAS];
    char world[96], hostname[64], what[96], kernels[KERN_TEXT];
    char libav[CODEC_LIBS];
};
status clip_provenance_make(struct clip_provenance *out, const struct group *t,
                            const struct live_clip *c) MUST_USE;
void clip_provenance_free(struct clip_provenance *a); /* safe on a zeroed one */

/* ---- clip_resume.c: checkpoints, and going on from them */

/* Is one made once so many blocks of the clip are finished? The same on all ranks. */
bool clip_checkpoint_due(const struct live_clip *c, int64_t blocks);

/* How many latents of the window then stand behind the finished blocks. */
int clip_window_blocks(const struct group *t, const struct live_clip *c, int64_t blocks);

/* Behind so many blocks stands what a longer clip goes on from: the last that a whole window was
 * behind, and never the clip's last; 0: nowhere, it is not asked for, or there is none. */
int64_t clip_extension_blocks(const struct group *t, const struct live_clip *c);

/* Is the window handed out behind so many blocks? */
bool clip_window_due(const struct group *t, const struct live_clip *c, int64_t blocks);

/* What whoever goes on must have alike (snapshot.h); the clip's files and pictures, and whatever
 * decides the bits of both. ST_NOMEM. */
status clip_identity(struct strbuf *out, const struct group *t,
                     const struct clip_spec *spec) MUST_USE;

/* The same for a longer clip: neither the length nor where anything lies is in it. */
status clip_extension_identity(struct strbuf *out, const struct group *t,
                               const struct clip_spec *spec) MUST_USE;

/* What is kept with a finished clip to be extended by: the clip as it was asked for, wherever it
 * lies, and its model; JSON. ST_IO: the name of this process's working folder is not UTF-8. */
status clip_extension_specs(struct strbuf *clip, struct strbuf *model, const struct group *t,
                            const struct clip_spec *spec) MUST_USE;

/* Rank 0: fill in resume_dir, resumed, coded, extends and lock, if there is something to go on
 * from. All of it is read, which is not for the dispatcher's thread; stop: asked before each block.
 * ST_CANCELED. Of a clip that extends another ST_FORMAT if that cannot be. Of one that can be
 * extended what clip_extension_specs says, before any block is made. */
status clip_find_resume(const struct group *t, struct live_clip *c, bool (*stop)(void *arg),
                        void *arg) MUST_USE;

#endif /* ENGINE_INTERNAL_H */
