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

#endif /* UNIT_H */
