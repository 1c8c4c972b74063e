#include "cmd/render_progress.h"
#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR = 20, LINE_EVERY = 30 /* seconds */ };

static bool is_terminal(void)
{
    const char *const term = getenv("TERM");
    return isatty(STDERR_FILENO) && !getenv("CI") && !getenv("NO_COLOR") && term &&
           strcmp(term, "dumb") != 0;
}

static int terminal_width(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : 80;
}

void render_progress_begin(struct render_progress *p, const struct timeline *t, int clips,
                           int clips_done)
{
    double const start = clock_seconds();
    *p = (struct render_progress){ .timeline = t,
                                   .clips = clips,
                                   .clips_done = clips_done,
                                   .start = start,
                                   .last = start,
                                   .bar = is_terminal() };
}

/* Stages that hold a block while this block, the queue's n-th, has its last level. */
static int busy_stages(const struct timeline *t, int64_t n)
{
    int busy = 0;

    for (int stage = 0; stage <= t->levels; stage++)
        busy += timeline_at(t, n * t->stride + t->levels - 1, stage).clip >= 0;
    return busy;
}

static void spell(const struct render_progress *p, const char *name, struct place at,
                  double elapsed, char *buf, size_t size)
{
    const struct timeline *const t = p->timeline;
    int64_t const blocks = t->start[at.clip + 1] - t->start[at.clip];
    double const ticks = (double)((p->blocks - 1) * t->stride + t->levels);
    int64_t const left = (int64_t)(elapsed / ticks * ((double)timeline_ticks(t) - ticks) + 0.5);
    int const filled = (int)((at.block + 1) * BAR / blocks);
    char bar[BAR + 1];

    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)filled);
    bar[BAR] = '\0';
    snprintf(buf, size,
             "clip %d/%d %s [%s] block %lld/%lld  %.2f frames/s  ETA %lld:%02lld:%02lld  "
             "stages %d/%d",
             p->clips_done + 1, p->clips, name, bar, (long long)at.block + 1, (long long)blocks,
             elapsed > 0 ? (double)p->pictures / elapsed : 0.0, (long long)(left / 3600),
             (long long)(left / 60 % 60), (long long)(left % 60),
             busy_stages(t, t->start[at.clip] + at.block), t->levels + 1);
}

void render_progress_block(struct render_progress *p, const char *name, struct place at,
                           int pictures)
{
    const struct timeline *const t = p->timeline;
    bool const ends = t->start[at.clip] + at.block + 1 == t->start[at.clip + 1];
    double const time = clock_seconds();
    char line[256];

    p->blocks++;
    p->pictures += pictures;
    spell(p, name, at, time - p->start, line, sizeof line);
    if (p->bar) {
        fprintf(stderr, "\r%.*s\033[K", terminal_width() - 1, line);
        p->shown = true;
    } else if (ends || time - p->last >= LINE_EVERY) {
        log_info("%s", line);
        p->last = time;
    }
    if (ends) p->clips_done++;
}

void render_progress_end(struct render_progress *p)
{
    if (p->shown) fputc('\n', stderr);
    p->shown = false;
}
