/*
 * video.h - one video file: pictures' planes in, a finished file out.
 *
 *   video_open -> video_push ... -> video_commit -> video_close
 *          \-> video_resume -^  ^- video_seal
 *
 * Packets go to a file of their own as they are encoded; commit makes the video's file of them. A
 * video may be sealed between two pictures: its packets so far are on disk, and the encoder begins
 * anew with the next picture. From a seal another video of the same config can go on, in another
 * process, and ends as the same file to the byte.
 *
 * Picture i is shown from i * fps_den / fps_num seconds on, exactly, in .mp4 and
 * .mov; to the nearest millisecond in .mkv, whose clock has no finer step. MP4
 * and MOV carry their index in front (faststart). Nothing in the file depends on
 * the time or the machine: the same pictures, libraries and threads give the
 * same bytes.
 *
 * One owner, one thread. Memory does not grow with the length, but for the
 * container's index (some 100 bytes a picture). Disk: the packets are there twice while
 * the file is made.
 */
#ifndef VIDEO_H
#define VIDEO_H

#include "base/digest.h"
#include "pipeline/output/av/codec.h"

struct video;

struct video_facts {
    struct codec_choice choice;
    int64_t frames;                  /* pictures pushed */
    int64_t keyframes;               /* in the file; complete after commit */
    char planes_sha256[DIGEST_HEX];  /* of the Y, Cb, Cr planes sent, rows without padding,
                                       10-bit samples in 2 bytes, low first; after commit.
                                       A lossless file decodes to just these bytes */
    char packets_sha256[DIGEST_HEX]; /* of what the encoder made of them; after commit */
    int64_t bytes;                   /* of the file, and their hash; after commit */
    char sha256[DIGEST_HEX];
};

/* ST_ARG, ST_DEVICE as codec_choose; ST_IO if the packets' file cannot be made, or the video's
 * is there already. The config's strings are copied or constant. Whoever opens, closes. */
status video_open(struct video **out, const struct video_config *c) MUST_USE;

/* Where a video stands at a seal; plain data, for a machine of the same byte order. */
struct video_state {
    int64_t frames, keyframes; /* see video_facts */
    int64_t bytes;             /* of the file of packets that count */
    int64_t packets, delay;    /* how many; see video_mux.c */
    unsigned char planes[DIGEST_STATE], sum[DIGEST_STATE];
};

/* Drain the encoder, sync the packets. What it has cost: the next picture is a key frame. */
status video_seal(struct video *v, struct video_state *out) MUST_USE;

/* Straight after opening: go on behind the seal `s` of a video whose packets are in the file
 * `packets`, which is only read. ST_FORMAT for what is damaged, ST_MISMATCH if this encoder is
 * another. */
status video_resume(struct video *v, const struct video_state *s, const char *packets) MUST_USE;

/* One picture's Y, Cb and Cr in the file's pix, rows without padding (pixels.h); borrowed for
 * the call. ST_IO, ST_DEVICE. */
status video_push(struct video *v, const unsigned char *const plane[3]) MUST_USE;

/* Drain the encoder, make the file of the packets, fsync, close, read all of it back: ST_IO names
 * the place where it is not what libavformat wrote. Once, after the last
 * push; ST_ARG if there was none. */
status video_commit(struct video *v) MUST_USE;

/* NULL is fine; sets NULL. The packets go if there was a commit, and are left as they are if not: a
 * kill between the commits of a clip's videos costs none of them. */
void video_close(struct video **v);

const struct video_facts *video_facts(const struct video *v);

/* Read a finished file back, without decoding: ST_MISMATCH unless it holds one video stream of
 * just f->frames pictures, each at its exact time, and their packets are those of the encoder. */
status video_verify(const char *path, const struct video_facts *f, int fps_num,
                    int fps_den) MUST_USE;

#endif /* VIDEO_H */
