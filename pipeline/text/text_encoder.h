/*
 * text_encoder.h - prompt -> embedding: cleaning, tokens, UMT5, and a cache on disk.
 *
 * The encoder's weights are read only when a prompt is not in the cache, and all
 * memory for them is given back before text_encode returns.
 */
#ifndef TEXT_ENCODER_H
#define TEXT_ENCODER_H

#include "kernels/kern.h"

struct text_encoder;

struct text_config {
    const char *encoder_path;   /* UMT5, safetensors or .pth */
    const char *tokenizer_path; /* SentencePiece model */
    const char *cache_dir;      /* NULL: no cache; made when first written to */
    int64_t cache_bytes;        /* it has at most, about: what was used longest ago goes */
    int text_len;               /* rows of an embedding; longer prompts are cut */
    const struct kern_backend *backend;
    int threads, device; /* see kern_config */
    enum dtype precision;
    bool (*stop)(void *arg); /* asked while prompts are encoded, from the thread that does: give up
                                with ST_CANCELED; NULL: never */
    void *stop_arg;
};

/* Reads names, shapes and samples of the encoder, and the tokenizer. ST_FORMAT
 * says what does not fit. Whoever opens, closes. */
status text_open(struct text_encoder **out, const struct text_config *config) MUST_USE;
void text_close(struct text_encoder **t); /* NULL is fine; sets NULL */

int64_t text_dim(const struct text_encoder *t);
const char *text_encoder_hash(const struct text_encoder *t); /* 64 hex digits; text_hash.c */

/* ST_FORMAT if the prompt is no text (text_clean.h), or too long to be cleaned. */
status text_check(const struct text_encoder *t, const char *prompt) MUST_USE;

/* embeds: [text_len, text_dim], zero behind the prompt. *tokens rows are real, the
 * end token included. ST_FORMAT if text_check says so, or a file has changed since text_open;
 * ST_MISMATCH if the embedding is not finite. */
status text_encode(struct text_encoder *t, const char *prompt, float *embeds, int *tokens) MUST_USE;

/* The same for several, reading the weights once for as many as fit in memory.
 * embeds: [n, text_len, text_dim]; tokens: [n], 0 where the embedding is not finite, which is no
 * failure here. Each gets what it would alone. */
status text_encode_many(struct text_encoder *t, const char *const *prompts, int n, float *embeds,
                        int *tokens) MUST_USE;

#endif /* TEXT_ENCODER_H */
