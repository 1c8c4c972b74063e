/* clip_contents.c - a clip's list of blocks and its file of latents: both grow as blocks are made,
 * and again, from a snapshot, where a clip goes on. */
#include "base/array.h"
#include "kernels/pixels.h"
#include "pipeline/output/output_internal.h"

status contents_list_block(struct clip_writer *s, const struct sidecar_block *b)
{
    struct sidecar_block *const more = array_grow(s->block, s->blocks, &s->room, sizeof *more);

    if (!more) return fail(ST_NOMEM, "%s: %d blocks", s->attempt.target, s->blocks + 1);
    s->block = more;
    s->block[s->blocks++] = *b;
    return ST_OK;
}

status contents_add_latents(struct clip_writer *s, const float *x0, int64_t n)
{
    if (!s->latents) return ST_OK;
    int64_t const frames = s->latent.dim[0], values = tensor_count(&s->latent) / frames;

    for (int64_t i = 0; i < n; i++, s->latents_pushed++) {
        const float *const from = x0 + i * values;
        if (s->latents_pushed == frames)
            return fail(ST_ARG, "%s: more latent frames than the %lld announced", s->attempt.target,
                        (long long)frames);
        int64_t const bad = pixels_first_bad(from, values);
        if (bad >= 0)
            return fail(ST_MISMATCH, "%s: latent frame %lld is not finite: %g at element %lld",
                        s->attempt.target, (long long)s->latents_pushed, (double)from[bad],
                        (long long)bad);
        TRY(tensor_convert(s->latent_frame, s->latent.dtype, from, DT_F32, values));
        TRY(tensor_file_append(s->latents, s->latent_frame,
                               (size_t)values * dtype_size(s->latent.dtype)));
    }
    return ST_OK;
}
