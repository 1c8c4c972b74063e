/*
 * clip_board.c - the clips that a rank has been told of, and who still needs them.
 *
 * A clip's description comes by the feed, its blocks by the line: whichever of the two is first
 * here waits for the other. So every look-up of a clip that is not there yet waits; it ends when
 * the clip comes, or when nothing can come any more because the feed broke.
 */
#include "base/thread.h"
#include "pipeline/engine/engine_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct board_line {
    int64_t posted;
    int cut;
    bool over;
};

struct clip_board {
    struct comm *world;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct live_clip **clip; /* [clips], those in use, rising by number within a line */
    int clips, room;
    int64_t *first;          /* [ROLES_RANKS]: index within its line of ... see nth */
    struct board_line line[ROLES_RANKS];
    bool broken;
    struct error why;
};

void live_clip_free(struct live_clip *c)
{
    if (!c) return;
    for (int i = 0; i < c->texts; i++) free(c->text[i].rows);
    free(c->text);
    free(c->text_of);
    clip_spec_free(&c->spec);
    free(c);
}
