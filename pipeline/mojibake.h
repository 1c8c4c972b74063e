/*
 * mojibake.h - undo UTF-8 that was read in a single-byte encoding.
 *
 * Gives what ftfy 6.3 gives for its fix_encoding: as long as the text looks bad
 * (badness.h), write it back to bytes in each encoding of charmap.h in turn and
 * take the first whose bytes are UTF-8; else mend the parts that look like
 * UTF-8; else take C1 controls for Windows-1252.
 */
#ifndef MOJIBAKE_H
#define MOJIBAKE_H

#include "pipeline/runes.h"

/* In place. */
void mojibake_fix(struct runes *text);

/* Every C1 control becomes the character of that Windows-1252 byte. In place. */
void mojibake_fix_c1(struct runes *text);

#endif /* MOJIBAKE_H */
