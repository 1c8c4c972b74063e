/* format.h - one video file of a clip, as a job asks for it. */
#ifndef FORMAT_H
#define FORMAT_H

#include "jobs/spec/clip_spec.h"
#include "jobs/yaml/duration.h"
#include "jobs/yaml/yaml_schema.h"

/* What a codec takes. Words are "a|b|c"; NULL: the key is refused for this codec. */
struct format_codec {
    const char *name, *endings, *pixes, *presets, *profiles;
    int crf_min, crf_max, crf; /* crf_max 0: the key is refused */
    int gop;                   /* least distance of key frames; 0: every picture is one, and the
                                  key is refused */
    int least;                 /* width and height */
    const char *pix, *preset;  /* what stands in for a missing key */
    const char *encoders;      /* of "cpu|nvenc|auto" */
    const char *nvenc_pixes;   /* of the others; NULL: no nvenc */
    int nvenc_least;           /* width and height */
};

/* Texts are the job's or constant. NULL: the codec has no such setting, or (profile)
 * takes the one that goes with pix. */
struct format {
    const char *id; /* a word for people; NULL: none */
    const char *file;
    const char *codec, *pix, *preset, *profile;
    int crf;     /* -1: the codec has none */
    int threads; /* of the encoder; 1 unless asked for: h264's bytes depend on it */
    enum clip_encoder encoder;
    struct duration gop; /* from one key frame to the next at most; none: a second */
};

/* clip.mp4, h264, crf 18, preset medium, yuv420p */
extern const struct format format_default;

/* Read one entry of output.formats. */
status format_read(const struct tree_node *n, struct format *out) MUST_USE;

/* ST_FORMAT at `n` if the codec does not take pictures of this size. */
status format_check_size(const struct tree_node *n, const struct format *f, int width,
                         int height) MUST_USE;

/* Pictures from one key frame to the next at most; 0: the default, a second,
 * also where that is asked for, so that ids are equal. */
int format_gop(const struct format *f, struct value_rate rate);

int format_codecs(void);
const struct format_codec *format_codec(int i);

extern const struct field_table format_table;

#endif /* FORMAT_H */
