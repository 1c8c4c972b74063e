/*
 * serve_internal.h - what the files of `serve` share. Private to cmd/serve.
 *
 *   database --> snapshot (JSON) --> page, metrics, API --> HTTP
 *
 * Whatever asks, and however often, the database is read once a second at most, what is slow to
 * read once a minute, and neither for more than a twentieth of the time: what is shown is so old
 * at most, or as old as the database is away. Lists of clips (/api/v1/clips/) alone are read when
 * they are asked for. One thread does it all, so nothing here is locked.
 */
#ifndef SERVE_INTERNAL_H
#define SERVE_INTERNAL_H

#include "base/strbuf.h"
#include "jobs/queue/queue.h"

#include <jansson.h>

/* ---- serve_roots.c -------------------------------------------------------------------------- */

/* The output folders that may be looked into; nothing outside them is ever opened. */
struct serve_roots {
    char **path; /* real paths */
    int count;
};

/* ST_FORMAT for one that is no folder. Whoever opens, closes. */
status serve_roots_open(struct serve_roots *r, char *const *paths, int count) MUST_USE;
void serve_roots_close(struct serve_roots *r); /* safe on a zeroed one; zeroes it */

/* The name of a finished clip's contact sheet, malloc'ed; NULL: it has none that may be shown. */
char *serve_sheet_name(const struct serve_roots *r, const char *folder);

/* Open a file of a clip's folder for reading: a plain file in one of the roots, reached by no link
 * that leads out of them, of at most `most` bytes. -1: it is not that. *size: its bytes. */
int serve_roots_file(const struct serve_roots *r, const char *folder, const char *name,
                     int64_t most, int64_t *size);

/* ---- serve_snapshot.c ----------------------------------------------------------------------- */

enum { SERVE_LIST = 100, SERVE_SHEETS = 24, SERVE_PACE_MS = 3600000, SERVE_PACES = 24 };

/* What the queue is, as docs/queue.md lists it under `/api/v1/status`. */
struct serve_snapshot {
    json_t *all;    /* the newest that was read */
    json_t *folder; /* of finished clips, by "job/clip/attempt": folder and sheet; never shown */
    /* clock_seconds(): of `all`, of the last try, of the parts that are slow to read */
    double taken, tried, slow_taken;
    double took, slow_took; /* seconds: the last try without these, and with, answered or not */
    bool away;              /* the database did not answer when it was last asked */
    char why[300];
};

/* Make it new where it is older than a second, or five after a failure. Slow parts that could not
 * be read are as they were, or empty. False: there is none, for want of memory or because the
 * queue has not answered yet. */
bool serve_snapshot_renew(struct serve_snapshot *s, struct queue *q, const struct serve_roots *r);
void serve_snapshot_free(struct serve_snapshot *s); /* safe on a zeroed one; zeroes it */

/* A finished clip's contact sheet, opened; -1: there is none in the snapshot. */
int serve_snapshot_sheet(const struct serve_snapshot *s, const struct serve_roots *r,
                         const char *key, int64_t *size);

/* Clips of a job from a number on, SERVE_LIST of them; NULL: no answer, or no memory. */
json_t *serve_clips(struct queue *q, int64_t job, int64_t from);

/* A whole number of a row; 0 where it has none. */
static inline int64_t serve_number(const json_t *row, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(row, key));
}

/* ---- serve_page.c, serve_style.c, serve_metrics.c ------------------------------------------- */

extern const char serve_style[]; /* the page's style sheet */
void serve_page_write(struct strbuf *to, const struct serve_snapshot *s, bool has_roots);

/* Prometheus' text format 0.0.4. */
void serve_metrics_write(struct strbuf *to, const struct serve_snapshot *s);

/* ---- serve_answer.c ------------------------------------------------------------------------- */

struct serve {
    struct queue *q;
    struct serve_roots roots;
    struct serve_snapshot now;
};

struct serve_answer {
    int code;
    const char *type;
    struct strbuf body;
    int fd; /* >= 0: the body is this file, of `size` bytes */
    int64_t size;
    int keep_s; /* a browser may keep it so long; 0: not at all */
};

/* What stands at a path, asked for by GET. Whoever is given it frees the body, or closes fd. */
void serve_answer_find(struct serve *s, const char *path, struct serve_answer *out);

/* ---- serve_http.c; without libmicrohttpd serve_http_stub.c ---------------------------------- */

struct serve_http;

/* Answer on HOST:PORT ([HOST]:PORT for IPv6; numbers, or localhost; port 0: one that is free) from
 * a thread of its own, until closed. *port: the one it is. ST_ARG for an address that is none;
 * ST_IO where it cannot listen. Whoever opens, closes. */
status serve_http_open(struct serve_http **out, struct serve *s, const char *listen,
                       int *port) MUST_USE;
void serve_http_close(struct serve_http **h); /* NULL is fine; sets NULL */

#endif /* SERVE_INTERNAL_H */
