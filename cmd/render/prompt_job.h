/* prompt_job.h - one sentence on the command line as a job. */
#ifndef PROMPT_JOB_H
#define PROMPT_JOB_H

#include "base/base.h"

/* What stands for the job file's name in messages; its paths are relative to where the program
 * was started. */
#define PROMPT_JOB_PATH "--prompt"

/* As written on the command line, NULL where it is not; the job's own reader judges the values. */
struct prompt_request {
    const char *text;
    const char *length; /* default 20s */
    const char *card, *size;
    const char *seed, *out; /* defaults 0 and the folder out */
};

/* ST_ARG if what belongs to --prompt is given without it. */
status prompt_request_check(const struct prompt_request *r) MUST_USE;

/*
 * The YAML of a job with one clip: clip.mp4, and contact.png with six pictures in a row. Its name
 * is made of the sentence's letters and digits; a name that is taken gets a number (on_exists:
 * version). Without a card it is that of $ROLLMILL_MODEL, else models/demo/card.yaml here, beside
 * the program, two folders above it (build/MODE/rollmill), or in ../share/rollmill of it. Without a
 * size it is the card's, else the job's default.
 *
 * ST_FORMAT with the places looked at if there is no model, or what the card's reader says.
 * Caller frees *out.
 */
status prompt_job_text(char **out, const struct prompt_request *r) MUST_USE;

#endif /* PROMPT_JOB_H */
