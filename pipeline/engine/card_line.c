#include "pipeline/engine/card_line.h"
#include "pipeline/vae/vae.h"

status card_line_read(struct card_line *out, const struct model_spec *m)
{
    TRY(schedule_make(&out->schedule, m->step, m->steps, m->warp, m->shift));
    out->policy = (struct kv_policy){
        .kind = m->window == MODEL_ROLLING ? WINDOW_ROLLING : WINDOW_BLOCK,
        .levels = m->steps,
        .frames_per_block = m->frames_per_block,
        .attention_frames = m->attention_frames,
        .sink_frames = m->sink_frames,
    };
    TRY(kv_policy_check(&out->policy));
    TRY(dit_shape_read(&out->shape, m->config));
    if (out->shape.channels == VAE_CHANNELS) return ST_OK;
    return fail(ST_FORMAT, "%s: latents of %d channels; the VAE takes %d", m->config,
                out->shape.channels, VAE_CHANNELS);
}
