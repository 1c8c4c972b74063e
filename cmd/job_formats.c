#include "cmd/job_formats.h"
#include "base/log.h"

#include <string.h>

struct clip_format job_format(const struct format *f)
{
    return (struct clip_format){ .file = f->file,
                                 .codec = f->codec,
                                 .encoder = f->encoder == FORMAT_NVENC ? CODEC_NVENC : CODEC_CPU,
                                 .pix = f->pix,
                                 .preset = f->preset,
                                 .profile = f->profile,
                                 .crf = f->crf,
                                 .threads = f->threads };
}

unsigned job_formats_set(const struct job *job)
{
    unsigned set = 0;

    for (int i = 0; i < job->output.formats; i++) {
        enum pix p;
        if (pix_from_name(&p, job->output.format[i].pix)) set |= 1u << p;
    }
    return set;
}

int64_t job_formats_bytes(const struct job *job)
{
    return pixels_layout(job->clip.width, job->clip.height, job_formats_set(job)).bytes;
}

static const struct codec *codec_of(const struct format *f)
{
    int i = 0;

    while (strcmp(codec_at(i)->name, f->codec) != 0) i++; /* jobs have no others */
    return codec_at(i);
}

/* Would a card take the file, if there were one? */
static status takes(const struct job *job, const struct format *f)
{
    struct codec_choice choice;

    return codec_choose(&choice, &(struct video_config){
                                     .path = f->file,
                                     .codec = f->codec,
                                     .encoder = CODEC_NVENC,
                                     .pix = f->pix,
                                     .preset = f->preset,
                                     .has_crf = f->crf >= 0,
                                     .crf = f->crf,
                                     .width = job->clip.width,
                                     .height = job->clip.height,
                                     .fps_num = (int)job->clip.fps.num,
                                     .fps_den = (int)job->clip.fps.den,
                                 });
}

static status find_out(struct job_encoders *e, const struct job *job, const struct format *f)
{
    TRY(takes(job, f));
    if (!e->known) {
        codec_probe(&e->probe, codec_of(f), CODEC_NVENC);
        e->known = true;
        e->opens = e->probe.opens;
    }
    return e->opens ? ST_OK : fail(ST_DEVICE, "%s: encoder: nvenc: %s", f->file, e->probe.why);
}

static void settle_auto(struct format *f, status found)
{
    f->encoder = found == ST_OK ? FORMAT_NVENC : FORMAT_CPU;
    if (found == ST_OK) log_info("%s: encoder auto is nvenc", f->file);
    else log_info("encoder auto is cpu: %s", error_last()->msg);
    error_clear();
}

status job_encoders_settle(struct job_encoders *e, struct job *job)
{
    for (int i = 0; i < job->output.formats; i++) {
        struct format *const f = &job->output.format[i];
        if (f->encoder == FORMAT_CPU) continue;
        status const st = find_out(e, job, f);
        if (f->encoder == FORMAT_AUTO) settle_auto(f, st);
        else TRY(st);
    }
    return ST_OK;
}
