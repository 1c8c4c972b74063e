/*
 * background.c - a thread that answers one question at a time, beside the dispatcher's.
 *
 * The dispatcher must not wait for what takes long: it would hear neither the source nor a stop
 * meanwhile. It asks, goes on, is woken and takes the answer. What is asked lies with the owner and
 * is never locked: it is one thread's or the other's, and the state says whose.
 */
#include "base/thread.h"
#include "pipeline/engine/dispatch/dispatch_internal.h"

void background_open(struct background *b, const struct background_config *c)
{
    *b = (struct background){ .c = *c };
    pthread_mutex_init(&b->lock, NULL);
    condvar_init(&b->changed);
}

void background_close(struct background *b)
{
    if (background_end(b, ST_OK) != ST_OK) error_clear(); /* a failure further on made it close */
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
}

static void change_state(struct background *b, enum background_state to)
{
    pthread_mutex_lock(&b->lock);
    b->state = to;
    pthread_cond_signal(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

static enum background_state see_state(struct background *b)
{
    pthread_mutex_lock(&b->lock);
    enum background_state const s = b->state;
    pthread_mutex_unlock(&b->lock);
    return s;
}

/* False: nothing more is asked. */
static bool await_question(struct background *b)
{
    pthread_mutex_lock(&b->lock);
    while (!b->over && b->state != BACKGROUND_ASKED) pthread_cond_wait(&b->changed, &b->lock);
    bool const over = b->over;
    pthread_mutex_unlock(&b->lock);
    return !over;
}

static status answer_questions(void *arg)
{
    struct background *const b = arg;
    status st = ST_OK;

    while (st == ST_OK && await_question(b)) {
        st = b->c.answer(b->c.arg);
        change_state(b, BACKGROUND_ANSWERED);
        dispatch_list_wake(b->c.t->work);
    }
    if (st == ST_OK && b->c.finish) st = b->c.finish(b->c.arg);
    if (st != ST_OK && st != ST_PEER) comm_abort(b->c.t->world);
    return st;
}

status background_start(struct background *b)
{
    return task_start(&b->task, b->c.name, b->c.t->world->rank, answer_questions, b);
}

status background_end(struct background *b, status st)
{
    pthread_mutex_lock(&b->lock);
    b->over = true;
    pthread_cond_signal(&b->changed);
    pthread_mutex_unlock(&b->lock);
    return task_join(&b->task, st);
}

bool background_is_idle(struct background *b) { return see_state(b) == BACKGROUND_IDLE; }

void background_ask(struct background *b) { change_state(b, BACKGROUND_ASKED); }

bool background_take(struct background *b)
{
    if (see_state(b) != BACKGROUND_ANSWERED) return false;
    change_state(b, BACKGROUND_IDLE);
    return true;
}
