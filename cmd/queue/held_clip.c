/* held_clip.c - the list of held clips. */
#include "base/file.h"
#include "cmd/clip_folder.h"
#include "cmd/queue/cmd_queue_internal.h"

#include <stdlib.h>
#include <string.h>

struct held_clip *held_find(const struct queue_link *l, int64_t ticket)
{
    for (struct held_clip *h = l->held; h; h = h->next)
        if (h->ticket == ticket) return h;
    return NULL;
}

int held_count(const struct queue_link *l, enum held_state state)
{
    int n = 0;

    for (const struct held_clip *h = l->held; h; h = h->next) n += h->state == state;
    return n;
}

void held_end(struct queue_link *l, struct held_clip *h, enum queue_end how, const char *why)
{
    h->state = HELD_ENDED;
    h->how = how;
    h->why = strdup(why ? why : "");
    l->urgent = true;
    pthread_cond_signal(&l->woken);
}

void held_remove(struct queue_link *l, struct held_clip *h)
{
    struct held_clip **at = &l->held;

    while (*at && *at != h) at = &(*at)->next;
    if (*at) *at = h->next;
    if (h->job) h->job->users--;
    queue_clip_free(&h->q);
    free(h->why);
    free(h);
}

bool held_check_folder(const struct queue_clip *c, enum queue_end *how, const char **why)
{
    if (!path_exists(c->folder)) return false;
    bool const same = clip_folder_is_task(c->folder, c->task);
    *how = same ? QUEUE_END_DONE : QUEUE_END_SPEC;
    *why = same ? "its folder exists already" : "its folder holds something else";
    return true;
}
