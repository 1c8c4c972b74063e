/* serve_answer.c - paths to answers: a table, and two kinds of path with numbers in them. */
#include "base/json_build.h"
#include "cmd/queue/queue_json.h"
#include "cmd/serve/serve_internal.h"
#include "jobs/yaml/yaml_value.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { OK = 200, NOT_FOUND = 404, AWAY = 503, KEEP_S = 3600 };

static const char json_type_text[] = "application/json", plain_text[] = "text/plain; charset=utf-8";

static void answer_in_words(struct serve_answer *out, int code, const char *words)
{
    out->code = code;
    out->type = plain_text;
    strbuf_free(&out->body);
    strbuf_addf(&out->body, "%s\n", words);
}

/* ---- JSON ---- */

static void answer_in_json(struct serve_answer *out, const json_t *value)
{
    out->type = json_type_text;
    (void)!json_append(&out->body, value, JSON_COMPACT | JSON_ENCODE_ANY); /* the body has failed */
}

/* Yesterday's numbers are no answer to a program. */
static void show_part(struct serve *s, const char *part, struct serve_answer *out)
{
    if (s->now.away) answer_in_words(out, AWAY, "the queue does not answer");
    else answer_in_json(out, part[0] ? json_object_get(s->now.all, part) : s->now.all);
}

/* "17" or "17/500": a job's number in the queue, and the first clip. */
static bool read_clips_path(const char *path, uint64_t *job, uint64_t *from)
{
    char text[48];

    if (strlen(path) >= sizeof text) return false;
    snprintf(text, sizeof text, "%s", path);
    char *const slash = strchr(text, '/');
    if (slash) *slash = '\0';
    *from = 0;
    return value_u64(text, job) && (!slash || value_u64(slash + 1, from)) && *job < INT64_MAX &&
           *from < INT32_MAX;
}

static void show_clips(struct serve *s, const char *path, struct serve_answer *out)
{
    uint64_t job, from;

    if (!read_clips_path(path, &job, &from)) {
        answer_in_words(out, NOT_FOUND, "clips/ID or clips/ID/FIRST");
        return;
    }
    json_t *const clips = s->now.away ? NULL : serve_clips(s->q, (int64_t)job, (int64_t)from);
    if (clips) answer_in_json(out, clips);
    else answer_in_words(out, AWAY, "the queue does not answer");
    json_decref(clips);
}

/* ---- the rest ---- */

static void show_page(struct serve *s, const char *rest, struct serve_answer *out)
{
    (void)rest;
    serve_page_write(&out->body, &s->now, s->roots.count > 0);
}

static void show_style(struct serve *s, const char *rest, struct serve_answer *out)
{
    (void)s, (void)rest;
    out->type = "text/css; charset=utf-8";
    out->keep_s = KEEP_S;
    strbuf_addf(&out->body, "%s", serve_style);
}

static void show_metrics(struct serve *s, const char *rest, struct serve_answer *out)
{
    (void)rest;
    out->type = "text/plain; version=0.0.4; charset=utf-8";
    serve_metrics_write(&out->body, &s->now);
}

static void show_sheet(struct serve *s, const char *key, struct serve_answer *out)
{
    static const unsigned char png[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    unsigned char head[8] = { 0 };

    out->fd = serve_snapshot_sheet(&s->now, &s->roots, key, &out->size);
    if (out->fd >= 0 && (pread(out->fd, head, sizeof head, 0) != (ssize_t)sizeof head ||
                         memcmp(head, png, sizeof png) != 0)) {
        close(out->fd);
        out->fd = -1;
    }
    if (out->fd < 0) {
        answer_in_words(out, NOT_FOUND, "there is no such contact sheet");
        return;
    }
    out->type = "image/png";
    out->keep_s = KEEP_S;
}

static const struct route {
    const char *path; /* ends in a slash: what follows is the function's */
    void (*show)(struct serve *s, const char *rest, struct serve_answer *out);
    const char *part; /* given to show; "": the whole snapshot; NULL: what follows the path is */
} routes[] = {
    { "/", show_page, NULL },
    { "/style.css", show_style, NULL },
    { "/metrics", show_metrics, NULL },
    { "/sheet/", show_sheet, NULL },
    { "/api/v1/clips/", show_clips, NULL },
    { "/api/v1/status", show_part, "" },
    { "/api/v1/jobs", show_part, "jobs" },
    { "/api/v1/worlds", show_part, "worlds" },
    { "/api/v1/owners", show_part, "owners" },
    { "/api/v1/running", show_part, "running" },
    { "/api/v1/failed", show_part, "failed" },
    { "/api/v1/finished", show_part, "finished" },
    { "/api/v1/pace", show_part, "pace" },
};

static bool path_fits(const struct route *r, const char *path)
{
    size_t const n = strlen(r->path);
    bool const open = n > 1 && r->path[n - 1] == '/';
    return open ? !strncmp(path, r->path, n) && path[n] : !strcmp(path, r->path);
}

void serve_answer_find(struct serve *s, const char *path, struct serve_answer *out)
{
    *out = (struct serve_answer){ .code = OK, .type = "text/html; charset=utf-8", .fd = -1 };
    if (!serve_snapshot_renew(&s->now, s->q, &s->roots)) {
        answer_in_words(out, AWAY, "the queue does not answer");
        return;
    }
    for (int i = 0; i < COUNT_OF(routes); i++) {
        const struct route *const r = &routes[i];
        if (!path_fits(r, path)) continue;
        r->show(s, r->part ? r->part : path + strlen(r->path), out);
        return;
    }
    answer_in_words(out, NOT_FOUND, "there is nothing here");
}
