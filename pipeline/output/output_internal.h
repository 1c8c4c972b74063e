/* output_internal.h - how a clip's folder comes to be, and its contact sheet. */
#ifndef OUTPUT_INTERNAL_H
#define OUTPUT_INTERNAL_H

#include "base/digest.h"
#include "base/file_record.h"
#include "base/strbuf.h"
#include "pipeline/output/clip_writer.h"
#include "pipeline/resume/snapshot.h"
#include "pipeline/weights/tensor_file.h"

/* ---- written.c ---- */

/* A file as it was written and found again. */
struct written {
    int64_t bytes;
    char sha256[DIGEST_HEX];
};

/* Write a file as file_write does, then read it back. ST_IO names the place that is not what was
 * written. */
status write_checked(const char *path, const void *data, size_t len, struct written *out) MUST_USE;

/* The same with the first `bytes` of another file; -1: with all of it. ST_IO if it has fewer. */
status copy_checked(const char *path, const char *from, int64_t bytes,
                    struct written *out) MUST_USE;

/* ---- attempt.c ---- */

/* A private folder beside a folder to be, and the one rename.
 *
 * The file system's rule is all the locking there is: a folder cannot be renamed
 * onto one that is not empty. It holds on NFS too, where the answer to a rename
 * may be lost; so a failed rename is judged by what stands at the target. */

/* All malloc'ed; attempt_close frees them. */
struct attempt {
    char *target;   /* OUT/NAME */
    char *parent;   /* OUT */
    char *own;      /* SHELF/NAME.PID.xxxxxx, readable for the owner only */
    char *dir;      /* own/NAME: fill this one */
    const char *id; /* the last part of `own` */
    bool keep;      /* what is in it is finished, and could not be published: it stays */
};

/* The shelf of an output folder: OUT/.attempts, or OUT/.attempts-UID where that is another user's
 * and closed to us. malloc'ed, NULL without memory; it need not be there. */
char *attempt_shelf(const char *out) MUST_USE;

/* Make the shelf that `inside`, a path in it, will lie in; open to those to whom the output folder
 * is. Drop it if it is empty. */
status attempt_shelf_make(const char *inside) MUST_USE;
void attempt_shelf_drop(const char *inside);

/* Make the folders. ST_ARG if target is there already or is no name for a folder;
 * ST_IO with the path that cannot be made. */
status attempt_open(struct attempt *a, const char *target) MUST_USE;

/* The file in an attempt's own folder that says whose it is (base/process_mark.h). */
#define ATTEMPT_OWNER "owner"

/* fsync dir, rename it to `place` beside the target, fsync around it. *won is false if something
 * else stands there: not an error. All files in dir are closed and fsynced before. After ST_IO
 * the finished folder stays where it is, and the message says where. */
status attempt_publish(struct attempt *a, const char *place, bool *won) MUST_USE;

/* Remove what is left of the private folder, and the shelf if it is empty.
 * Safe on a zeroed one; zeroes it. */
void attempt_close(struct attempt *a);
void attempt_leave(struct attempt *a); /* the same, but the private folder stays as it is */

/* ---- contact_sheet.c ---- */

/* The contact sheet: small pictures of a clip, side by side, as PNG.
 *
 * Candidates come one by one, one a block; the sheet holds CONTACT_CELLS at most.
 * When it is full every second picture goes, and from then on every second
 * candidate is passed over, so that the cells stay evenly spread over the clip
 * and memory does not grow with it.
 *
 * A cell is the picture reduced by a whole factor, the least that makes it no
 * wider than CONTACT_WIDTH: the mean of each square of pixels, rounded half up.
 * Columns and rows that fill no whole square are left out. */

struct contact;

enum { CONTACT_CELLS = 96, CONTACT_WIDTH = 208, CONTACT_GAP = 4, CONTACT_COLUMNS = 32 };

struct contact_config {
    const char *path;  /* ends in .png */
    int width, height; /* of the pictures that come */
    int columns;       /* 1..CONTACT_COLUMNS; fewer if there are fewer pictures */
};

/* ST_ARG, ST_NOMEM. Nothing is written before commit. Whoever opens, closes. */
status contact_open(struct contact **out, const struct contact_config *c) MUST_USE;
void contact_add(struct contact *s, const uint8_t *rgb8); /* [height, width, 3] */

/* Write the file, complete or not at all, fsynced, and read it back. ST_IO, ST_DEVICE; ST_ARG if
 * there was no picture. */
status contact_commit(struct contact *s, struct written *out) MUST_USE;
void contact_close(struct contact **s); /* NULL is fine; sets NULL */

/* What has been added so far, as bytes, and another sheet of the same config that goes on from
 * them, straight after opening. ST_FORMAT if they are none of it. */
void contact_save(const struct contact *s, struct strbuf *to);
status contact_load(struct contact *s, const void *bytes, size_t len) MUST_USE;

/* ---- clip_embeddings.c ---- */

/* Write the file and read it back. ST_IO, ST_NOMEM; ST_MISMATCH: a value that is not finite. */
status embeddings_write(const struct clip_embeddings *e, const char *path,
                        struct sidecar_file *file) MUST_USE;

/* ---- clip_writer.c ---- */

enum { CLIP_WRITER_OTHERS = 3 }; /* beside the videos: contact sheet, latents, embeddings */
enum { CLIP_WRITER_KEPT = CLIP_WRITER_FORMATS + 4 }; /* to be extended by: packets and others */
enum { CLIP_FILES = CLIP_WRITER_FORMATS + CLIP_WRITER_OTHERS + CLIP_WRITER_KEPT };

struct clip_writer {
    struct attempt attempt;
    char *place; /* where it was published, if not at the attempt's target */
    const struct sidecar_info *about;
    int width, height, fps_num, fps_den;
    int64_t pictures, pushed;

    struct sidecar_file file[CLIP_FILES]; /* the videos first; names are own copies */
    char *path[CLIP_FILES];
    int files, videos;
    struct video *video[CLIP_WRITER_FORMATS];

    struct contact *contact;
    const char *contact_name; /* own, one of `file` */

    struct tensor_file *latents;
    struct file_record latents_record;
    struct tensor_file_witness latents_witness;
    const char *latents_name;          /* own, one of `file` */
    struct clip_embeddings embeddings; /* file: own, one of `file` */
    struct tensor latent;              /* all of it: dtype and shape */
    int64_t latents_pushed;
    void *latent_frame; /* one, in the file's dtype */

    struct quality quality;
    struct digest whole, part;
    struct sidecar_block *block;
    int blocks, room; /* of `block` */

    struct clip_checkpoint {
        const char *identity;   /* NULL: no checkpoints */
        int frames;             /* of a block */
        int64_t latent;         /* floats of a block's */
        struct journal latents; /* of all blocks so far */
        int64_t kept[2];        /* snapshots, the newest first; 0: none */
        char *adopted;          /* the folder that this one goes on from; NULL: none */
        bool extends;           /* it is a finished clip's, and stays */
    } checkpoint;

    struct clip_extension {
        const char *identity, *clip, *model; /* NULL: nothing is kept */
        int64_t blocks;                      /* behind which it is made */
        struct strbuf state;                 /* where the files stood at the last checkpoint, */
        int64_t coded;                       /* behind so many blocks; 0: there has been none */
    } extension;
};

/* ---- clip_contents.c ---- */

/* All that belongs to a block's pictures is there: what follows is another's. */
status contents_list_block(struct clip_writer *s, const struct sidecar_block *b) MUST_USE;

/* n latent frames [channels, h, w] to the clip's file of latents, if it has one. ST_MISMATCH: a
 * value that is not finite; ST_ARG: more than were announced. */
status contents_add_latents(struct clip_writer *s, const float *x0, int64_t n) MUST_USE;

/* ---- clip_checkpoint.c ---- */

/* Of a writer that is otherwise open. With a config that resumes: it stands where the snapshot was
 * made. */
status checkpoint_open(struct clip_writer *s, const struct clip_writer_config *c) MUST_USE;
status checkpoint_latents(struct clip_writer *s, const float *x0) MUST_USE; /* a block's */
void checkpoint_close(struct clip_writer *s);
/* Remove the attempt that this one resumed from; a finished clip's extension stays. */
void checkpoint_drop_adopted(struct clip_writer *s);

/* Where a clip's files stand, as bytes: this in front; what follows it: a struct video_state for
 * each video, a struct sidecar_block for each block, the states of quality and contact sheet. */
struct writer_state {
    int64_t pictures, pushed, videos, blocks, quality_bytes, contact_bytes;
    unsigned char whole[DIGEST_STATE];
};

/* ---- clip_extension.c ---- */

void extension_open(struct clip_writer *s, const struct clip_writer_config *c);
void extension_close(struct clip_writer *s);

/* Remember the writer's state at the newest checkpoint, behind `blocks` blocks. ST_NOMEM. */
status extension_note(struct clip_writer *s, const void *state, size_t len,
                      int64_t blocks) MUST_USE;

/* When resuming from `from`: carry its extension over, or write it if it is due there. */
status extension_resume(struct clip_writer *s, const struct snapshot *from) MUST_USE;

/* Copy the extension into the clip's folder and list its files. Call when all others are
 * finished. */
status extension_keep(struct clip_writer *s) MUST_USE;

#endif /* OUTPUT_INTERNAL_H */
