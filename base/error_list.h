/* error_list.h - all that is wrong with something, reported at once. */
#ifndef ERROR_LIST_H
#define ERROR_LIST_H

#include "base/strbuf.h"

/* Zero-initialise; error_list_end or error_list_free when done. */
struct error_list {
    struct strbuf text; /* one message below another */
    int count, left;    /* reported; found, and there was no room */
};

/* The last failure becomes an entry, once for each message. False: it is none of the input's
 * (anything but ST_FORMAT), and whoever has it gives up. */
bool error_list_add(struct error_list *l, status st);

/* ST_FORMAT with all entries, or ST_OK if there are none. Empties the list. */
status error_list_end(struct error_list *l) MUST_USE;
void error_list_free(struct error_list *l);

#endif /* ERROR_LIST_H */
