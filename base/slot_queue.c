/* slot_queue.c - a ring of slots under one lock; both ends learn when the other has stopped. */
#include "base/slot_queue.h"

#include <pthread.h>
#include <stdlib.h>

enum { SLOT_ALIGN = 16 };

struct slot_queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int slots, first, count;
    size_t bytes;
    bool ended, stopped;
    _Alignas(SLOT_ALIGN) unsigned char memory[];
};

status slot_queue_open(struct slot_queue **out, int slots, size_t bytes)
{
    size_t const stride = (bytes + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;
    size_t const all = (size_t)slots * stride;
    struct slot_queue *const q = calloc(1, sizeof *q + all);

    *out = NULL;
    if (!q) return fail(ST_NOMEM, "no memory for a queue of %d slots of %zu bytes", slots, bytes);
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->changed, NULL);
    q->slots = slots;
    q->bytes = stride;
    *out = q;
    return ST_OK;
}

void slot_queue_close(struct slot_queue **q)
{
    if (!*q) return;
    pthread_cond_destroy(&(*q)->changed);
    pthread_mutex_destroy(&(*q)->lock);
    free(*q);
    *q = NULL;
}

static void *slot_at(struct slot_queue *q, int i)
{
    return q->memory + (size_t)((q->first + i) % q->slots) * q->bytes;
}

void *slot_queue_reserve(struct slot_queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (q->count == q->slots && !q->stopped) pthread_cond_wait(&q->changed, &q->lock);
    void *const room = q->stopped ? NULL : slot_at(q, q->count);
    pthread_mutex_unlock(&q->lock);
    return room;
}

void *slot_queue_peek(struct slot_queue *q)
{
    pthread_mutex_lock(&q->lock);
    while (!q->count && !q->ended) pthread_cond_wait(&q->changed, &q->lock);
    void *const front = q->count ? slot_at(q, 0) : NULL;
    pthread_mutex_unlock(&q->lock);
    return front;
}

void slot_queue_push(struct slot_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->count++;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

void slot_queue_pop(struct slot_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->first = (q->first + 1) % q->slots;
    q->count--;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

static void raise_flag(struct slot_queue *q, bool *flag)
{
    pthread_mutex_lock(&q->lock);
    *flag = true;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

void slot_queue_end(struct slot_queue *q) { raise_flag(q, &q->ended); }
void slot_queue_stop(struct slot_queue *q) { raise_flag(q, &q->stopped); }

int slot_queue_count(struct slot_queue *q)
{
    pthread_mutex_lock(&q->lock);
    int const n = q->count;
    pthread_mutex_unlock(&q->lock);
    return n;
}
