/*
 * workload.c - a group's clips, counted: shapes, and the operations and bytes of a pass.
 *
 * The figures are of one block in the steady state, when the window is full; what a clip's first
 * and last blocks save is cost_run's to say. They must follow what dit and vae compute: a layer
 * has 4 products for self-attention, 2 for cross-attention, whose keys and values are made once a
 * prompt, and 2 of the feed-forward network; the decoder counts itself (vae_flops).
 */
#include "pipeline/engine/workload.h"
#include "pipeline/cache/kv_state.h"
#include "pipeline/engine/output_formats.h"
#include "pipeline/vae/vae.h"

#include <string.h>

static status check_profile(const struct kv_policy *p, const struct dit_shape *s, int64_t tokens)
{
    return kv_state_check(
        p, &(struct kv_state_shape){
               .layers = s->layers, .tokens = tokens, .dim = s->dim, .heads = s->heads });
}

status card_line_read(struct card_line *out, const struct model_spec *m)
{
    TRY(schedule_make(&out->schedule, m->step, m->steps, m->warp, m->shift));
    if (m->first_steps)
        TRY(schedule_set_opening(&out->schedule, m->first_step, m->first_steps, m->warp, m->shift));
    out->policy = (struct kv_policy){
        .kind = m->window,
        .levels = out->schedule.levels,
        .frames_per_block = m->frames_per_block,
        .attention_frames = m->attention_frames,
        .sink_frames = m->sink_frames,
        .sink = m->sink,
        .rule = m->rule,
        .profile = m->profile,
    };
    memcpy(out->policy.key, m->key, sizeof out->policy.key); /* zeroes without any */
    TRY(kv_policy_check(&out->policy));
    TRY(dit_shape_read(&out->shape, m->config));
    TRY(check_profile(&out->policy, &out->shape, 0));
    if (out->shape.channels == VAE_CHANNELS) return ST_OK;
    return fail(ST_FORMAT, "%s: latents of %d channels; the VAE takes %d", m->config,
                out->shape.channels, VAE_CHANNELS);
}

int workload_contexts(const struct work_outlook *known)
{
    int64_t const most = INT32_MAX;

    if (known->more || known->texts > most || known->mixes > most - known->texts) return 0;
    return (int)(known->texts + known->mixes);
}

status workload_read(struct workload *out, const struct work_item *first,
                     const struct work_outlook *known)
{
    const struct clip_spec *const c = first->clip;
    struct card_line line;

    TRY(card_line_read(&line, first->model));
    *out = (struct workload){
        .model = first->model,
        .clip = c,
        .known = *known,
        .schedule = line.schedule,
        .policy = line.policy,
        .shape = line.shape,
        .act = c->precision == CLIP_F32 ? DT_F32 : DT_BF16,
        .latent_h = c->height / VAE_SCALE,
        .latent_w = c->width / VAE_SCALE,
        .picture_bytes = pixels_layout(c->width, c->height, known->formats).bytes,
        .contexts = workload_contexts(known),
    };
    TRY(check_profile(&out->policy, &out->shape,
                      (int64_t)(out->latent_h / 2) * (out->latent_w / 2)));
    return vae_base(&out->vae_base, first->model->vae);
}

static double count_tokens(const struct workload *m, int frames)
{
    int64_t const tokens = frames * (m->latent_h / 2) * (m->latent_w / 2);
    return (double)tokens;
}

static struct vae_size size_of(const struct workload *m)
{
    return (
        struct vae_size){ .base = m->vae_base, .latent_h = m->latent_h, .latent_w = m->latent_w };
}

/* The share of the slowest of 1 to ROLES_CHAIN ranks. */
static status share_decoder(double slowest[ROLES_CHAIN], const struct vae_size *size)
{
    double const whole = vae_flops((struct vae_range){ 0 }, size);

    for (int c = 1; c <= ROLES_CHAIN; c++) {
        struct vae_range part[VAE_PARTS_MAX];
        TRY(vae_parts(part, c, size));
        slowest[c - 1] = 0;
        for (int i = 0; i < c; i++) {
            double const share = vae_flops(part[i], size) / whole;
            if (share > slowest[c - 1]) slowest[c - 1] = share;
        }
    }
    return ST_OK;
}
_Static_assert((int)ROLES_CHAIN <= (int)VAE_PARTS_MAX, "a chain has as many parts");

/* A token's queries; and its keys or values, as they go from rank to rank. */
static double row_bytes(const struct workload *m)
{
    return (double)m->shape.dim * (double)dtype_size(m->act);
}

static double wire_bytes(const struct workload *m, struct line_mode mode)
{
    return mode.wire == LINE_FP8 ? m->shape.dim + (double)sizeof(float) : row_bytes(m);
}

/* A source that may get more clips has always enough of them. */
static int clips_to_share(const struct work_outlook *known)
{
    if (known->more) return 0;
    return known->clips > INT32_MAX ? INT32_MAX : (int)known->clips;
}

status workload_shape(struct cost_shape *out, const struct workload *m, struct line_mode mode)
{
    int const frames = m->policy.frames_per_block;
    struct vae_size const size = size_of(m);

    *out = (struct cost_shape){
        .stages = m->policy.levels + 1,
        .layers = m->shape.layers,
        .one_by_one = !kv_policy_joint(&m->policy),
        .usual = m->schedule.usual,
        .opening = m->schedule.opening,
        .attended = (double)m->policy.attention_frames / frames,
        .kv_bytes = 2 * count_tokens(m, frames) * wire_bytes(m, mode),
        .heads = mode.exchange == LINE_HEADS ? m->shape.heads : 0,
        .q_bytes = count_tokens(m, frames) * row_bytes(m),
        .latent_bytes = (double)frames * m->shape.channels * (double)(m->latent_h * m->latent_w) *
                        sizeof(float),
        .pictures = (double)frames * VAE_PICTURES,
        .clips = clips_to_share(&m->known),
        .blocks = m->clip_blocks,
    };
    return share_decoder(out->slowest, &size);
}

/* Bytes that normalisations, rotations and gates read and write, per element and layer. */
static const double moved_bf16 = 42, moved_f32 = 76;

void workload_cost(struct cost_work *out, const struct workload *m)
{
    const struct dit_shape *const s = &m->shape;
    int const frames = m->policy.frames_per_block;
    double const n = count_tokens(m, frames), keys = count_tokens(m, m->policy.attention_frames);
    struct vae_size const size = size_of(m);
    double const d = s->dim, latent = (double)(m->latent_h * m->latent_w);

    *out = (struct cost_work){
        .linear = 2 * n * (s->layers * (6 * d * d + 2 * d * s->ffn_dim) + 8.0 * s->channels * d),
        .attention = 4 * n * keys * d * s->layers,
        .cross = 4 * n * s->text_len * d * s->layers,
        .moved = n * d * s->layers * (m->act == DT_F32 ? moved_f32 : moved_bf16),
        .decode = vae_flops((struct vae_range){ 0 }, &size) * frames,
        .pixels = (double)frames * VAE_PICTURES * latent * VAE_SCALE * VAE_SCALE,
        .own = (double)frames / m->policy.attention_frames,
        .local = (double)(m->policy.sink_frames + frames) / m->policy.attention_frames,
        .f32 = m->act == DT_F32,
    };
}

bool workload_recaches(const struct work_outlook *known, const struct kv_policy *p)
{
    return known->recaches > 0 && kv_policy_recaches(p);
}

int workload_adapters(struct weight_adapter out[MODEL_LORAS], const struct model_spec *m)
{
    for (int i = 0; i < m->loras; i++)
        out[i] = (struct weight_adapter){ .path = m->lora[i].file,
                                          .outer_key = m->lora[i].outer_key,
                                          .rank = m->lora[i].rank,
                                          .alpha = m->lora[i].alpha,
                                          .scale = m->lora[i].scale };
    return m->loras;
}

struct dit_config workload_dit(const struct workload *m)
{
    return (struct dit_config){ .weights = m->model->weights,
                                .outer_key = m->model->outer_key,
                                .shape = m->shape,
                                .schedule = &m->schedule,
                                .act = m->act };
}
