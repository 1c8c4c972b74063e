/* comm_mailbox.h - the last COMM_CONTROLS notes, oldest first. Callers lock. */
#ifndef COMM_MAILBOX_H
#define COMM_MAILBOX_H

#include "comm/comm.h"

struct inbox {
    struct {
        struct comm_control note;
        int from;
    } slot[COMM_CONTROLS];
    int first, count;
};

void inbox_put(struct inbox *b, const struct comm_control *note, int from);
bool inbox_take(struct inbox *b, struct comm_control *out, int *from); /* false: none */

#endif /* COMM_MAILBOX_H */
