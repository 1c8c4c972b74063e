/* clip_provenance.h - what clip.json says of a clip before it is rendered. */
#ifndef CLIP_PROVENANCE_H
#define CLIP_PROVENANCE_H

#include "base/version.h"
#include "cluster/roles.h"
#include "pipeline/engine/engine.h"
#include "pipeline/output/sidecar.h"

/* What is the same for all clips of a batch. Borrowed. */
struct provenance_facts {
    const struct engine_options *o;
    const struct comm *world;
    const struct roles *roles;
    int line;
    const char *precision;                           /* "f32", "bf16" */
    const char *weights_hash, *text_hash, *vae_hash; /* 64 hex digits each */
};

/* The record and what it points into; the rest belongs to the clip. */
struct clip_provenance {
    struct sidecar_info about;
    struct sidecar_prompt *prompt;
    struct sidecar_pair *value, *label;
    struct sidecar_pair file[3], library[1], host[1];
    char world[96], hostname[64], what[96], kernels[KERN_TEXT];
    char libav[CODEC_LIBS];
};

status clip_provenance_make(struct clip_provenance *out, const struct render_clip *c,
                            const struct provenance_facts *facts) MUST_USE;
void clip_provenance_free(struct clip_provenance *a); /* safe on a zeroed one */

#endif /* CLIP_PROVENANCE_H */
