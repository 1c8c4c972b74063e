/*
 * badness.h - does a text look like UTF-8 that was read in another encoding?
 *
 * The judgement of ftfy 6.3, stated as a table: neighbouring characters that
 * honest text hardly ever has.
 */
#ifndef BADNESS_H
#define BADNESS_H

#include "pipeline/runes.h"

/* True if some neighbours are unlikely. Text of ASCII alone never is. */
bool badness_found(const struct runes *text);

#endif /* BADNESS_H */
