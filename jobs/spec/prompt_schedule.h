/* prompt_schedule.h - the times of a job's prompts, on blocks. */
#ifndef PROMPT_SCHEDULE_H
#define PROMPT_SCHEDULE_H

#include "jobs/spec/clip.h"

struct prompts {
    int64_t pictures, blocks;
    struct clip_prompt *prompt; /* as many as the job has; text NULL */
};

/* ST_FORMAT at the prompt: times that do not rise, that fall on one block, that lie
 * behind the end, a blend that runs into the next prompt, or (quantize: error) a time
 * inside a block. prompts_free when done, also after a failure. */
status prompts_make(struct prompts *out, const struct job *job, int frames_per_block) MUST_USE;
void prompts_free(struct prompts *s);

#endif /* PROMPT_SCHEDULE_H */
