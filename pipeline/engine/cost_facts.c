#include "pipeline/engine/cost_facts.h"
#include "pipeline/vae/vae.h"

static double tokens_of(const struct cost_facts *f, int frames)
{
    int64_t const tokens = frames * (f->latent_h / 2) * (f->latent_w / 2);
    return (double)tokens;
}

static struct vae_size size_of(const struct cost_facts *f)
{
    return (
        struct vae_size){ .base = f->vae_base, .latent_h = f->latent_h, .latent_w = f->latent_w };
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
static double row_bytes(const struct cost_facts *f)
{
    return (double)f->shape->dim * (double)dtype_size(f->act);
}

static double wire_bytes(const struct cost_facts *f)
{
    return f->mode.wire == LINE_FP8 ? f->shape->dim + (double)sizeof(float) : row_bytes(f);
}

status cost_facts_shape(struct cost_shape *out, const struct cost_facts *f)
{
    int const frames = f->policy->frames_per_block;
    struct vae_size const size = size_of(f);

    *out = (struct cost_shape){
        .stages = f->policy->levels + 1,
        .layers = f->shape->layers,
        .one_by_one = f->policy->kind == WINDOW_BLOCK,
        .attended = (double)f->policy->attention_frames / frames,
        .kv_bytes = 2 * tokens_of(f, frames) * wire_bytes(f),
        .heads = f->mode.exchange == LINE_HEADS ? f->shape->heads : 0,
        .q_bytes = tokens_of(f, frames) * row_bytes(f),
        .latent_bytes = (double)frames * f->shape->channels * (double)(f->latent_h * f->latent_w) *
                        sizeof(float),
        .pictures = (double)frames * VAE_PICTURES,
    };
    return share_decoder(out->slowest, &size);
}

/* Bytes that normalisations, rotations and gates read and write, per element and layer. */
static const double moved_bf16 = 42, moved_f32 = 76;

void cost_facts_work(struct cost_work *out, const struct cost_facts *f)
{
    const struct dit_shape *const s = f->shape;
    int const frames = f->policy->frames_per_block;
    double const n = tokens_of(f, frames), keys = tokens_of(f, f->policy->attention_frames);
    struct vae_size const size = size_of(f);
    double const d = s->dim, latent = (double)(f->latent_h * f->latent_w);

    *out = (struct cost_work){
        .linear = 2 * n * (s->layers * (6 * d * d + 2 * d * s->ffn_dim) + 8.0 * s->channels * d),
        .attention = 4 * n * keys * d * s->layers,
        .cross = 4 * n * s->text_len * d * s->layers,
        .moved = n * d * s->layers * (f->act == DT_F32 ? moved_f32 : moved_bf16),
        .decode = vae_flops((struct vae_range){ 0 }, &size) * frames,
        .pixels = (double)frames * VAE_PICTURES * latent * VAE_SCALE * VAE_SCALE,
        .own = (double)frames / f->policy->attention_frames,
        .local = (double)(f->policy->sink_frames + frames) / f->policy->attention_frames,
        .f32 = f->act == DT_F32,
    };
}
