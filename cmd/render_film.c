#include "cmd/render_film.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"
#include "cmd/render_about.h"
#include "pipeline/clip_sink.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { STAGE_DECODE, STAGE_ENCODE, STAGES };
static const char *const stage_names[] = { "decode", "encode" };

struct render_film {
    struct render_film_config c;
    struct vae *vae;
    char vae_hash[DIGEST_HEX];
    float *pixels; /* of one block */

    const struct render_clip *clip; /* the one in work; NULL: none */
    struct clip_sink *sink;         /* NULL: the clip is there already, its blocks are dropped */
    struct render_about about;      /* must outlive the sink */
    double begin, spent[STAGES];    /* seconds */
};

status render_film_open(struct render_film **out, const struct render_film_config *c)
{
    struct render_film *f = calloc(1, sizeof *f);
    size_t const picture = (size_t)(c->vae.latent_h * c->vae.latent_w) * VAE_SCALE * VAE_SCALE * 3;
    status st = ST_OK;

    *out = NULL;
    if (!f) return fail(ST_NOMEM, "film: no memory");
    f->c = *c;
    f->begin = clock_seconds();
    f->pixels = malloc((size_t)(c->frames_per_block * VAE_PICTURES) * picture * sizeof *f->pixels);
    if (!f->pixels) {
        st = fail(ST_NOMEM, "pictures of a block");
        goto out;
    }
    TRY_OUT(digest_file(c->vae.path, f->vae_hash));
    TRY_OUT(vae_open(&f->vae, &c->vae));
    *out = f;
    f = NULL; /* handed over */
out:
    render_film_close(&f);
    return st;
}

static void leave_clip(struct render_film *f)
{
    clip_sink_close(&f->sink);
    render_about_free(&f->about);
    f->clip = NULL;
}

void render_film_close(struct render_film **film)
{
    struct render_film *const f = *film;

    if (!f) return;
    leave_clip(f);
    vae_close(&f->vae);
    free(f->pixels);
    free(f);
    *film = NULL;
}

static struct clip_sink_config sink_of(const struct render_film *f, const struct render_clip *clip,
                                       const struct clip_format *formats)
{
    const struct job *const job = clip->job;
    const struct clip_spec *const spec = clip->spec;
    struct clip_sink_config c = {
        .dir = clip->dir,
        .width = spec->width,
        .height = spec->height,
        .fps_num = (int)spec->fps.num,
        .fps_den = (int)spec->fps.den,
        .pictures = spec->pictures,
        .format = formats,
        .formats = job->output.formats,
        .preview = job->output.preview,
        .preview_columns = job->output.preview_columns,
        .about = &f->about.about,
    };

    if (job->output.latents) {
        c.latents.file = job->output.latents;
        c.latents.dtype = strcmp(job->output.latents_dtype, "f32") ? DT_BF16 : DT_F32;
        c.latents.frames = spec->blocks * f->c.frames_per_block;
        c.latents.height = f->c.vae.latent_h;
        c.latents.width = f->c.vae.latent_w;
    }
    return c;
}

static status begin_clip(struct render_film *f, const struct render_clip *clip)
{
    struct render_source_facts const facts = {
        .o = f->c.o,
        .precision = f->c.vae.precision == DT_F32 ? "f32" : "bf16",
        .weights_hash = f->c.weights_hash,
        .text_hash = f->c.text_hash,
        .vae_hash = f->vae_hash,
    };
    struct clip_format formats[JOB_FORMATS];
    struct clip_sink_config c;

    leave_clip(f);
    for (int i = 0; i < clip->job->output.formats; i++) {
        const struct format *const from = &clip->job->output.format[i];
        formats[i] = (struct clip_format){ .file = from->file,
                                           .codec = from->codec,
                                           .pix = from->pix,
                                           .preset = from->preset,
                                           .profile = from->profile,
                                           .crf = from->crf,
                                           .threads = from->threads };
    }
    f->clip = clip;
    if (path_exists(clip->dir)) {
        log_warn("%s: appeared in the meantime and stays; this clip is dropped", clip->dir);
        return ST_OK;
    }
    TRY(render_about_make(&f->about, clip, &facts));
    memset(f->spent, 0, sizeof f->spent);
    c = sink_of(f, clip, formats);
    TRY(clip_sink_open(&f->sink, &c));
    return vae_reset(f->vae);
}

static status end_clip(struct render_film *f)
{
    struct rusage usage;
    enum clip_outcome outcome;

    getrusage(RUSAGE_SELF, &usage);
    struct sidecar_run const run = {
        .wall = clock_seconds() - f->begin,
        .stage = stage_names,
        .stage_seconds = f->spent,
        .stages = STAGES,
        .peak_bytes = (int64_t)usage.ru_maxrss * 1024,
    };
    TRY(clip_sink_commit(f->sink, &run, &outcome));
    if (outcome == CLIP_THERE_ALREADY)
        log_warn("%s: somebody else finished it first; theirs stays", f->clip->dir);
    leave_clip(f);
    f->begin = clock_seconds(); /* of the next clip's time */
    return ST_OK;
}

static status film_block(struct render_film *f, const struct render_clip *clip, int64_t block,
                         const float *x0, int *pictures)
{
    int const frames = f->c.frames_per_block;
    double const start = clock_seconds();

    *pictures = 0;
    if (block == 0) TRY(begin_clip(f, clip));
    if (!f->sink) return ST_OK;
    TRY(vae_decode(f->vae, x0, frames, f->pixels, pictures));
    double const decoded = clock_seconds();
    f->spent[STAGE_DECODE] += decoded - start;
    TRY(clip_sink_pictures(f->sink, f->pixels, *pictures));
    TRY(clip_sink_latents(f->sink, x0, frames));
    f->spent[STAGE_ENCODE] += clock_seconds() - decoded;
    return block == clip->spec->blocks - 1 ? end_clip(f) : ST_OK;
}

status render_film_block(struct render_film *f, const struct render_clip *clip, int64_t block,
                         const float *x0, int *pictures)
{
    status const st = film_block(f, clip, block, x0, pictures);

    if (st == ST_OK) return ST_OK;
    return fail(st, "clip %s, block %lld: %s", clip->spec->name, (long long)block,
                error_last()->msg);
}
