/* unit.h - cmocka with the headers it needs, and base.h. Include it first: both
 * cmocka and base.h have a macro `fail`, and ours is the one that counts. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail

#include "base/base.h"

/* The call went well; its message, if it did not. */
static inline void ok(status st)
{
    if (st != ST_OK) print_error("%s\n", error_last()->msg);
    assert_int_equal(st, ST_OK);
}

#endif /* UNIT_H */
