/*
 * snapshot.h - what an attempt at a clip leaves for the next one: the latents of the blocks that
 * are finished, and at checkpoints all else that cannot be computed from them.
 *
 *   OUT/.attempts/NAME.PID.xxxxxx/
 *       latents           a journal (journal.h): block after block, [frames, 16, h, w] F32, and
 *                         behind it what the cache policy chose for the block, if it chooses
 *       snapshot.BLOCKS   a checkpoint behind so many blocks; the two newest stay
 *       0.packets ...     of the videos (video.h)
 *
 * Keys and values are in none of it: they follow from the latents (docs/resume.md). A snapshot is
 * written whole, after all that it counts on is on disk; so the newest one that reads well is where
 * the next attempt goes on, and what stands behind it in the journals is dropped.
 *
 * All of it is of the byte order of the machine, and read with every size and checksum checked.
 */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

#include "base/journal.h"

enum { SNAPSHOT_WINDOW = 32, SNAPSHOT_IDENTITY = 1 << 16 };

struct snapshot {
    char *identity; /* lines "name value": whoever goes on must have just these */
    int64_t blocks; /* finished */
    int64_t coded;  /* of these, with all their pictures in the videos' packets: all, but in what a
                       finished clip is extended by (clip_extension.c) */
    int64_t latent; /* floats of a block's latent, with its choice */
    float *window;  /* [windows, latent]: the blocks behind these that had entered, oldest first, */
    int windows;    /* as they stand in front of the levels W-1, W-2, ... */
    void *writer;   /* [writer_bytes]: where the clip's files stand behind `coded` blocks
                       (clip_checkpoint.c) */
    size_t writer_bytes;
};

/* dir/snapshot.BLOCKS, complete or not at all, on disk. ST_IO. */
status snapshot_write(const char *dir, const struct snapshot *s) MUST_USE;

void snapshot_remove(const char *dir, int64_t blocks); /* if it is there */

struct snapshot_search {
    /* Of a snapshot with the identity, its first block on, each latent with its choice: an error
     * if nobody can go on from it. NULL: all are well. */
    status (*check)(void *arg, const struct snapshot *s, int64_t block, const float *latent);
    void *check_arg;
    const char *target;      /* OUT/NAME: the clip's folder, once it is made */
    const char *identity;    /* whoever goes on has */
    bool (*stop)(void *arg); /* asked before each latent is read: give up if it says so; NULL:
                                nobody does */
    void *stop_arg;
};

/* Of an attempt: shared, by whoever goes on from it; alone, by whoever removes it. False: it is
 * held against that, or there is no memory for it. True with *lock NULL: its file system has no
 * locks, or the folder cannot be opened. Held until snapshot_unlock, or the end of the process. */
struct snapshot_lock;
bool snapshot_lock(struct snapshot_lock **lock, const char *dir, bool alone) MUST_USE;
void snapshot_unlock(struct snapshot_lock **lock); /* NULL inside is fine; sets NULL */

/* The furthest snapshot of an attempt at that clip, with that identity; all its latents are read.
 * *dir: the attempt's folder, malloc'ed; NULL: there is none. *lock: on it, shared. why, malloc'ed:
 * in words, what those that were passed over differ in or lack; NULL: there were none.
 * ST_CANCELED: a stop. */
status snapshot_find(char **dir, int64_t *blocks, struct snapshot_lock **lock, char **why,
                     const struct snapshot_search *c) MUST_USE;

/* The snapshot that lies in `dir` itself, of whatever clip; all its latents are read.
 * ST_MISMATCH: its identity is another, with the line that differs; ST_FORMAT: it, or a latent, is
 * missing or damaged; ST_CANCELED: a stop. c->target is not looked at. */
status snapshot_find_in(const char *dir, int64_t *blocks, int64_t *coded,
                        const struct snapshot_search *c) MUST_USE;

/* ---- the latents of finished blocks ---- */

char *snapshot_latents_path(const char *dir); /* malloc'ed; NULL when out of memory */

/* A snapshot and the latents it counts, to read from in any order. */
struct snapshot_reader {
    struct snapshot s;
    struct journal_reader latents;
};
/* ST_FORMAT for one that is missing, damaged or none. Whoever opens, closes. */
status snapshot_reader_open(struct snapshot_reader *r, const char *dir, int64_t blocks) MUST_USE;
void snapshot_reader_close(struct snapshot_reader *r); /* safe on a zeroed one */

/* A finished block's; *x0 is the reader's until the next call. */
status snapshot_latent(struct snapshot_reader *r, int64_t block, const float **x0) MUST_USE;

/* That of block s.blocks + i, as it stands in the window. ST_FORMAT if it is not there. */
status snapshot_window(const struct snapshot_reader *r, int64_t block, const float **x) MUST_USE;

#endif /* SNAPSHOT_H */
