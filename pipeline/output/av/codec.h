/*
 * codec.h - the video codecs by name: what each takes, and whether it is here.
 *
 * A codec has one encoder on the processor, and h264 one on a card (NVENC). If libavcodec
 * lacks the one that is asked for that is an error; no other encoder takes its place.
 *
 * NVENC makes other bytes than libx264 of the same pictures. It is given the crf as the
 * constant quantiser of all pictures (rc=constqp, qp=crf) and, for the preset's word, one
 * of its own.
 */
#ifndef CODEC_H
#define CODEC_H

#include "kernels/pixels.h"

enum codec_encoder { CODEC_CPU, CODEC_NVENC, CODEC_ENCODERS };

/* One encoder of a codec. */
struct codec_encoding {
    const char *name;    /* "libx264": as libavcodec names it; NULL: there is none */
    const char *pixes;   /* pix_info names it is offered with, the default first */
    const char *presets; /* words it takes, or NULL. Jobs write those of CODEC_CPU; another's
                            stand word by word beside them */
    int least;           /* smallest width and height */

    /* Its private options, "name" or "name=value"; NULL: it has none. */
    const char *always, *crf, *threads;
    const char *on_avx512; /* likewise, where the processor has AVX-512 */
};

/* How an encoder's packet is made of parts, and what containers do with it. */
enum codec_framing {
    CODEC_PLAIN, /* kept as it is */
    CODEC_NALS,  /* start codes between parts; a container writes lengths of 4 bytes instead */
    CODEC_OBUS,  /* parts that say their length; containers leave out those without content */
};

struct codec {
    const char *name; /* "h264": as jobs write it */
    enum codec_framing framing;
    const char *containers; /* file name endings, "mp4|mov|mkv" */
    const char *preset;     /* the default, as jobs write it; NULL: takes none */
    int crf_min, crf_max;   /* crf_max -1: takes none */
    int crf;                /* the default */
    const char *profiles;   /* words it takes, or NULL; the default depends on the pix */
    int gop;                /* the least it takes; 0: none, every frame is a key frame */
    struct codec_encoding by[CODEC_ENCODERS];
};

enum { CODEC_PRESET = 16 };   /* bytes of a preset's word */
enum { CODEC_FPS_MAX = 240 }; /* Matroska's clock of 1 ms still tells frames apart */
enum { CODEC_GOP_MAX = 60 * CODEC_FPS_MAX };

/* What players take the pictures' transfer function for. */
enum codec_transfer { CODEC_BT709, CODEC_SRGB };
const char *codec_transfer_name(enum codec_transfer t); /* as ffprobe has it */

/* One video file as asked for. Zero and NULL mean the codec's default. */
struct video_config {
    const char *path;  /* its ending picks the container: .mp4, .mov, .mkv */
    const char *codec; /* h264, ffv1, prores, av1 */
    enum codec_encoder encoder;
    const char *pix; /* yuv420p, ... */
    bool has_crf;    /* else crf is the codec's default */
    int crf;
    const char *preset;  /* h264: ultrafast .. placebo; av1: 0 .. 13 */
    const char *profile; /* prores: proxy, lt, standard, hq; 4444, 4444xq */
    int threads;         /* of the encoder; 0: 1. The bytes of h264 depend on it */
    int gop;             /* frames from one key frame to the next at most; 0: a second, rounded
                            down */
    enum codec_transfer transfer;
    int width, height;
    int fps_num, fps_den; /* pictures per second, below CODEC_FPS_MAX */
    const char *comment;  /* metadata `comment`; NULL: none */
    const char *packets;  /* file for them while the video is made; NULL: path with .packets */
};

/* Everything resolved: what video_config asks for, with the defaults filled in.
 * The strings are borrowed from the config and from constant tables. */
struct codec_choice {
    const struct codec *codec;
    const struct codec_encoding *encoder; /* one of codec's */
    enum pix pix;
    const char *container;     /* "mp4", ... */
    char preset[CODEC_PRESET]; /* as the encoder names it; "": it takes none */
    const char *profile;       /* NULL: it takes none */
    int crf;                   /* -1: the codec takes none */
    int threads;
    enum codec_transfer transfer;
    int gop; /* a key frame at least every so many frames; one that has only such ignores it */
};

int codec_count(void);
const struct codec *codec_at(int i);

/* Check all of a config and resolve it; opens nothing. ST_ARG names the file,
 * what was found and what is allowed; ST_DEVICE if the encoder is not in this
 * libavcodec or cannot take the pix. */
status codec_choose(struct codec_choice *out, const struct video_config *c) MUST_USE;

/* libav and SVT-AV1 speak to stderr by themselves: from here on only of errors.
 * For the whole process: main calls it once, before there are threads. */
void codec_quiet(void);

/* Does this encoder of the codec open here? A small one is tried. `why` is the failure in
 * words, the encoder's own last, "" if it opens. For the time of the call libav's words
 * go nowhere else: before there are threads that encode. */
struct codec_probe {
    bool opens;
    char why[512];
};
void codec_probe(struct codec_probe *out, const struct codec *c, enum codec_encoder e);

/* "libavformat 59.27.100, libavcodec 59.37.100, libavutil 57.28.100": as loaded, not as
 * compiled. */
enum { CODEC_LIBS = 128 };
const char *codec_libs(char buf[CODEC_LIBS]);

#endif /* CODEC_H */
