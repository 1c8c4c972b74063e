/* doctor_media.c - the libraries that read jobs and write films; the encoders, each tried once. */
#include "cmd/doctor.h"
#include "jobs/clip.h"
#include "pipeline/codec.h"

void doctor_media(struct doctor *d)
{
    char tree[TREE_LIBRARY], clip[CLIP_LIBRARY], libs[CODEC_LIBS];

    doctor_say(d, DOCTOR_OK, "libraries", "%s, %s", tree_library(tree), clip_library(clip));
    doctor_say(d, DOCTOR_OK, "video", "%s", codec_libs(libs));
    for (int i = 0; i < codec_count(); i++) {
        const struct codec *const c = codec_at(i);
        struct codec_probe probe;
        codec_probe(&probe, c);
        if (probe.opens) doctor_say(d, DOCTOR_OK, c->name, "%s opens", c->encoder);
        else
            doctor_say(d, DOCTOR_WARN, c->name, "%s does not open: %s; jobs cannot ask for %s",
                       c->encoder, probe.why, c->name);
    }
}
