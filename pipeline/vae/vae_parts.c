/* vae_parts.c - the decoder's steps, their work, and where to cut them into parts of equal work. */
#include "pipeline/vae/vae_internal.h"

const struct vae_row vae_decoder_rows[VAE_LAYERS] = {
    { "decoder.middle.0", VAE_RES, 4, 4 },        { "decoder.middle.1", VAE_ATTN, 4, 4 },
    { "decoder.middle.2", VAE_RES, 4, 4 },        { "decoder.upsamples.0", VAE_RES, 4, 4 },
    { "decoder.upsamples.1", VAE_RES, 4, 4 },     { "decoder.upsamples.2", VAE_RES, 4, 4 },
    { "decoder.upsamples.3", VAE_UP_TIME, 4, 2 }, { "decoder.upsamples.4", VAE_RES, 2, 4 },
    { "decoder.upsamples.5", VAE_RES, 4, 4 },     { "decoder.upsamples.6", VAE_RES, 4, 4 },
    { "decoder.upsamples.7", VAE_UP_TIME, 4, 2 }, { "decoder.upsamples.8", VAE_RES, 2, 2 },
    { "decoder.upsamples.9", VAE_RES, 2, 2 },     { "decoder.upsamples.10", VAE_RES, 2, 2 },
    { "decoder.upsamples.11", VAE_UP, 2, 1 },     { "decoder.upsamples.12", VAE_RES, 1, 1 },
    { "decoder.upsamples.13", VAE_RES, 1, 1 },    { "decoder.upsamples.14", VAE_RES, 1, 1 },
};

int vae_first_layer(const struct vae_coder *c) { return c->part.first ? c->part.first - 1 : 0; }

int vae_end_layer(const struct vae_coder *c)
{
    return vae_has_head(c) ? c->layers : c->part.end - 1;
}

bool vae_has_front(const struct vae_coder *c) { return c->part.first == 0; }
bool vae_has_head(const struct vae_coder *c) { return c->part.end == c->layers + 2; }

int vae_units(struct vae_range part, bool first_frame)
{
    int doublings = 0;

    for (int i = 0; i < part.first - 1; i++) doublings += vae_decoder_rows[i].kind == VAE_UP_TIME;
    return !first_frame && doublings > 1 ? 2 : 1;
}

/* From the pictures back: a causal convolution over three frames looks two back, a doubling halves
 * what lies behind it and looks two back itself. What a reset decoder does otherwise with its first
 * frame and the one behind it stays within that, too: the front's convolution alone keeps
 * these two out of the first doubling. */
int vae_past(void)
{
    int past = 2; /* the head */

    for (int i = VAE_LAYERS - 1; i >= 0; i--) {
        enum vae_kind const kind = vae_decoder_rows[i].kind;
        if (kind == VAE_RES) past += 4;
        if (kind == VAE_UP_TIME) past = (past + 1) / 2 + 2;
    }
    return past + 2;
}

/* Frames and pixels of one frame where the walk over the steps stands. */
struct walk {
    const struct vae_size *size;
    double frames, area;
};

static double conv_flops(double pixels, double taps, double in, double out)
{
    return 2 * pixels * taps * in * out;
}

static double scale_flops(struct walk *w, const struct vae_row *r, double in, double out)
{
    double time = 0;

    if (r->kind == VAE_UP_TIME) {
        time = conv_flops(w->frames * w->area, 3, in, 2 * in);
        w->frames *= 2;
    }
    w->area *= 4;
    return time + conv_flops(w->frames * w->area, 9, in, out);
}

static double layer_flops(struct walk *w, const struct vae_row *r)
{
    double const base = (double)w->size->base, in = r->in * base, out = r->out * base;
    double const pixels = w->frames * w->area;

    switch (r->kind) {
    case VAE_RES:
        return conv_flops(pixels, 27, in, out) + conv_flops(pixels, 27, out, out) +
               (r->in != r->out ? conv_flops(pixels, 1, in, out) : 0);
    case VAE_ATTN: return conv_flops(pixels, 4, in, in) + 4 * pixels * w->area * in;
    default: return scale_flops(w, r, in, out);
    }
}

/* of[i]: step i. */
static void steps_flops(double of[VAE_STEPS], const struct vae_size *size)
{
    double const base = (double)size->base, z = VAE_CHANNELS;
    struct walk w = { size, 1, (double)(size->latent_h * size->latent_w) };

    of[0] = conv_flops(w.area, 1, z, z) + conv_flops(w.area, 27, z, 4 * base);
    for (int i = 0; i < VAE_LAYERS; i++) of[i + 1] = layer_flops(&w, &vae_decoder_rows[i]);
    of[VAE_STEPS - 1] = conv_flops(w.frames * w.area, 27, base, 3);
}

double vae_flops(struct vae_range part, const struct vae_size *size)
{
    double of[VAE_STEPS], sum = 0;
    int const end = part.end ? part.end : VAE_STEPS;

    steps_flops(of, size);
    for (int i = part.first; i < end; i++) sum += of[i];
    return sum;
}

/* least[k][i]: the most work of one of k + 1 parts that share steps 0 .. i, as little
 * as can be; from[k][i]: where the last of them begins. */
struct cuts {
    double least[VAE_PARTS_MAX][VAE_STEPS];
    int from[VAE_PARTS_MAX][VAE_STEPS];
};

static void find_cuts(struct cuts *c, const double *work)
{
    double sum = 0;

    for (int i = 0; i < VAE_STEPS; i++) {
        c->least[0][i] = sum += work[i];
        c->from[0][i] = 0;
    }
    for (int k = 1; k < VAE_PARTS_MAX; k++)
        for (int i = k; i < VAE_STEPS; i++) {
            double last = 0;
            for (int first = i; first >= k; first--) {
                last += work[first];
                double const before = c->least[k - 1][first - 1];
                double const most = before > last ? before : last;
                if (first < i && most >= c->least[k][i]) continue;
                c->least[k][i] = most;
                c->from[k][i] = first;
            }
        }
}

status vae_parts(struct vae_range *out, int parts, const struct vae_size *size)
{
    double work[VAE_STEPS];
    struct cuts c;

    if (parts < 1 || parts > VAE_PARTS_MAX)
        return fail(ST_ARG, "vae: decoder in %d parts; 1 to %d are possible", parts, VAE_PARTS_MAX);
    if (size->base < 1 || size->latent_h < 1 || size->latent_h > VAE_SIDE || size->latent_w < 1 ||
        size->latent_w > VAE_SIDE)
        return fail(ST_ARG, "vae: base width %lld, latent of %lld x %lld; at least 1, sides to %d",
                    (long long)size->base, (long long)size->latent_h, (long long)size->latent_w,
                    VAE_SIDE);
    steps_flops(work, size);
    find_cuts(&c, work);
    for (int k = parts - 1, end = VAE_STEPS; k >= 0; k--) {
        out[k] = (struct vae_range){ c.from[k][end - 1], end };
        end = out[k].first;
    }
    return ST_OK;
}
