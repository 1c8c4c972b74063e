/*
 * mojibake.h - undo UTF-8 that was read in a single-byte encoding.
 *
 * Gives what ftfy 6.3 gives for its fix_encoding: as long as the text looks bad
 * (mojibake_score.h), write it back to bytes in each encoding of codepage.h in turn and
 * take the first whose bytes are UTF-8; else mend the parts that look like
 * UTF-8; else take C1 controls for Windows-1252.
 */
#ifndef MOJIBAKE_H
#define MOJIBAKE_H

#include "pipeline/text/clean/codepoints.h"

/* In place. */
void mojibake_fix(struct codepoints *text);

/* Every C1 control becomes the character of that Windows-1252 byte. In place. */
void mojibake_fix_c1(struct codepoints *text);

#endif /* MOJIBAKE_H */
