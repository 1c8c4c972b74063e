/*
 * queue_sql.h - a queue's tables as a test sees and turns them: SQL past the queue's own code.
 *
 * The store is that of QUEUE_TEST_URL, else an SQLite file in a folder of the test's own.
 */
#ifndef QUEUE_SQL_H
#define QUEUE_SQL_H

#include "jobs/queue/queue.h"

/* Of the store; one that a test opens. */
const char *queue_sql_url(void);

/* No tables. */
void queue_sql_reset(void);

/* Rows by "," and columns by "|"; valid until the next call. A failure ends the program. */
const char *queue_sql(const char *sql);

/* The database's clock moves on by so many ms, as far as the tables can tell. */
void queue_sql_pass(int64_t ms);

/* Remove what the above have made. */
void queue_sql_end(void);

#endif /* QUEUE_SQL_H */
