/* comm_null.c - the operations of a rank that nobody answers. */
#include "comm/comm.h"

static status start(struct comm *c, const struct comm_xfer *parts, int count)
{
    (void)c, (void)parts, (void)count;
    return ST_OK;
}

static status finish(struct comm *c)
{
    (void)c;
    return ST_OK;
}

static status agree(struct comm *c, status mine, int64_t *words)
{
    (void)c, (void)words;
    return mine;
}

const struct comm_ops comm_null = { .post = start, .wait = finish, .agree = agree };
