/*
 * opts.h - one table of options per command: it parses, prints --help, and
 * prints the values in force.
 *
 * Options are long: `--name VALUE` or `--name=VALUE`; a flag takes no value.
 * `--` ends them. What `to` points to holds the default before the call.
 */
#ifndef OPTS_H
#define OPTS_H

#include "base/base.h"

enum opt_type {
    OPT_FLAG,   /* bool *: set to true            */
    OPT_INT,    /* int *: min..max                */
    OPT_TEXT,   /* const char **: as given        */
    OPT_CHOICE, /* const char **: one of `choices`, or NULL if it was not given */
};

struct opt {
    const char *name; /* without the dashes */
    enum opt_type type;
    void *to;
    const char *value;   /* the word for the value in --help: "FILE"; NULL for a flag */
    const char *help;    /* one line */
    int min, max;        /* OPT_INT */
    const char *choices; /* OPT_CHOICE: "ref|cpu" */
};

struct opts {
    const char *usage; /* "render JOB.yaml... [options]" */
    const char *about; /* some lines for --help, each ended by a newline; may be NULL */
    const struct opt *table;
    int count;
};

/* Parse argv[1..argc-1]. Positional arguments are moved to the front of argv,
 * from argv[1] on, and *argc becomes their number + 1. With --help the help is
 * printed on stdout and *help is true: the command has nothing more to do.
 * ST_ARG names the option, the value found and what is allowed. */
status opts_parse(const struct opts *o, int *argc, char **argv, bool *help) MUST_USE;

/* One line on stderr: the command and every option's value in force. */
void opts_print(const struct opts *o);

/* A row for those who make ids: `words` becomes "sampled" or "full". */
#define HASH_OPTION(words)                                                                         \
    {                                                                                              \
        "hash", OPT_CHOICE, &(words),                                                              \
            .value = "HOW",                                                                        \
            .help =                                                                                \
                "what the ids have of the model's files: of large ones samples, or all bytes, "    \
                "which are read once and remembered",                                              \
            .choices = "sampled|full"                                                              \
    }

#endif /* OPTS_H */
