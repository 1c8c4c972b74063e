/* render_progress.c - a bar that is drawn over on a terminal, a line now and then elsewhere; the
 * rate and the time left are of the group so far. */
#include "base/clock.h"
#include "base/log.h"
#include "cmd/render/render_internal.h"

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

void render_progress_begin(struct render_progress *p, const struct render_progress *of)
{
    *p = *of;
    p->start = p->last = clock_seconds();
    p->bar = is_terminal();
}

/* "1/20", or where nobody knows how many there will be, "1"; the time left likewise. */
static void spell_known(const struct render_progress *p, double elapsed, char count[32],
                        char left_text[32])
{
    int64_t const left = (int64_t)(elapsed / (double)p->done * (double)(p->blocks - p->done) + 0.5);

    if (p->clips) snprintf(count, 32, "%d/%d", p->clips_done + 1, p->clips);
    else snprintf(count, 32, "%d", p->clips_done + 1);
    left_text[0] = '\0';
    if (p->clips)
        snprintf(left_text, 32, "ETA %lld:%02lld:%02lld  ", (long long)(left / 3600),
                 (long long)(left / 60 % 60), (long long)(left % 60));
}

static void spell_progress(const struct render_progress *p, const struct clip_spec *clip,
                           int64_t block, double elapsed, char *buf, size_t size)
{
    int const filled = (int)((block + 1) * BAR / clip->blocks);
    char bar[BAR + 1], count[32], left[32];
    int busy = 0;

    for (int i = 0; i < p->lines; i++) busy += p->stages[i];
    memset(bar, '.', BAR);
    memset(bar, '#', (size_t)filled);
    bar[BAR] = '\0';
    spell_known(p, elapsed, count, left);
    snprintf(buf, size, "clip %s %s [%s] block %lld/%lld  %.2f frames/s  %sstages %d/%d", count,
             clip->name, bar, (long long)block + 1, (long long)clip->blocks,
             elapsed > 0 ? (double)p->pictures / elapsed : 0.0, left, busy,
             p->lines * p->stages_each);
}

void render_progress_blocks(struct render_progress *p, const struct clip_spec *clip, int64_t block,
                            int64_t blocks, int64_t pictures)
{
    bool const ends = block + 1 == clip->blocks;
    double const time = clock_seconds();
    char line[256];

    p->done += blocks;
    p->pictures += pictures;
    spell_progress(p, clip, block, time - p->start, line, sizeof line);
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
