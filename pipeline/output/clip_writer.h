/*
 * clip_writer.h - pictures and latents in, a finished clip's folder out.
 *
 *   clip_writer_open -> clip_writer_pictures, clip_writer_latents ... -> clip_writer_commit
 *                                                               -> clip_writer_close
 *
 * The folder appears complete or not at all, by one rename:
 *
 *   OUT/.attempts/NAME.PID.xxxxxx/NAME/    private while the clip is made
 *       clip.mp4 master.mkv contact.png latents.safetensors
 *       extend/                            what a longer clip goes on from, where it is kept
 *       clip.json                          last, when all else is on disk
 *   OUT/NAME/                              after the rename
 *
 * Of several attempts at one clip the first to rename wins; the others find the clip there and
 * leave it alone. Where something else has taken the name meanwhile, the clip appears under the
 * next free one: OUT/NAME-v2, OUT/NAME-v3 ... A killed attempt leaves only its private folder,
 * with what the next one can go on from (snapshot.h); close removes that of an attempt given up.
 *
 * One owner, one thread. Memory does not grow with the clip, but for 80 bytes a
 * block and the containers' index of pictures.
 */
#ifndef CLIP_WRITER_H
#define CLIP_WRITER_H

#include "kernels/tensor.h"
#include "pipeline/output/sidecar.h"

struct clip_writer;

/* A prompt's embedding, [tokens, dim]. */
struct clip_writer_text {
    const float *rows;
    int64_t tokens;
};

/* The embeddings of a clip's prompts as a file: tensors prompt.0 [tokens, dim], prompt.1 ... */
struct clip_embeddings {
    const char *file;                    /* plain name; NULL: they are not kept */
    enum dtype dtype;                    /* DT_F32 or DT_BF16 */
    const struct clip_writer_text *text; /* of the prompts, [texts]; borrowed until close */
    int texts;
    int64_t dim;
};

struct clip_writer_config {
    const char *dir; /* OUT/NAME; what is missing of OUT is made */
    int width, height, fps_num, fps_den;
    int64_t pictures;                  /* of the clip; those that come beyond are dropped */
    const struct video_config *format; /* path: a plain name; size, rate, comment: the clip's */
    int formats;                       /* 1..CLIP_WRITER_FORMATS */
    struct {
        const char *file;              /* plain name; NULL: latents are not kept */
        enum dtype dtype;              /* DT_F32 or DT_BF16 */
        int64_t frames, height, width; /* shape [frames, 16, height, width] */
    } latents;
    struct clip_embeddings embeddings;
    const char *preview; /* contact sheet, a plain name in .png; NULL: none */
    int preview_columns;

    /* With checkpoints, which clip_writer_checkpoint makes, latents of all blocks are kept in the
     * private folder too. */
    struct {
        const char *identity; /* what whoever goes on must have alike (snapshot.h), borrowed until
                                 close; NULL: none are made */
        int frames;     /* latent frames of a block: clip_writer_latents is called by blocks */
        int64_t latent; /* floats of these */
    } checkpoint;
    /* With checkpoints: what a longer clip goes on from is kept in the clip's folder, once
     * clip_writer_extension has had the window. */
    struct {
        const char *identity;     /* what a longer one must have alike, borrowed until close; NULL:
                                 nothing is kept */
        const char *clip, *model; /* what is to be known of the clip, two texts; likewise */
        int64_t blocks;           /* behind which the window is whole */
    } extension;
    struct {
        const char *dir;      /* where a snapshot is: the private folder of an attempt, or what a
                            finished clip keeps to be extended by; NULL: from the start */
        const char *identity; /* that it must have */
        int64_t blocks;       /* that it stands behind */
        bool extends;         /* a finished clip's: it stays */
    } resume;

    const struct sidecar_info *about; /* borrowed until close; its task_id is also put into
                                          the videos' `comment` */
};
enum { CLIP_WRITER_FORMATS = 16, CLIP_WRITER_CHANNELS = 16 };

/* ST_ARG for a config that cannot be, and if dir is there already; ST_IO with the
 * path that cannot be made; ST_FORMAT, ST_MISMATCH for a snapshot that cannot be gone on from. What
 * one goes on from is copied; an attempt is removed once this one has something later, or is
 * published. The next to come is the block behind those that the snapshot has coded. Whoever opens,
 * closes. */
status clip_writer_open(struct clip_writer **out, const struct clip_writer_config *c) MUST_USE;

/* The next pictures of the clip, [height, width]; a call is a block. ST_ARG if a pix of the
 * config's formats is not among theirs. ST_MISMATCH names the frame, and where, that is
 * not finite: the clip cannot be finished then. */
status clip_writer_pictures(struct clip_writer *s, const struct pictures *p) MUST_USE;

/* The next n latent frames, [n, 16, height, width], as the transformer has them.
 * Nothing if the config keeps none. ST_MISMATCH as above; ST_ARG for too many. */
status clip_writer_latents(struct clip_writer *s, const float *x0, int64_t n) MUST_USE;

/* Behind a block whose pictures and latents have come: all that is needed to go on from here is
 * put on disk. The videos begin anew with the next picture, so a clip is the same only if its
 * checkpoints are. window: [windows, latent], see snapshot.h. ST_ARG without checkpoints. */
status clip_writer_checkpoint(struct clip_writer *s, const float *window, int windows) MUST_USE;

/* Behind the block that config.extension.blocks says, and behind its checkpoint if it has one: what
 * a longer clip goes on from. The window as above. ST_ARG where the config keeps none. */
status clip_writer_extension(struct clip_writer *s, const float *window, int windows) MUST_USE;

enum clip_outcome {
    CLIP_PUBLISHED,
    CLIP_THERE_ALREADY, /* another attempt at this very clip was first; this one is gone */
    CLIP_ELSEWHERE,     /* something else stands there: see clip_writer_place */
};

/* Finish every file, read it back, write clip.json, publish. ST_ARG unless all pictures and latents
 * have come; ST_IO for a file that is not what was written. If it is the last step that fails, the
 * finished clip stays in the attempts folder and the message says where. Only close may follow. */
status clip_writer_commit(struct clip_writer *s, const struct sidecar_run *run,
                          enum clip_outcome *outcome) MUST_USE;

/* NULL is fine; sets NULL. Without a commit the attempt is removed. */
void clip_writer_close(struct clip_writer **s);

/* The same after a stop: an attempt that has made a checkpoint stays, for the next one. */
void clip_writer_leave(struct clip_writer **s);

/* Where the clip is after a commit; valid until close. */
const char *clip_writer_place(const struct clip_writer *s);

/* "NAME.PID.xxxxxx", as clip.json has it; valid until close. */
const char *clip_writer_attempt(const struct clip_writer *s);

#endif /* CLIP_WRITER_H */
