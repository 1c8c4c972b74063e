/* spec_internal.h - what the files of jobs/spec share: templates, sweeps, the keys of a job, the
 * times of its prompts. */
#ifndef SPEC_INTERNAL_H
#define SPEC_INTERNAL_H

#include "base/json_build.h"
#include "base/strbuf.h"
#include "jobs/spec/axis.h"
#include "jobs/spec/clip.h"
#include "jobs/spec/job.h"
#include "jobs/yaml/yaml_tree.h"

/* ---- template.c ---- */

/* Text with places for variables: {name}, {index:05d}.
 *
 * `:0Nd` pads a number with zeros to N digits, 1 to 20. {{ and }} stand for the braces
 * themselves. What a variable brings in is text and is not looked at again. */

struct template_var {
    const char *name, *text;
};

struct template_text {
    const char *text;
    const struct tree_node *node; /* where errors are reported */
    const struct template_var *var;
    int vars;
    bool file_name; /* make what variables bring in fit for a file name: every run of
                       characters other than A-Z a-z 0-9 . _ - becomes one - */
    size_t most;    /* bytes of the result */
};

/* Append the expanded text to `out`. ST_FORMAT at the node: an unknown variable, a
 * lone brace, a width on what is no number, a result that is too long. */
status template_expand(const struct template_text *t, struct strbuf *out) MUST_USE;

/* Does it use this variable? */
bool template_uses(const char *text, const char *name);

/* ---- axis_text.c ---- */

/* Take out of a value what the cleaning of prompts takes out: terminal escapes, control and other
 * invisible characters. In place; returns the bytes that are left. */
size_t axis_text_clean(char *s, size_t len);

/* A line of JSON with another form of what JSON has not but is written all the same: a whole
 * number of more than 18 digits as a string, NaN, infinities and numbers with an exponent as null.
 * malloc'ed; NULL without memory. */
char *axis_text_mend_json(const char *line, size_t len);

/* ---- sweep.c ---- */

/* How the axes of a sweep combine: "seed * place * (steps, shift)".
 *
 * `*` is the product, the last factor running fastest; `( , )` walks axes of equal
 * length side by side. Every axis stands in it exactly once. */

enum { SWEEP_PARTS = 64, SWEEP_CLIPS = 200000 };

/* A part of the expression: an axis (axis >= 0), a product or a zip of parts. */
struct sweep_part {
    int axis;
    bool zip;
    int first, next; /* parts, -1: none */
    int64_t count;   /* of combinations, at most SWEEP_CLIPS */
};

struct sweep {
    struct sweep_part part[SWEEP_PARTS];
    int parts, root; /* root -1: no axes, one combination */
};

/* Parse `combine`, or NULL for the product of all axes in their order. Axes must be
 * loaded. ST_FORMAT at `node`. */
status sweep_make(struct sweep *out, const struct tree_node *node, const char *combine,
                  const struct axis *axis, int axes) MUST_USE;

int64_t sweep_count(const struct sweep *s); /* at least 1 */

/* The value of every axis in combination i: `value[axis]` is a place in axis.value. */
void sweep_pick(const struct sweep *s, int64_t i, int value[AXIS_COUNT]);

/* ---- lora.c ---- */

extern const struct field_table lora_table; /* an entry of the list */

/* The entries of `list` (NULL: none), paths behind the folder of its file. What is read before a
 * failure is counted; whoever reads, frees. */
status lora_read(const struct tree_node *list, struct model_lora **lora, int *count) MUST_USE;

/* Copies of n more behind the others; likewise. */
status lora_add(struct model_lora **lora, int *count, const struct model_lora *from,
                int n) MUST_USE;

/* ---- job_keys.c ---- */

/* The key tables of a job, and where job.c finds what they read. */

/* What is read before it is held together. */
struct job_draft {
    struct job job;
    int version, only; /* only: of choices of one word */
    const char *model, *dir;
    const struct tree_node *prompt, *prompts, *axes, *formats, *lora, *after;
    int choice[CLIP_NUMERICS]; /* of `numerics`: place among the choices, from 0 */
};

/* What a missing key means. */
extern const struct job_draft job_defaults;

extern const struct field_table job_table;        /* reads into a struct job_draft */
extern const struct field_table job_prompt_table; /* reads into a struct job_prompt */
extern const struct field_table job_after_table;  /* reads into a struct job_after */

/* ---- start.c ---- */

extern const struct field_table start_table;                     /* reads into a struct job_start */
status start_read(const struct tree_node *n, void *to) MUST_USE; /* a FIELD_READ of one */

/* Sets all but the file of the clip's start; its blocks are set. ST_FORMAT at the key: a model not
 * made for it, too little of a video, nothing left to render. */
status start_check(const struct job *job, const struct card *card, struct clip_spec *c) MUST_USE;
/* Sets its hash. ST_FORMAT if the file is not there. */
status start_hash(const struct job *job, struct clip_spec *c) MUST_USE;

/* ---- window.c ---- */

/* What a block attends to, as a card says it, and a job over it. */
struct window_keys {
    int kind, attention_frames, sink_frames, sink_policy, sink_positions, policy;
    const struct tree_node *static_heads, *key[KV_KEYS_COUNT]; /* the policy's own */
};
extern const struct window_keys window_unsaid;
extern const struct field_table window_table; /* of a card */

/* A FIELD_READ of a card's: to is a struct window_keys *. */
status window_read(const struct tree_node *n, void *to) MUST_USE;

/* What was said goes over what the card has, and all of it must fit together. n: the map. A policy
 * brings its usual numbers. ST_FORMAT at the key that is wrong. */
status window_take(const struct tree_node *n, const struct window_keys *w, struct card *c) MUST_USE;

/* The same of a job's map, in which every key may be left out and `policy: usual` is the window's
 * own. */
status window_change(const struct tree_node *n, struct card *c) MUST_USE;

/* ---- prompt_schedule.c ---- */

/* The times of a job's prompts, on blocks. */

struct prompts {
    int64_t pictures, blocks;
    struct clip_prompt *prompt; /* as many as the job has; text NULL */
};

/* ST_FORMAT at the prompt: times that do not rise, that fall on one block, that lie
 * behind the end, a blend that runs into the next prompt, or (quantize: error) a time
 * inside a block. prompts_free when done, also after a failure. */
status prompts_make(struct prompts *out, const struct job *job, const struct card *card) MUST_USE;
void prompts_free(struct prompts *s);

/* ---- clip_id.c ---- */

/* A map of what is asked, which may be empty; NULL without memory. */
json_t *numerics_json(const struct clip_numerics *n);

/* ---- spec_table.c ---- */

/* The keys of a struct's JSON: a row names a key, says where its value is and what is allowed. */

enum spec_type {
    SPEC_TEXT,     /* char *, min bytes at least */
    SPEC_MAY_TEXT, /* the same; null or left out: NULL */
    SPEC_CHARS,    /* char[max]: max - 1 bytes at most, may be empty */
    SPEC_INT,      /* int, min..max */
    SPEC_INT64,    /* int64_t, min..max */
    SPEC_U64,      /* uint64_t, as text */
    SPEC_BOOL,
    SPEC_REAL,   /* double; its range is checked with the rest */
    SPEC_CHOICE, /* an enum from 0: the place of the word in `allowed` */
    SPEC_REALS,  /* double[max], min..max of them; count is int */
    SPEC_LIST,   /* a malloc'ed array of structs, min..max of them; count is int */
};

struct spec_table;

struct spec_key {
    const char *name;
    enum spec_type type;
    size_t at, count; /* offsets of the value; of the number of items */
    int64_t min, max;
    const char *allowed;
    const struct spec_table *item;
};

struct spec_table {
    const struct spec_key *key;
    int keys;
    size_t size; /* of the struct */
};

/* ST_FORMAT beginning with `what`; ST_NOMEM. */
status spec_table_write(struct strbuf *out, const char *what, const struct spec_table *t,
                        const void *from) MUST_USE;
/* Into a zeroed struct, which owns what was read also after a failure. ST_FORMAT. */
status spec_table_read(const struct spec_table *t, const char *json, size_t len, void *to) MUST_USE;

#endif /* SPEC_INTERNAL_H */
