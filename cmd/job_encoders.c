/* job_encoders.c - `encoder: auto` becomes cpu or nvenc: the card's encoder is tried once. */
#include "cmd/job_encoders.h"
#include "base/log.h"

/* The file by a card's encoder, if there were one that opens. */
static struct video_config by_nvenc(const struct job *job, const struct format *f)
{
    return (struct video_config){
        .path = f->file,
        .codec = f->codec,
        .encoder = CODEC_NVENC,
        .pix = f->pix,
        .has_crf = f->crf >= 0,
        .crf = f->crf,
        .preset = f->preset,
        .profile = f->profile,
        .threads = f->threads,
        .width = job->clip.width,
        .height = job->clip.height,
        .fps_num = (int)job->clip.fps.num,
        .fps_den = (int)job->clip.fps.den,
    };
}

static status find_out(struct job_encoders *e, const struct job *job, const struct format *f)
{
    struct video_config const c = by_nvenc(job, f);
    struct codec_choice choice;

    TRY(codec_choose(&choice, &c));
    if (!e->known) codec_probe(&e->probe, choice.codec, CODEC_NVENC);
    e->known = true;
    if (e->probe.opens) return ST_OK;
    return fail(ST_DEVICE, "%s: encoder: nvenc: %s", f->file, e->probe.why);
}

static void settle_auto(struct format *f, status found)
{
    f->encoder = found == ST_OK ? CLIP_ENCODER_NVENC : CLIP_ENCODER_CPU;
    if (found == ST_OK) log_info("%s: encoder auto is nvenc", f->file);
    else log_info("encoder auto is cpu: %s", error_last()->msg);
    error_clear();
}

status job_encoders_settle(struct job_encoders *e, struct job *job)
{
    for (int i = 0; i < job->output.formats; i++) {
        struct format *const f = &job->output.format[i];
        if (f->encoder == CLIP_ENCODER_CPU) continue;
        status const st = find_out(e, job, f);
        if (f->encoder == CLIP_ENCODER_AUTO) settle_auto(f, st);
        else TRY(st);
    }
    return ST_OK;
}
