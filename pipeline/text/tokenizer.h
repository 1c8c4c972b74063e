/*
 * tokenizer.h - text -> token ids, by a SentencePiece unigram model.
 *
 * The library is C++; nothing it throws leaves tokenizer.cc.
 */
#ifndef TOKENIZER_H
#define TOKENIZER_H

#include "base/base.h"

struct tokenizer;

/* ST_FORMAT says what is wrong with the file. Whoever opens, closes. */
status tokenizer_open(struct tokenizer **out, const char *path) MUST_USE;

/* The same of bytes in memory; `name` stands in messages. */
status tokenizer_open_bytes(struct tokenizer **out, const void *data, size_t len,
                            const char *name) MUST_USE;
void tokenizer_close(struct tokenizer **t); /* NULL is fine; sets NULL */

int tokenizer_vocab(const struct tokenizer *t); /* ids are 0..vocab-1 */

/* Ids of `text` (UTF-8, cleaned), closed by that of "</s>", which comes last also
 * where the text is cut to fit. ids: [max], max >= 1; *count of them are set.
 * Any number of threads at once. */
status tokenizer_encode(const struct tokenizer *t, const char *text, int32_t *ids, int max,
                        int *count) MUST_USE;

/* How many ids the text has, the closing one included, and in *rest what tokenizer_encode leaves
 * out where there is room for max, as text: malloc'ed; NULL if they all fit. */
status tokenizer_measure(const struct tokenizer *t, const char *text, int max, int *count,
                         char **rest) MUST_USE;

#endif /* TOKENIZER_H */
