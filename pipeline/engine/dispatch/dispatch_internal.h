/*
 * dispatch_internal.h - what the files of rank 0's side have of one another (dispatch.h).
 *
 *   dispatcher.c        clips from the source to lines, outcomes back to it
 *   dispatch_list.c     the clips it has in work, and what others report of them
 *   background.c        a thread beside it that answers its questions; these two have one each:
 *   prompt_bank.c       embeddings of the prompts in use
 *   clip_starts.c       the clips that come next, prepared ahead
 *   clip_start.c        what a clip begins with, where it is given
 *   given_latents.c     latents of a file
 *   prompt_encoder.c    the text encoder, on whichever rank embeds
 *
 * Private to pipeline/engine/dispatch/.
 */
#ifndef DISPATCH_INTERNAL_H
#define DISPATCH_INTERNAL_H

#include "base/thread.h"
#include "pipeline/engine/dispatch/dispatch.h"

/* ---- background.c: what takes long, beside the dispatcher */

/* A thread that answers one question at a time. What is asked and answered lies with the owner:
 * it is the thread's from background_ask until background_take says true, else the owner's. */
struct background_config {
    const char *name;
    struct group *t;             /* its dispatcher is woken with every answer */
    status (*answer)(void *arg); /* a failure is this rank's: the thread and the world end */
    status (*finish)(void *arg); /* last, when nothing has failed; NULL: nothing is to be done */
    void *arg;
};
enum background_state { BACKGROUND_IDLE, BACKGROUND_ASKED, BACKGROUND_ANSWERED };
struct background {
    struct background_config c;
    struct task task;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    enum background_state state;
    bool over;
};

void background_open(struct background *b, const struct background_config *c);
void background_close(struct background *b); /* ends it, if it runs */

/* end: no more is asked; waits for the question under way. st and what comes back: as
 * task_join. */
status background_start(struct background *b) MUST_USE;
status background_end(struct background *b, status st) MUST_USE;

bool background_is_idle(struct background *b); /* a question may be asked */
void background_ask(struct background *b);     /* only then */
bool background_take(struct background *b);    /* has it been answered? Then it is idle again */

/* ---- prompt_bank.c, prompt_encoder.c */

/* On rank 0: embeddings of the prompts in use, made by the rank whose role it is. */
struct prompt_bank;
status prompt_bank_open(struct prompt_bank **out, struct group *t) MUST_USE;
void prompt_bank_close(struct prompt_bank **p);

/* Its thread, which waits for embeddings and wakes the dispatcher when some have come. end: once no
 * more is asked for; it waits for those under way, which a stop and an abort cut short. st and what
 * comes back: as task_join. */
status prompt_bank_start(struct prompt_bank *p) MUST_USE;
status prompt_bank_end(struct prompt_bank *p, status st) MUST_USE;

/* Have what these clips ask for and is not there embedded, in one reading of the encoder if
 * possible. Returns at once; while embeddings are under way nothing more is asked for. */
status prompt_bank_ask(struct prompt_bank *p, const struct clip_spec *const *clip,
                       int clips) MUST_USE;
/* Take what has come. *failed, if not ST_OK: no text of the group can be embedded any more. */
void prompt_bank_collect(struct prompt_bank *p, struct group_verdict *failed);
/* Have all of a clip's texts been tried, since the question before the last? */
bool prompt_bank_has(const struct prompt_bank *p, const struct clip_spec *c);
/* The clip's own copy of its embeddings. A failure is the clip's: the first of its prompts that
 * cannot be embedded, and why. */
status prompt_bank_give(const struct prompt_bank *p, struct live_clip *c) MUST_USE;

/* Prompts from rank 0 to the rank that embeds them, and embeddings back: on one rank a call,
 * between two a pair of messages. */

/* What became of a text. */
struct prompt_answer {
    int tokens;
    float *rows; /* [tokens, text_dim]; NULL: it cannot be embedded */
    status st;   /* then why: ST_FORMAT, ST_ARG: it is no text; ST_MISMATCH: it is not finite */
    char *why;
};
void prompt_answer_free(struct prompt_answer *a);

/* Rank 0. Ask for 1..PROMPT_TOGETHER texts, and wait. *failed: the encoder, and so the group; its
 * st is ST_CANCELED after a stop. What comes back otherwise leaves ranks out of step. */
status prompt_request(struct group *t, const char *const *text, int texts,
                      struct prompt_answer *answer, struct group_verdict *failed) MUST_USE;
status prompt_request_end(struct group *t) MUST_USE; /* no more */

/* ---- given_latents.c: the latents that a clip begins with, from a file that nobody vouches for */

struct weights;
struct given_latents {
    struct weights *w;
    int at;         /* of its tensors */
    int64_t frames; /* at least 1 */
    int64_t count;  /* numbers of all frames */
};

/* The tensor `latents`, F32 or BF16 [frames, channels, h, w]. ST_FORMAT says what was found.
 * Whoever opens, closes; after a failure there is nothing to close. */
status given_latents_open(struct given_latents *out, const char *path, int channels, int64_t h,
                          int64_t w) MUST_USE;
void given_latents_close(struct given_latents *g);

/* The numbers of its last `frames` frames, of all at most. ST_FORMAT for one that is not finite. */
status given_latents_read(struct given_latents *g, int64_t frames, float *to) MUST_USE;

/* ---- clip_starts.c, clip_start.c: what clips begin with */

/* On rank 0: clips that come next are prepared on a thread: a copy of the clip's description, its
 * given blocks, the attempt it goes on from. All but the thread: the dispatcher's. */
struct clip_starts;
status clip_starts_open(struct clip_starts **out, struct group *t) MUST_USE;
void clip_starts_close(struct clip_starts **s); /* NULL is fine; sets NULL */

/* As prompt_bank_start and _end. What is under way is cut short. */
status clip_starts_start(struct clip_starts *s) MUST_USE;
status clip_starts_end(struct clip_starts *s, status st) MUST_USE;

/* The clips that will be supplied next, in their order, at most STARTS_AHEAD: what is not prepared
 * of them will be, what is of others is dropped. Returns at once and keeps nothing of `item`. */
enum { STARTS_AHEAD = 4 };
void clip_starts_ask(struct clip_starts *s, const struct work_item *item, int items);
/* Take what has come. *failed, if not ST_OK: the VAE's encoder, and so the group. */
void clip_starts_collect(struct clip_starts *s, struct group_verdict *failed);
bool clip_starts_has(struct clip_starts *s, int64_t ticket);
/* Of a clip that it has. *out, the caller's, has no prompts yet. A failure is the clip's own:
 * nothing that other ranks take part in has begun. */
status clip_starts_give(struct clip_starts *s, int64_t ticket, struct live_clip **out) MUST_USE;

/* Reads and encodes given blocks, on one thread at a time. stop: asked there between
 * pieces of a file and between pictures. */
struct start_reader;
status start_reader_open(struct start_reader **out, struct group *t, bool (*stop)(void *arg),
                         void *arg) MUST_USE;
void start_reader_close(struct start_reader **r); /* NULL is fine; sets NULL */
/* Sets given and given_blocks; 0 where nothing is given. ST_CANCELED: a stop. *at_fault: the VAE's
 * encoder has failed and not the clip. */
status start_reader_read(struct start_reader *r, struct live_clip *c, bool *at_fault) MUST_USE;

/* ---- dispatch_list.c: the clips in work */

/* A clip that the source gave and whose outcome has not been reported to it. Other threads change
 * it under the list's lock; only the dispatcher's takes it off the list: to that one it stays. */
struct dispatch_entry {
    struct work_item item;
    int number, line;          /* -1: waits to be handed over */
    int64_t nth;               /* clip of its line */
    int64_t encoded, reported; /* blocks; of those the source knows */
    int64_t resumed;           /* blocks that were finished before */
    double begun_at, moved_at; /* its first block entered; one was encoded: clock_seconds() */
    bool begun, begun_reported;
    bool over; /* `st` and `why` say what became of it */
    status st;
    char *why;
    struct snapshot_lock *lock; /* on the attempt it goes on from; NULL: none */
};

status dispatch_list_open(struct dispatch_list **out) MUST_USE;
void dispatch_list_close(struct dispatch_list **list);            /* NULL is fine; sets NULL */
void dispatch_list_set_lines(struct dispatch_list *l, int lines); /* before anything is reported */

/* Any thread, a heartbeat's listener: a tick, or a block. */
void dispatch_list_take_control(void *list, const struct comm_control *m);
/* Any thread: the dispatcher is to look again. */
void dispatch_list_wake(struct dispatch_list *l);

/* The dispatcher's thread, from here on. Wait until one of those happens, `seconds` at most. */
void dispatch_list_wait(struct dispatch_list *l, double seconds);
/* The next entry with news for the source, a copy. One that is over is taken off the list, and
 * its `why` and `lock` are the caller's. */
bool dispatch_list_next_change(struct dispatch_list *l, struct dispatch_entry *out);
/* *busy: stages of the line with a block. True: it differs from what was taken last. */
bool dispatch_list_take_busy(struct dispatch_list *l, int line, int *busy);
int dispatch_list_count_waiting(struct dispatch_list *l); /* no block of them has entered a line */
/* The oldest clips that no line has, at most so many; returns how many. */
int dispatch_list_find_unhanded(struct dispatch_list *l, struct dispatch_entry *out[], int most);
/* The line that will run out of blocks first, of those with fewer left than that; -1: none. */
int dispatch_list_find_line(struct dispatch_list *l, int64_t blocks);
bool dispatch_list_ended(struct dispatch_list *l); /* the encoders of all lines */

status dispatch_list_add(struct dispatch_list *l, const struct work_item *item) MUST_USE;
void dispatch_list_drop(struct dispatch_list *l); /* all of it; nobody is told */
/* Gives the clip its numbers, and takes its lock: the attempt stays until the clip is over. */
void dispatch_list_hand(struct dispatch_list *l, struct dispatch_entry *e, struct live_clip *c,
                        int line, int number);
/* This clip has failed. */
void dispatch_list_refuse(struct dispatch_list *l, struct dispatch_entry *e, status st,
                          const char *why);
/* So have all that no line has. */
void dispatch_list_refuse_unhanded(struct dispatch_list *l, status st, const char *why);
/* End those that have had longer than their clips say; ST_MISMATCH. */
void dispatch_list_expire(struct dispatch_list *l);
/* The greatest grace of the clips that lines have, or have not let go of since they took too long;
 * 0: none is there, or one has no limit. */
int64_t dispatch_list_grace(struct dispatch_list *l);
/* Returns the line that has the clip, *number its number there; -1: none, and it is over. */
int dispatch_list_withdraw(struct dispatch_list *l, int64_t ticket, int *number);
/* Every clip still open is ST_CANCELED. */
void dispatch_list_settle(struct dispatch_list *l, const char *why);

#endif /* DISPATCH_INTERNAL_H */
