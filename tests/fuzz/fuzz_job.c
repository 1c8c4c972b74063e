/* fuzz_job.c - any bytes as a job, as a model card and as a file of values. */
#include "jobs/spec/clip.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

enum { CLIPS = 200 }; /* more add time, not paths */

static const struct card card = { .name = "tiny",
                                  .path = "tiny.yaml",
                                  .step = { 1000, 500 },
                                  .steps = 2,
                                  .frames_per_block = 3,
                                  .attention_frames = 21 };

static bool is_small(const struct job *j)
{
    for (int i = 0; i < j->sweep.axes; i++)
        if (j->sweep.axis[i].path || j->sweep.axis[i].limit > CLIPS) return false;
    return true;
}

static void try_clips(struct job *j)
{
    struct clip_list clips;
    struct strbuf json = { 0 };

    if (!is_small(j)) return;
    if (j->sweep.max_clips > CLIPS) j->sweep.max_clips = CLIPS;
    if (clip_expand(&clips, j, &card, &(struct clip_options){ .model_id = "m" }) != ST_OK) return;
    for (int i = 0; i < clips.count; i++) {
        const struct clip_spec *const c = &clips.clip[i];
        if (!field_is_file_name(c->name) || c->pictures < 1) abort();
        if (clip_pictures(c->blocks, card.frames_per_block) < c->pictures) abort();
        for (int p = 0; p < c->prompts; p++)
            if (c->prompt[p].block >= c->blocks || !c->prompt[p].text) abort();
    }
    if (clip_json(&json, j, &card, &clips) != ST_OK) abort();
    strbuf_free(&json);
    clip_free(&clips);
}

static void try_values(const char *text, size_t size, const char *path)
{
    struct axis a = { .name = "x", .path = str_format("%s", path), .field = "t", .limit = 100 };

    if (a.path && axis_parse(&a, text, size) == ST_OK && a.count < 1) abort();
    axis_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *const text = size ? (const char *)data : "";
    struct job_file jobs;
    struct card c;

    if (job_parse(&jobs, text, size, "j.yaml") == ST_OK) {
        for (int i = 0; i < jobs.jobs; i++) try_clips(&jobs.job[i]);
        job_close(&jobs);
    }
    if (card_parse(&c, text, size, "c.yaml") == ST_OK) card_close(&c);
    try_values(text, size, "v.jsonl");
    try_values(text, size, "v.csv");
    return 0;
}
