/* clip_json.h - an expanded job as JSON, for `check --json` and for records. */
#ifndef CLIP_JSON_H
#define CLIP_JSON_H

#include "base/strbuf.h"
#include "jobs/spec/clip.h"

/* Append one object: the job, its files, and every clip with its blocks, prompts and
 * ids (null without). Seeds stand as text, for they go beyond what JSON readers hold. */
status clip_json(struct strbuf *out, const struct job *job, const struct card *card,
                 const struct clip_list *clips) MUST_USE;

#endif /* CLIP_JSON_H */
