#include "comm/comm_mailbox.h"

void inbox_put(struct inbox *b, const struct comm_control *note, int from)
{
    int const at = (b->first + b->count) % COMM_CONTROLS;

    b->slot[at].note = *note;
    b->slot[at].from = from;
    if (b->count < COMM_CONTROLS) b->count++;
    else b->first = (b->first + 1) % COMM_CONTROLS;
}

bool inbox_take(struct inbox *b, struct comm_control *out, int *from)
{
    if (!b->count) return false;
    *out = b->slot[b->first].note;
    *from = b->slot[b->first].from;
    b->first = (b->first + 1) % COMM_CONTROLS;
    b->count--;
    return true;
}
