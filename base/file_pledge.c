/* file_pledge.c - the pledges of all threads in one list, under one lock. */
#include "base/file_pledge.h"

#include <pthread.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct file_pledge *first;

void file_pledge_begin(struct file_pledge *p, const char *path)
{
    pthread_mutex_lock(&lock);
    *p = (struct file_pledge){ .path = path, .next = first };
    first = p;
    pthread_mutex_unlock(&lock);
}

void file_pledge_end(struct file_pledge *p)
{
    struct file_pledge **at = &first;

    pthread_mutex_lock(&lock);
    while (*at && *at != p) at = &(*at)->next;
    if (*at) *at = p->next;
    pthread_mutex_unlock(&lock);
    *p = (struct file_pledge){ 0 };
}

/* Called with the lock. */
static void compare_stamp(struct file_pledge *p, const struct file_stamp *stamp)
{
    if (!p->known) p->stamp = *stamp;
    else if (memcmp(&p->stamp, stamp, sizeof *stamp) != 0) p->broken = true;
    p->known = true;
}

bool file_pledge_kept(struct file_pledge *p, const struct file_stamp *stamp)
{
    pthread_mutex_lock(&lock);
    compare_stamp(p, stamp);
    bool const kept = !p->broken;
    pthread_mutex_unlock(&lock);
    return kept;
}

void file_pledge_note(const char *path, const struct file_stamp *stamp)
{
    pthread_mutex_lock(&lock);
    for (struct file_pledge *p = first; p; p = p->next)
        if (!strcmp(p->path, path)) compare_stamp(p, stamp);
    pthread_mutex_unlock(&lock);
}
