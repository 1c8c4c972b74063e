/*
 * mojibake_score.h - does a text look like UTF-8 that was read in another encoding?
 *
 * The judgement of ftfy 6.3, stated as a table: neighbouring characters that
 * honest text hardly ever has.
 */
#ifndef MOJIBAKE_SCORE_H
#define MOJIBAKE_SCORE_H

#include "pipeline/text/clean/codepoints.h"

/* True if some neighbours are unlikely. Text of ASCII alone never is. */
bool badness_found(const struct codepoints *text);

#endif /* MOJIBAKE_SCORE_H */
