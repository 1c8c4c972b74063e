/*
 * serve_page.c - the snapshot as one page without scripts; it comes anew every ten seconds.
 *
 * What users, hosts or failing libraries wrote goes through add_text alone: escaped, in an element
 * of its own direction, control characters replaced.
 */
#include "base/clock.h"
#include "cmd/queue/queue_json.h"
#include "cmd/serve/serve_internal.h"

#include <string.h>
#include <time.h>

enum { JOBS_SHOWN = 100 };

/* ---- texts and numbers ---- */

static int64_t number_of(const json_t *row, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(row, key));
}

static const char *text_of(const json_t *row, const char *key)
{
    const char *const t = json_string_value(json_object_get(row, key));
    return t ? t : "";
}

static void add_escaped(struct strbuf *to, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '&': strbuf_addf(to, "&amp;"); break;
        case '<': strbuf_addf(to, "&lt;"); break;
        case '>': strbuf_addf(to, "&gt;"); break;
        case '"': strbuf_addf(to, "&quot;"); break;
        case '\'': strbuf_addf(to, "&#39;"); break;
        case '\n': strbuf_addf(to, "\n"); break;
        default:
            if ((unsigned char)*text < ' ' || *text == 0x7f) strbuf_addf(to, " ");
            else strbuf_add(to, text, 1);
        }
    }
}

static void add_text(struct strbuf *to, const char *text)
{
    strbuf_addf(to, "<bdi>");
    add_escaped(to, text);
    strbuf_addf(to, "</bdi>");
}

static void add_span(struct strbuf *to, int64_t ms)
{
    long long const s = (long long)ms / 1000;

    if (s < 120) strbuf_addf(to, "%lld s", s);
    else if (s < 7200) strbuf_addf(to, "%lld min", s / 60);
    else if (s < 172800) strbuf_addf(to, "%lld h", s / 3600);
    else strbuf_addf(to, "%lld d", s / 86400);
}

static struct tm local_time(int64_t ms)
{
    time_t const t = (time_t)(ms / 1000);
    struct tm at = { 0 };

    (void)localtime_r(&t, &at);
    return at;
}

static void add_hour(struct strbuf *to, int64_t ms)
{
    struct tm const at = local_time(ms);
    strbuf_addf(to, "%02d:%02d", at.tm_hour, at.tm_min);
}

static void add_date(struct strbuf *to, int64_t ms)
{
    struct tm const at = local_time(ms);
    strbuf_addf(to, "%d-%02d-%02d %02d:%02d:%02d", at.tm_year + 1900, at.tm_mon + 1, at.tm_mday,
                at.tm_hour, at.tm_min, at.tm_sec);
}

static void add_heading(struct strbuf *to, const char *title, const json_t *list, size_t most)
{
    strbuf_addf(to, "<h2>%s</h2>\n", title);
    if (json_array_size(list) >= most) strbuf_addf(to, "<p class=soft>The first %zu.</p>\n", most);
}

/* "job-0a1b2c3d/17", with the values of the sweep's axes under it. */
static void add_clip_name(struct strbuf *to, const json_t *clip)
{
    const char *const values = text_of(clip, "values");

    add_text(to, text_of(clip, "job"));
    strbuf_addf(to, "/%lld", (long long)number_of(clip, "clip"));
    if (number_of(clip, "attempt") > 1)
        strbuf_addf(to, " <small>attempt %lld</small>", (long long)number_of(clip, "attempt"));
    if (!values[0] || !strcmp(values, "{}")) return;
    strbuf_addf(to, "<br><small>");
    add_text(to, values);
    strbuf_addf(to, "</small>");
}

/* ---- the parts ---- */

static void write_sums(struct strbuf *to, const json_t *all)
{
    static const struct {
        const char *key, *word;
    } sums[] = { { "running", "clips running" },
                 { "ready", "waiting" },
                 { "done", "done" },
                 { "failed", "failed" } };
    size_t i;
    json_t *job;

    strbuf_addf(to, "<ul class=sums>\n");
    for (int k = 0; k < COUNT_OF(sums); k++) {
        int64_t n = 0;
        json_array_foreach(json_object_get(all, "jobs"), i, job) n += number_of(job, sums[k].key);
        strbuf_addf(to, "<li><b>%lld</b> %s\n", (long long)n, sums[k].word);
    }
    strbuf_addf(to, "<li><b>%zu</b> worlds\n</ul>\n",
                json_array_size(json_object_get(all, "worlds")));
}

static void write_running_clip(struct strbuf *to, const json_t *c)
{
    long long const made = number_of(c, "blocks_done"), all = number_of(c, "blocks");

    strbuf_addf(to, "<tr><td>");
    add_clip_name(to, c);
    strbuf_addf(to, "<td>");
    if (json_is_true(json_object_get(c, "in_line")))
        strbuf_addf(to, "<progress max=%lld value=%lld></progress>", all, made);
    else strbuf_addf(to, "<span class=soft>waits for its turn</span>");
    strbuf_addf(to, "<td class=n>%lld of %lld<td class=n>", made, all);
    if (json_is_integer(json_object_get(c, "eta_ms"))) add_span(to, number_of(c, "eta_ms"));
    else strbuf_addf(to, "&ndash;");
    strbuf_addf(to, "<td class=wide>");
    add_text(to, text_of(c, "host"));
    strbuf_addf(to, " <small>world %lld</small>\n", (long long)number_of(c, "world"));
}

static void write_running(struct strbuf *to, const json_t *all)
{
    const json_t *const list = json_object_get(all, "running");
    size_t i;
    json_t *c;

    add_heading(to, "Running", list, SERVE_LIST);
    if (!json_array_size(list)) {
        strbuf_addf(to, "<p class=soft>No clip is in work.</p>\n");
        return;
    }
    strbuf_addf(to, "<table><thead><tr><th>clip<th><th class=n>blocks<th class=n>left<th "
                    "class=wide>on</thead><tbody>\n");
    json_array_foreach(list, i, c) write_running_clip(to, c);
    strbuf_addf(to, "</tbody></table>\n");
}

static void write_job(struct strbuf *to, const json_t *j)
{
    long long const clips = number_of(j, "clips"), done = number_of(j, "done");

    strbuf_addf(to, "<tr><td>");
    add_text(to, text_of(j, "job"));
    strbuf_addf(to, "<td class=\"%s\">%s", text_of(j, "state"), text_of(j, "state"));
    strbuf_addf(to, "<td class=n>%lld of %lld", done, clips);
    strbuf_addf(to, "<td class=wide><progress max=%lld value=%lld></progress>", clips ? clips : 1,
                done);
    strbuf_addf(to,
                "<td class=\"n wide\">%lld<td class=\"n%s\">%lld<td class=\"n wide\">%lld<td "
                "class=wide>",
                (long long)number_of(j, "running"), number_of(j, "failed") ? " failed" : "",
                (long long)number_of(j, "failed"), (long long)number_of(j, "priority"));
    add_text(to, text_of(j, "owner"));
    strbuf_addf(to, "\n");
}

/* Open jobs first, then those that are closed, the newest first. */
static void write_jobs(struct strbuf *to, const json_t *all)
{
    const json_t *const list = json_object_get(all, "jobs");
    size_t const n = json_array_size(list);
    size_t shown = 0;

    strbuf_addf(to, "<h2>Jobs</h2>\n");
    if (!n) {
        strbuf_addf(to, "<p class=soft>No jobs. <code>rollmill submit</code> brings one.</p>\n");
        return;
    }
    if (n > JOBS_SHOWN) strbuf_addf(to, "<p class=soft>%d of %zu.</p>\n", JOBS_SHOWN, n);
    strbuf_addf(to, "<table><thead><tr><th>job<th>state<th class=n>done<th class=wide><th "
                    "class=\"n wide\">running<th class=n>failed<th class=\"n wide\">priority<th "
                    "class=wide>owner</thead><tbody>\n");
    for (int closed = 0; closed < 2; closed++)
        for (size_t i = 0; i < n && shown < JOBS_SHOWN; i++) {
            const json_t *const j = json_array_get(list, n - 1 - i);
            if ((number_of(j, "closed_ms") > 0) != closed) continue;
            write_job(to, j);
            shown++;
        }
    strbuf_addf(to, "</tbody></table>\n");
}

static void write_worlds(struct strbuf *to, const json_t *all)
{
    const json_t *const list = json_object_get(all, "worlds");
    size_t i;
    json_t *w;

    strbuf_addf(to, "<h2>Worlds</h2>\n");
    if (!json_array_size(list)) {
        strbuf_addf(to, "<p class=soft>No world works on this queue.</p>\n");
        return;
    }
    strbuf_addf(to,
                "<table><thead><tr><th>world<th>host<th class=n>clips<th class=n>heard of<th><th "
                "class=wide>model</thead><tbody>\n");
    json_array_foreach(list, i, w)
    {
        bool const silent = json_is_true(json_object_get(w, "silent"));
        strbuf_addf(to, "<tr><td>%lld<td>", (long long)number_of(w, "world"));
        add_text(to, text_of(w, "host"));
        strbuf_addf(to, "<td class=n>%lld<td class=n>", (long long)number_of(w, "clips"));
        add_span(to, number_of(w, "silent_ms"));
        strbuf_addf(to, " ago<td class=silent>%s<td class=wide>",
                    silent                                      ? "silent"
                    : json_is_true(json_object_get(w, "drain")) ? "drains"
                                                                : "");
        add_text(to, text_of(w, "group"));
        strbuf_addf(to, "\n");
    }
    strbuf_addf(to, "</tbody></table>\n");
}

static void write_failed(struct strbuf *to, const json_t *all)
{
    const json_t *const list = json_object_get(all, "failed");
    size_t i;
    json_t *c;

    if (!json_array_size(list)) return;
    add_heading(to, "Failed", list, SERVE_LIST);
    strbuf_addf(to, "<table><thead><tr><th>clip<th>why<th class=n>ended</thead><tbody>\n");
    json_array_foreach(list, i, c)
    {
        strbuf_addf(to, "<tr><td>");
        add_clip_name(to, c);
        strbuf_addf(to, "<td><span class=failed>");
        add_text(to, text_of(c, "end"));
        strbuf_addf(to, "</span> on ");
        add_text(to, text_of(c, "host"));
        strbuf_addf(to, "<pre>");
        add_text(to, text_of(c, "message"));
        strbuf_addf(to, "</pre><td class=n>");
        add_span(to, number_of(all, "now_ms") - number_of(c, "ended_ms"));
        strbuf_addf(to, " ago\n");
    }
    strbuf_addf(to, "</tbody></table>\n");
}

/* ---- pictures a second, hour by hour ---- */

static double pace_of(const json_t *list, int64_t from, int64_t span)
{
    size_t i;
    json_t *p;

    json_array_foreach(list, i, p) if (number_of(p, "from_ms") ==
                                       from) return (double)number_of(p, "pictures") *
        1000 / (double)span;
    return 0;
}

static void write_bars(struct strbuf *to, const json_t *list, int64_t first, int64_t span,
                       double most)
{
    strbuf_addf(to, "<svg viewBox=\"0 0 240 60\" preserveAspectRatio=none role=img "
                    "aria-label=\"pictures a second, by hour\">\n");
    for (int i = 0; i < SERVE_PACES; i++) {
        int64_t const from = first + i * span;
        double const pace = pace_of(list, from, span), height = pace > 0 ? 1 + 58 * pace / most : 0;
        strbuf_addf(to, "<rect x=\"%d\" y=\"%.1f\" width=\"9\" height=\"%.1f\"><title>", i * 10,
                    60 - height, height);
        add_hour(to, from);
        strbuf_addf(to, ": %.2f pictures a second</title></rect>\n", pace);
    }
    strbuf_addf(to, "</svg>\n");
}

static void write_pace(struct strbuf *to, const json_t *all)
{
    const json_t *const list = json_object_get(all, "pace");
    int64_t const span = number_of(all, "pace_span_ms"), now = number_of(all, "now_ms");
    int64_t const first = (now / span - SERVE_PACES + 1) * span;
    double most = 0;

    for (int i = 0; i < SERVE_PACES; i++) {
        double const pace = pace_of(list, first + i * span, span);
        if (pace > most) most = pace;
    }
    strbuf_addf(to, "<h2>Pictures a second, by the hour in which their clips ended</h2>\n");
    if (most <= 0) {
        strbuf_addf(to, "<p class=soft>No clip has ended in the last 24 hours.</p>\n");
        return;
    }
    strbuf_addf(to, "<div class=pace>");
    write_bars(to, list, first, span, most);
    strbuf_addf(to, "<p><span>");
    add_hour(to, first);
    strbuf_addf(to, "</span><span>highest %.2f</span><span>this hour</span></p></div>\n", most);
}

/* ---- contact sheets ---- */

static void write_finished(struct strbuf *to, const json_t *all, bool has_roots)
{
    const json_t *const list = json_object_get(all, "finished");
    size_t i;
    json_t *c;

    strbuf_addf(to, "<h2>Finished</h2>\n");
    if (!json_array_size(list)) strbuf_addf(to, "<p class=soft>No clip yet.</p>\n");
    else if (!has_roots)
        strbuf_addf(to, "<p class=soft>Contact sheets are shown of the output folders that "
                        "<code>rollmill serve</code> is given.</p>\n");
    strbuf_addf(to, "<ul class=film>\n");
    json_array_foreach(list, i, c)
    {
        const char *const sheet = text_of(c, "sheet");
        strbuf_addf(to, "<li>");
        if (sheet[0]) strbuf_addf(to, "<img loading=lazy alt=\"contact sheet\" src=\"%s\">", sheet);
        add_clip_name(to, c);
        strbuf_addf(to, "<br><small>");
        add_span(to, number_of(all, "now_ms") - number_of(c, "ended_ms"));
        strbuf_addf(to, " ago, %lld pictures, ", (long long)number_of(c, "pictures"));
        add_text(to, text_of(c, "host"));
        strbuf_addf(to, "</small>\n");
    }
    strbuf_addf(to, "</ul>\n");
}

/* ---- the page ---- */

static void write_head(struct strbuf *to, const struct serve_snapshot *s)
{
    strbuf_addf(to, "<!doctype html>\n<html lang=en><head><meta charset=utf-8>\n"
                    "<meta name=viewport content=\"width=device-width, initial-scale=1\">\n"
                    "<meta http-equiv=refresh content=10>\n<title>rollmill</title>\n"
                    "<link rel=stylesheet href=\"/style.css\"></head><body>\n"
                    "<header><h1>rollmill</h1><span class=soft>");
    add_date(to, number_of(s->all, "now_ms"));
    strbuf_addf(to, "</span></header>\n");
    if (!s->away) return;
    strbuf_addf(to, "<p class=away>The queue does not answer; this is what it was ");
    add_span(to, (int64_t)((clock_seconds() - s->taken) * 1000));
    strbuf_addf(to, " ago. Worlds render on. ");
    add_text(to, s->why);
    strbuf_addf(to, "</p>\n");
}

void serve_page_write(struct strbuf *to, const struct serve_snapshot *s, bool has_roots)
{
    write_head(to, s);
    write_sums(to, s->all);
    write_running(to, s->all);
    write_failed(to, s->all);
    write_jobs(to, s->all);
    write_pace(to, s->all);
    write_worlds(to, s->all);
    write_finished(to, s->all, has_roots);
    strbuf_addf(to, "</body></html>\n");
}
