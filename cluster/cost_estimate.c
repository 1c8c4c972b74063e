/* cost_estimate.c - seconds from published speeds, for machines that were not benchmarked. */
#include "cluster/cost.h"

/* A speed, per GPU or per core, in each precision. */
struct figure {
    const char *what;
    double bf16, f32;
    const char *unit;
    double scale; /* of the unit */
    const char *source;
};

enum { LINEAR, ATTENTION, CROSS, MOVED, DECODE, TEXT, ENCODE, FIGURES };

static const struct figure gpu[FIGURES] = {
    [LINEAR] = { "products", 590, 50, "TFLOP/s", 1e12,
                 "H100 SXM: 4680 rows fill 83 to 97 % of the last wave of a 680 TFLOP/s product" },
    [ATTENTION] = { "self-attention", 580, 50, "TFLOP/s", 1e12,
                    "H100, cuDNN bf16 forward at head width 128: 690, less 16 % for the last wave" },
    [CROSS] = { "cross-attention", 400, 50, "TFLOP/s", 1e12, "the same over 512 keys" },
    [MOVED] = { "memory", 2750, 2750, "GB/s", 1e9, "H100 copies reach 3000 GB/s" },
    [DECODE] = { "decoder", 300, 50, "TFLOP/s", 1e12, "H100, cuDNN 3-D convolutions: 250 to 350" },
    [TEXT] = { "text encoder", 500, 50, "TFLOP/s", 1e12, "H100 products" },
    [ENCODE] = { "encoder", 86, 86, "Mpixel/s", 1e6,
                 "libx264 veryfast, 216 pictures/s at 832x480 on two cores" },
};

static const struct figure cpu[FIGURES] = {
    [LINEAR] = { "products", 750, 140, "GFLOP/s", 1e9, "a Xeon core with AMX, oneDNN" },
    [ATTENTION] = { "self-attention", 450, 120, "GFLOP/s", 1e9, "the same core" },
    [CROSS] = { "cross-attention", 450, 120, "GFLOP/s", 1e9, "the same core" },
    [MOVED] = { "memory", 8, 8, "GB/s", 1e9, "the same core" },
    [DECODE] = { "decoder", 1000, 140, "GFLOP/s", 1e9, "the same core, 3-D convolutions" },
    [TEXT] = { "text encoder", 250, 130, "GFLOP/s", 1e9, "the same core" },
    [ENCODE] = { "encoder", 15.6, 15.6, "Mpixel/s", 1e6,
                 "libx264 medium, 78 pictures/s at 832x480 on two cores" },
};

void cost_estimate(struct cost_parts *out, const struct cost_work *w, enum topo_kind kind,
                   int threads)
{
    const struct figure *const table = kind == TOPO_GPU ? gpu : cpu;
    double const done[FIGURES] = { w->linear, w->attention, w->cross, w->moved,
                                   w->decode, w->text,      w->pixels };
    double s[FIGURES];

    for (int i = 0; i < FIGURES; i++) {
        double const speed = (w->f32 ? table[i].f32 : table[i].bf16) * table[i].scale;
        s[i] = done[i] / speed / (i == ENCODE ? 1 : threads);
    }
    *out = (struct cost_parts){
        .noise = s[LINEAR] + s[ATTENTION] + s[CROSS] + s[MOVED],
        .decode = s[DECODE],
        .encode = s[ENCODE],
        .text = s[TEXT],
        .threads = threads,
        .estimated = true,
    };
    out->clean = out->noise;
    out->noise_alone = out->clean_alone = out->noise - s[ATTENTION] * (1 - w->own);
    out->hidden = s[ATTENTION] * w->local / out->noise;
}

void cost_sources(struct strbuf *out, enum topo_kind kind, bool f32)
{
    const struct figure *const table = kind == TOPO_GPU ? gpu : cpu;

    for (int i = 0; i < FIGURES; i++)
        strbuf_addf(out, "  %-16s %6.1f %-8s  %s\n", table[i].what,
                    f32 ? table[i].f32 : table[i].bf16, table[i].unit, table[i].source);
}
