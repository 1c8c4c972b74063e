/*
 * queue_internal.h - what the queue needs of a database: statements by number, one transaction at
 * a time; and what the queue's files share.
 *
 * Every statement stands in sql/queue.sql, once for both stores. The files of sql/ become
 * queue_sql.c (embed_sql.awk): a text a store for each statement of the list below.
 */
#ifndef QUEUE_INTERNAL_H
#define QUEUE_INTERNAL_H

#include "jobs/queue/queue.h"

/* The names in sql/queue.sql; `schema` is all of sql/schema.sql. */
#define QUEUE_STATEMENTS(X)                                                                        \
    X(schema)                                                                                      \
    X(version)                                                                                     \
    X(now)                                                                                         \
    X(event)                                                                                       \
    X(notify)                                                                                      \
    X(news)                                                                                        \
    X(job_add)                                                                                     \
    X(job_find)                                                                                    \
    X(job_spec)                                                                                    \
    X(clip_add)                                                                                    \
    X(dep_add)                                                                                     \
    X(join)                                                                                        \
    X(thaw)                                                                                        \
    X(alive)                                                                                       \
    X(leave)                                                                                       \
    X(neighbours)                                                                                  \
    X(expire)                                                                                      \
    X(progress)                                                                                    \
    X(mine)                                                                                        \
    X(overdue)                                                                                     \
    X(reap_workers)                                                                                \
    X(orphan_jobs)                                                                                 \
    X(orphans)                                                                                     \
    X(orphan_attempts)                                                                             \
    X(pick)                                                                                        \
    X(pick_again)                                                                                  \
    X(take)                                                                                        \
    X(take_attempts)                                                                               \
    X(later)                                                                                       \
    X(lock_job)                                                                                    \
    X(done)                                                                                        \
    X(overtaken)                                                                                   \
    X(give_back)                                                                                   \
    X(unasked)                                                                                     \
    X(clip_state)                                                                                  \
    X(attempt_end)                                                                                 \
    X(strike)                                                                                      \
    X(unstrike)                                                                                    \
    X(give_up)                                                                                     \
    X(close)                                                                                       \
    X(ctl_hold)                                                                                    \
    X(ctl_release)                                                                                 \
    X(ctl_cancel)                                                                                  \
    X(ctl_priority)                                                                                \
    X(ctl_retry)                                                                                   \
    X(ctl_cancel_clip)                                                                             \
    X(ctl_retry_clip)                                                                              \
    X(ctl_reopen)                                                                                  \
    X(ctl_discard)                                                                                 \
    X(ctl_drain)                                                                                   \
    X(prune)                                                                                       \
    X(prune_events)                                                                                \
    X(prune_workers)                                                                               \
    X(jobs)                                                                                        \
    X(clips)                                                                                       \
    X(worlds)                                                                                      \
    X(events)                                                                                      \
    X(attempts)                                                                                    \
    X(running)                                                                                     \
    X(failed)                                                                                      \
    X(finished)                                                                                    \
    X(pace)                                                                                        \
    X(owners)                                                                                      \
    X(upgrade_pictures)                                                                            \
    X(upgrade_video)                                                                               \
    X(upgrade_entered)                                                                             \
    X(upgrade_ended)                                                                               \
    X(upgrade_version)

#define QUEUE_STATEMENT_ENUM(name) STATEMENT_##name,
enum statement { QUEUE_STATEMENTS(QUEUE_STATEMENT_ENUM) STATEMENT_COUNT };

extern const char *const queue_statement_name[STATEMENT_COUNT];
extern const char *const queue_sql_sqlite[STATEMENT_COUNT];
extern const char *const queue_sql_postgres[STATEMENT_COUNT];

enum { QUEUE_SCHEMA = 2 /* version of the tables */ };

/* ---- a store ---- */

enum store_answer {
    STORE_OK,
    STORE_AGAIN, /* it lost a race (deadlock, busy): the same transaction again */
    STORE_DOWN,  /* connection gone, or no answer in time; whether a commit took place is open */
    STORE_BAD,
};

struct store_value {
    const char *text; /* NULL: a number */
    int64_t number;
};

enum { STORE_COLUMNS = 24 };
struct store_row {
    int n;
    const char *text[STORE_COLUMNS]; /* NULL is given as "" */
};
typedef void (*store_row_fn)(void *arg, const struct store_row *row);

struct store {
    const struct store_ops *ops;
    char error[512];
};

struct store_ops {
    /* durable: what is committed survives a power cut of the server */
    enum store_answer (*begin)(struct store *s, bool durable);
    enum store_answer (*commit)(struct store *s);
    void (*rollback)(struct store *s);
    enum store_answer (*run)(struct store *s, enum statement id, const struct store_value *value,
                             int n, store_row_fn each, void *arg);
    enum store_answer (*make_tables)(struct store *s);
    /* Many rows of clip_add, inside a transaction. */
    enum store_answer (*bulk_begin)(struct store *s);
    enum store_answer (*bulk_row)(struct store *s, const struct store_value *value, int n);
    enum store_answer (*bulk_end)(struct store *s);
    /* In a transaction; others who would make tables are locked out. */
    enum store_answer (*has_tables)(struct store *s, bool *yes);
    enum store_answer (*wait)(struct store *s, int ms, bool *news);
    void (*close)(struct store *s);
};

/* Both set *s whatever the answer; NULL for want of memory. */
enum store_answer store_sqlite_open(struct store **s, const char *path, bool make);
enum store_answer store_postgres_open(struct store **s, const char *url);
bool store_postgres_has_password(const char *url);

/* ---- queue.c: transactions ---- */

struct queue {
    struct store *s;
    struct queue_world w;
    int64_t worker; /* 0: not joined */
    enum queue_answer answer;
    bool quick; /* the transaction at hand may be lost in a power cut of the server */
    char group[QUEUE_GROUP], error[600];
};

#define NUMBER(x) ((struct store_value){ NULL, (x) })
#define TEXT(x)   ((struct store_value){ (x), 0 })
#define VALUES(...)                                                                                \
    (struct store_value[]){ __VA_ARGS__ },                                                         \
        (int)(sizeof((struct store_value[]){ __VA_ARGS__ }) / sizeof(struct store_value))
#define NO_VALUES NULL, 0

/* Pass a store's failure up. */
#define TRY_STORE(expr)                                                                            \
    do {                                                                                           \
        enum store_answer const answer_ = (expr);                                                  \
        if (answer_ != STORE_OK) return answer_;                                                   \
    } while (0)

enum store_answer queue_run(struct queue *q, enum statement id, const struct store_value *value,
                            int n, store_row_fn each, void *arg);

/* One transaction. `work` may refuse (queue_refuse), then nothing is kept. It is made again after
 * a lost race, and once after a lost connection: it must be fit for that. */
enum queue_answer queue_transact(struct queue *q, enum store_answer (*work)(struct queue *, void *),
                                 void *arg);
enum store_answer queue_refuse(struct queue *q, enum queue_answer a, const char *why);

/* The answer to a call of the store outside a transaction. */
enum queue_answer queue_answered(struct queue *q, enum store_answer a);

/* One statement that only looks. */
enum queue_answer queue_look(struct queue *q, enum statement id, const struct store_value *value,
                             int n, store_row_fn each, void *arg);

enum store_answer queue_note_event(struct queue *q, int64_t job, const char *kind,
                                   const char *text);

/* Readers of rows: the first column of every row; all columns of the last. */
enum { QUEUE_NUMBERS = 1024 }; /* as many as the worlds of one reaping hold clips */
struct queue_numbers {
    int n;
    int64_t v[QUEUE_NUMBERS];
};
int64_t row_number(const struct store_row *r, int column);
void row_first_column(void *arg, const struct store_row *r);
void row_all_columns(void *arg, const struct store_row *r);

/* ---- queue_lease.c ---- */

/* What this world's own row says once its lease is renewed. */
struct queue_alive {
    bool drain, blocked;
};
/* Renew the lease; refuses with QUEUE_LOST. */
enum store_answer queue_stay_alive(struct queue *q, struct queue_alive *out);

/* Take the clips of dead worlds from them. */
enum queue_answer queue_reap(struct queue *q);

/* Give up and close a job whose clips have changed, where that is due. */
enum store_answer queue_settle_job(struct queue *q, int64_t job);

/* All that this world holds, as the database has it, against what it knows. */
struct queue_holding {
    struct queue_clip *mine;
    int n;
    bool append, no_memory;
    int rows; /* that the database has */
    bool found[QUEUE_HOLDS];
    char group[QUEUE_GROUP]; /* of them */
};
enum store_answer queue_read_holding(struct queue *q, struct queue_holding *h);

/* After an answer: what was not found is lost; with QUEUE_LOST all is. */
void queue_mark_lost(struct queue_clip *mine, int n, const struct queue_holding *h,
                     enum queue_answer a);

#endif /* QUEUE_INTERNAL_H */
