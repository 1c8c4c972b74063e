/* comm_mailbox.h - the last COMM_NOTES notes, oldest first. Callers lock. */
#ifndef COMM_MAILBOX_H
#define COMM_MAILBOX_H

#include "comm/comm.h"

struct inbox {
    struct {
        struct comm_note note;
        int from;
    } slot[COMM_NOTES];
    int first, count;
};

void inbox_put(struct inbox *b, const struct comm_note *note, int from);
bool inbox_take(struct inbox *b, struct comm_note *out, int *from); /* false: none */

#endif /* COMM_MAILBOX_H */
