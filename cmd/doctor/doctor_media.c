/* doctor_media.c - the libraries that read jobs and write videos; the encoders, each tried once. */
#include "cmd/doctor/doctor_internal.h"
#include "jobs/spec/clip.h"
#include "pipeline/output/av/codec.h"

static void try_encoder(struct doctor *d, const struct codec *c)
{
    struct codec_probe probe;

    codec_probe(&probe, c, CODEC_CPU);
    if (probe.opens) doctor_print(d, DOCTOR_OK, c->name, "%s opens", c->by[CODEC_CPU].name);
    else
        doctor_print(d, DOCTOR_WARN, c->name, "%s does not open: %s; jobs cannot ask for %s",
                     c->by[CODEC_CPU].name, probe.why, c->name);
}

/* Most machines, and most cards for computing, have none. */
static void try_nvenc(struct doctor *d, const struct codec *c)
{
    struct codec_probe probe;

    codec_probe(&probe, c, CODEC_NVENC);
    if (probe.opens) doctor_print(d, DOCTOR_OK, "nvenc", "%s opens", c->by[CODEC_NVENC].name);
    else
        doctor_print(d, DOCTOR_OK, "nvenc",
                     "none: encoder auto is cpu here, and jobs cannot ask for nvenc: %s",
                     probe.why);
}

void doctor_media(struct doctor *d)
{
    char tree[TREE_LIBRARY], clip[CLIP_LIBRARY], libs[CODEC_LIBS];

    doctor_print(d, DOCTOR_OK, "libraries", "%s, %s", tree_library(tree), clip_library(clip));
    doctor_print(d, DOCTOR_OK, "video", "%s", codec_libs(libs));
    for (int i = 0; i < codec_count(); i++) {
        const struct codec *const c = codec_at(i);
        try_encoder(d, c);
        if (c->by[CODEC_NVENC].name) try_nvenc(d, c);
    }
}
