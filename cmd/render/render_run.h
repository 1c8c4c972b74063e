/*
 * render_run.h - a render as a command: the options that all who render have, a world of ranks,
 * what a person sees of it, and how it is stopped. Where the clips come from is the caller's.
 */
#ifndef RENDER_RUN_H
#define RENDER_RUN_H

#include "cmd/backend.h"
#include "pipeline/engine/engine.h"

/* As the options give it. */
struct render_request {
    struct backend_request backend;
    const char *text, *precision, *aim, *cache, *trace, *report, *events, *metrics;
    int ranks, per_line, decode, threads, deadline, stall, cache_mib;
    bool no_cache, cross_nodes, no_resume, fail_fast, openjd;
    char *home_cache; /* where `cache` points if nothing is said */
    char *hashes;     /* where hashes of whole files are kept; NULL: nowhere */
};

/* Fill in what stands if nothing is said. Whoever begins, ends. */
void render_request_begin(struct render_request *w);
void render_request_end(struct render_request *w);

/* Rows of an option table, which fill w, in the order of --help. */
#define RENDER_OPTIONS(w)                                                                          \
    BACKEND_OPTIONS((w).backend), render_option(&(w), 0), render_option(&(w), 1),                  \
        render_option(&(w), 2), render_option(&(w), 3), render_option(&(w), 4),                    \
        render_option(&(w), 5), render_option(&(w), 6), render_option(&(w), 7),                    \
        render_option(&(w), 8), render_option(&(w), 9), render_option(&(w), 10),                   \
        render_option(&(w), 11), render_option(&(w), 12), render_option(&(w), 13),                 \
        render_option(&(w), 14), render_option(&(w), 15), render_option(&(w), 16),                 \
        render_option(&(w), 17), render_option(&(w), 18)
struct opt render_option(struct render_request *w, int row);

/* ST_ARG for options that do not go together. */
status render_request_check(const struct render_request *w) MUST_USE;

/* "f32" or "bf16" to overrule the jobs; NULL: as they say. */
const char *render_precision(const struct render_request *w);

/* The clips. Rank 0 alone calls open and close, on its own thread. */
struct render_work {
    status (*open)(void *arg, const struct engine_options *o, struct work_source *out,
                   int64_t *clips /* known */);
    void (*close)(void *arg);
    void *arg;
    const char *same;    /* what else must be alike on all ranks, lines */
    const char *stopped; /* said after a stop; NULL: nothing */
    int ahead;           /* clips taken from the source that have not begun, at most */
    bool ends_itself;    /* a stop while a model is loaded does not just end the process of rank 0:
                         the work does, once it has handed back what it holds */
};

/* Render until the source has no more. ST_CANCELED after a stop. Clips that fail alone are counted.
 * *out is the same on all ranks. */
status render_run(const struct render_request *w, const struct render_work *work,
                  struct engine_result *out) MUST_USE;

/* From now on SIGINT, SIGTERM, SIGHUP and SIGUSR1 ask for a stop (exit code 75). Call it first in
 * a command. */
void render_catch_signals(void);

/* From any thread: ask for a stop, as a signal does. */
void render_stop(void);

/* Was one asked for? Is a model being loaded, with nothing in work? */
bool render_stop_asked(void);
bool render_is_loading(void);
/* Since a stop, have the clips in work had their grace? */
bool render_is_overdue(void);

#endif /* RENDER_RUN_H */
