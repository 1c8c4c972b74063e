/* shipped.h - files that come with the program: cards of models. */
#ifndef SHIPPED_H
#define SHIPPED_H

#include "base/base.h"

/* The path of one, as "models/demo/card.yaml", in the source tree or where it is installed; *out
 * is NULL where there is none, *looked then all places where it could have been. Both owned by the
 * caller. ST_NOMEM. */
status shipped_find(char **out, const char *name, char **looked) MUST_USE;

#endif /* SHIPPED_H */
