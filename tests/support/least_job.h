/* least_job.h - the least job that is allowed, in parts, and a card for it. */
#ifndef LEAST_JOB_H
#define LEAST_JOB_H

#include "jobs/spec/clip.h"

#define HEAD "render: 1\nname: a\nmodel: m.yaml\n"
#define TEXT "prompt: sea\n"
#define CLIP "clip: {length: 10s}\n"
#define BASE HEAD TEXT CLIP /* five lines */

static inline struct card test_card(void)
{
    return (struct card){ .name = "tiny",
                          .step = { 1000, 500 },
                          .steps = 2,
                          .warp = true,
                          .shift = 5,
                          .frames_per_block = 3,
                          .window = WINDOW_ROLLING,
                          .attention_frames = 21,
                          .sink_frames = 3 };
}

#endif /* LEAST_JOB_H */
