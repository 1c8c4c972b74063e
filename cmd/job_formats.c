#include "cmd/job_formats.h"

struct clip_format job_format(const struct format *f)
{
    return (struct clip_format){ .file = f->file,
                                 .codec = f->codec,
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
