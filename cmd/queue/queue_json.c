/* queue_json.c - rows of the queue as JSON objects. */
#include "cmd/queue/queue_json.h"
#include "base/json_build.h"

const char *const queue_job_states[] = { "running",  "ready",  "waiting", "held",     "stopping",
                                         "given up", "failed", "done",    "canceled", NULL };

const char *queue_job_state(const struct queue_job_status *s)
{
    if (s->closed) return queue_state_name((enum queue_state)s->outcome);
    if (s->want == QUEUE_HOLD) return "held";
    if (s->want == QUEUE_CANCEL) return "stopping";
    if (s->want == QUEUE_GIVEN_UP) return "given up";
    if (s->running) return "running";
    return s->waits_for ? "waiting" : "ready";
}

const char *queue_world_state(const struct queue_world_status *s, int64_t now_ms)
{
    if (s->lease_until < now_ms) return "silent";
    return s->drain ? "drains" : "working";
}

/* ---- rows ---- */

json_t *queue_job_json(const struct queue_job_status *s)
{
    json_t *o = json_object();

    json_set_number(&o, "id", s->id);
    json_set_text(&o, "job", s->uid);
    json_set_text(&o, "name", s->name);
    json_set_text(&o, "owner", s->owner);
    json_set_text(&o, "state", queue_job_state(s));
    json_set_number(&o, "priority", s->priority);
    json_set_number(&o, "clips", s->clips);
    json_set_number(&o, "ready", s->ready);
    json_set_number(&o, "running", s->running);
    json_set_number(&o, "done", s->done);
    json_set_number(&o, "failed", s->failed);
    json_set_number(&o, "canceled", s->canceled);
    json_set_number(&o, "waits_for", s->waits_for);
    json_set_number(&o, "blocks", s->blocks);
    json_set_number(&o, "created_ms", s->created);
    json_set_number(&o, "closed_ms", s->closed);
    return o;
}

json_t *queue_world_json(const struct queue_world_status *s, int64_t now_ms)
{
    json_t *o = json_object();

    json_set_number(&o, "world", s->id);
    json_set_text(&o, "host", s->host);
    json_set_number(&o, "pid", s->pid);
    json_set_text(&o, "launcher", s->launcher);
    json_set_text(&o, "group", s->group);
    json_set_number(&o, "clips", s->clips);
    json_set_text(&o, "state", queue_world_state(s, now_ms));
    json_set(&o, "drain", json_boolean(s->drain != 0));
    json_set(&o, "silent", json_boolean(s->lease_until < now_ms));
    json_set_number(&o, "silent_ms", now_ms - s->seen);
    return o;
}

json_t *queue_owner_json(const struct queue_owner *w)
{
    json_t *o = json_object();

    json_set_text(&o, "owner", w->owner);
    json_set_number(&o, "clips", w->clips);
    json_set_number(&o, "done", w->done);
    json_set_number(&o, "running", w->running);
    json_set_number(&o, "ready", w->ready);
    json_set_number(&o, "failed", w->failed);
    json_set(&o, "video_hours", json_real(queue_hours(w->video_ms)));
    json_set(&o, "world_hours", json_real(queue_hours(w->world_ms)));
    return o;
}

json_t *queue_clip_json(const struct queue_clip_status *s)
{
    json_t *o = json_object();

    json_set_number(&o, "clip", s->index);
    json_set_text(&o, "state", queue_state_name((enum queue_state)s->state));
    json_set_number(&o, "attempt", s->attempt);
    json_set_number(&o, "errors", s->errors);
    json_set_number(&o, "crashes", s->crashes);
    json_set_number(&o, "preempts", s->preempts);
    json_set_number(&o, "blocks_done", s->blocks_done > 0 ? s->blocks_done : 0);
    json_set_number(&o, "blocks", s->blocks);
    json_set_text(&o, "task", s->task);
    json_set_text(&o, "values", s->values);
    json_set_text(&o, "host", s->host);
    json_set_text(&o, "end", s->end);
    json_set_text(&o, "message", s->message);
    return o;
}
