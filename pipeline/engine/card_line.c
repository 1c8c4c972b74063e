#include "pipeline/engine/card_line.h"
#include "pipeline/vae/vae.h"

status card_line_read(struct card_line *out, const struct card *card)
{
    TRY(schedule_make(&out->schedule, card->step, card->steps, card->warp, card->shift));
    out->policy = (struct kv_policy){
        .kind = card->window == CARD_ROLLING ? WINDOW_ROLLING : WINDOW_BLOCK,
        .levels = card->steps,
        .frames_per_block = card->frames_per_block,
        .attention_frames = card->attention_frames,
        .sink_frames = card->sink_frames,
    };
    TRY(kv_policy_check(&out->policy));
    TRY(dit_shape_read(&out->shape, card->config));
    if (out->shape.channels == VAE_CHANNELS) return ST_OK;
    return fail(ST_FORMAT, "%s: latents of %d channels; the VAE takes %d", card->config,
                out->shape.channels, VAE_CHANNELS);
}
