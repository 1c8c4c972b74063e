#include "comm/heartbeat.h"
#include "base/clock.h"
#include "base/log.h"
#include "comm/control_note.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { TURN_MS = 100, TURNS_PER_SIGN = 5, STOOD_STILL_S = 1 };

struct heartbeat {
    struct comm *world;
    double silence_s;
    bool (*stop)(void);
    pthread_t thread;

    pthread_mutex_t lock; /* of what follows */
    bool closing;
    const struct track *track;
    void (*heard)(void *arg, const struct comm_control *);
    void *arg;
    status st; /* a rank fell silent */
    struct error error;

    /* the thread's own */
    bool listening; /* for the rank behind */
    double sign_at; /* its last one, clock_seconds() */
    double turn_at; /* this thread's last turn */
    struct track_state sign;
};

static int before(const struct comm *w) { return (w->rank + w->size - 1) % w->size; }
static int behind(const struct comm *w) { return (w->rank + 1) % w->size; }

/* With the lock. */
static void send_sign(struct heartbeat *p, enum control_kind kind)
{
    struct track_state const s =
        p->track ? track_state(p->track) : (struct track_state){ .at = TRACK_NOWHERE };
    struct comm_control const note = {
        .kind = kind, .value = { s.open, s.what, s.at.clip, s.at.stage, s.at.layer, s.at.block }
    };

    if (comm_send_control(p->world, before(p->world), &note) != ST_OK) error_clear();
}

static void take_sign(struct heartbeat *p, const struct comm_control *note)
{
    p->sign_at = clock_seconds();
    p->sign = (struct track_state){ .open = note->value[0] != 0,
                                    .what = (enum track_what)note->value[1],
                                    .at = { .clip = (int)note->value[2],
                                            .stage = (int)note->value[3],
                                            .layer = (int)note->value[4],
                                            .block = note->value[5] } };
    if (note->kind == CONTROL_LAST_HEARTBEAT) p->listening = false;
}

/* With the lock. */
static void hear_all(struct heartbeat *p)
{
    struct comm_control note;
    int from;

    while (comm_poll_control(p->world, &note, &from)) {
        if (note.kind == CONTROL_HEARTBEAT || note.kind == CONTROL_LAST_HEARTBEAT)
            take_sign(p, &note);
        else if (p->heard) p->heard(p->arg, &note);
    }
}

/* With the lock. A process that was itself stopped listens anew when it goes on. */
static void judge(struct heartbeat *p)
{
    double const now = clock_seconds();

    if (now - p->turn_at > STOOD_STILL_S) p->sign_at = now;
    p->turn_at = now;
    double const silent = now - p->sign_at;
    char words[TRACK_TEXT_BYTES];

    if (!p->listening || comm_aborted(p->world) || !(silent > p->silence_s)) return;
    p->listening = false;
    p->st = fail(ST_COMM, "rank %d gives no sign of life for %.0f s; the last was: %s",
                 behind(p->world), silent, track_words(p->sign, words));
    p->error = *error_last();
    comm_abort(p->world);
}

static void *pulse_main(void *arg)
{
    struct heartbeat *const p = arg;
    struct timespec const pause = { .tv_nsec = TURN_MS * 1000000L };

    log_set_rank(p->world->rank);
    for (int turn = 0;; turn++) {
        pthread_mutex_lock(&p->lock);
        bool const over = p->closing;
        hear_all(p);
        if (over) send_sign(p, CONTROL_LAST_HEARTBEAT);
        else if (turn % TURNS_PER_SIGN == 0) send_sign(p, CONTROL_HEARTBEAT);
        if (!over) judge(p);
        pthread_mutex_unlock(&p->lock);
        if (over) return NULL;
        if (p->stop()) comm_stop(p->world);
        nanosleep(&pause, NULL);
    }
}

status heartbeat_open(struct heartbeat **out, struct comm *world, double silence_s,
                      bool (*stop)(void))
{
    struct heartbeat *const p = calloc(1, sizeof *p);

    *out = NULL;
    if (!p) return fail(ST_NOMEM, "pulse: no memory");
    p->world = world;
    p->silence_s = silence_s;
    p->stop = stop;
    p->listening = world->size > 1;
    p->sign_at = p->turn_at = clock_seconds();
    p->sign.at = TRACK_NOWHERE;
    pthread_mutex_init(&p->lock, NULL);
    if (pthread_create(&p->thread, NULL, pulse_main, p)) {
        pthread_mutex_destroy(&p->lock);
        free(p);
        return fail(ST_NOMEM, "pulse: cannot start a thread");
    }
    *out = p;
    return ST_OK;
}

void heartbeat_close(struct heartbeat **pulse)
{
    struct heartbeat *const p = *pulse;

    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_mutex_destroy(&p->lock);
    free(p);
    *pulse = NULL;
}

void heartbeat_show(struct heartbeat *p, const struct track *t)
{
    pthread_mutex_lock(&p->lock);
    p->track = t;
    pthread_mutex_unlock(&p->lock);
}

void heartbeat_listen(struct heartbeat *p, void (*heard)(void *arg, const struct comm_control *),
                      void *arg)
{
    pthread_mutex_lock(&p->lock);
    hear_all(p);
    p->heard = heard;
    p->arg = arg;
    pthread_mutex_unlock(&p->lock);
}

status heartbeat_verdict(struct heartbeat *p)
{
    pthread_mutex_lock(&p->lock);
    status const st = p->st;
    if (st != ST_OK) error_adopt(&p->error);
    pthread_mutex_unlock(&p->lock);
    return st;
}
