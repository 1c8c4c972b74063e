#include "pipeline/engine/output_formats.h"

struct video_config job_format(const struct job *job, const struct format *f)
{
    return (struct video_config){
        .path = f->file,
        .codec = f->codec,
        .encoder = f->encoder == FORMAT_NVENC ? CODEC_NVENC : CODEC_CPU,
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
