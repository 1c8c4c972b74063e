#include "pipeline/engine/job_encoders.h"
#include "base/log.h"
#include "pipeline/engine/output_formats.h"

static status find_out(struct job_encoders *e, const struct job *job, const struct format *f)
{
    struct video_config c = job_format(job, f);
    struct codec_choice choice;

    c.encoder = CODEC_NVENC;
    TRY(codec_choose(&choice, &c)); /* a card's would take the file, if there were one */
    if (!e->known) codec_probe(&e->probe, choice.codec, CODEC_NVENC);
    e->known = true;
    if (e->probe.opens) return ST_OK;
    return fail(ST_DEVICE, "%s: encoder: nvenc: %s", f->file, e->probe.why);
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
