/*
 * text_clean.h - a prompt as a person typed or pasted it -> the text that is
 * tokenized.
 *
 * First every line is repaired as ftfy 6.3 repairs by default: character
 * references, mojibake, C1 controls, ligatures, widths, curly quotes, line ends,
 * surrogates, terminal escapes, control characters, NFC, over again until
 * nothing changes. Then HTML references are undone twice more, and white space
 * is folded to single blanks and trimmed.
 */
#ifndef TEXT_CLEAN_H
#define TEXT_CLEAN_H

#include "base/base.h"

enum { TEXT_CLEAN_MAX = 16384 }; /* bytes of a prompt; far more than 512 tokens hold */

/* *out is malloc'ed, NUL-terminated UTF-8; caller frees. ST_FORMAT with the byte
 * and its place if the prompt is no UTF-8 (surrogates as three bytes are let
 * through) or holds a NUL, or with its length if it is longer than the maximum. */
status text_clean(const char *prompt, size_t len, char **out) MUST_USE;

#endif /* TEXT_CLEAN_H */
