#include "tools/spiece.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <stdio.h>
#include <string.h>

enum piece_type { NORMAL = 1, UNKNOWN = 2, CONTROL = 3, BYTE = 6 };
enum wire { VARINT = 0, BYTES = 2, FIXED32 = 5 };

#define SPACE "\xe2\x96\x81" /* U+2581, how SentencePiece writes a blank */

/* Each stands with and without a blank before it. */
static const char *const words[] = {
    "a",     "an",    "and",   "at",     "beside", "camera", "city",  "cinematic", "cloud", "dawn",
    "day",   "ed",    "er",    "es",     "fog",    "from",   "green", "harbour",   "ing",   "in",
    "is",    "it",    "kite",  "light",  "long",   "ly",     "night", "of",        "old",   "on",
    "over",  "ocean", "quiet", "rain",   "re",     "red",    "river", "road",      "sea",   "shot",
    "slow",  "snow",  "storm", "street", "sun",    "the",    "th",    "to",        "tower", "tree",
    "under", "wind",  "with",  "walk",   "water",  "y",
};

static void add_varint(struct strbuf *t, uint64_t n)
{
    for (; n > 0x7f; n >>= 7) {
        char const c = (char)(n | 0x80);
        strbuf_add(t, &c, 1);
    }
    char const c = (char)n;
    strbuf_add(t, &c, 1);
}

static void add_tag(struct strbuf *t, int field, enum wire wire)
{
    add_varint(t, (uint64_t)field << 3 | wire);
}

static void add_number(struct strbuf *t, int field, uint64_t n)
{
    add_tag(t, field, VARINT);
    add_varint(t, n);
}

static void add_bytes(struct strbuf *t, int field, const char *s, size_t len)
{
    add_tag(t, field, BYTES);
    add_varint(t, len);
    strbuf_add(t, s, len);
}

static void add_piece(struct strbuf *model, const char *piece, float score, enum piece_type type)
{
    struct strbuf t = { 0 };
    union {
        float f;
        uint32_t u;
    } v = { .f = score };

    add_bytes(&t, 1, piece, strlen(piece));
    add_tag(&t, 2, FIXED32);
    for (int i = 0; i < 4; i++) {
        char const c = (char)(v.u >> (8 * i) & 0xff);
        strbuf_add(&t, &c, 1);
    }
    add_number(&t, 3, type);
    add_bytes(model, 1, t.s, t.len);
    model->failed |= t.failed;
    strbuf_free(&t);
}

int spiece_count(void) { return 3 + 256 + 1 + ('~' - '!' + 1) + 2 * COUNT_OF(words) - 2; }

/* Log-probabilities: a whole word beats its parts, any piece beats bytes. */
static void add_pieces(struct strbuf *model)
{
    char piece[32];

    add_piece(model, "<pad>", 0, CONTROL);
    add_piece(model, "</s>", 0, CONTROL);
    add_piece(model, "<unk>", 0, UNKNOWN);
    for (int i = 0; i < 256; i++) {
        snprintf(piece, sizeof piece, "<0x%02X>", i);
        add_piece(model, piece, 0, BYTE);
    }
    add_piece(model, SPACE, -2, NORMAL);
    for (int c = '!'; c <= '~'; c++) {
        snprintf(piece, sizeof piece, "%c", c);
        add_piece(model, piece, -6, NORMAL);
    }
    for (int i = 0; i < COUNT_OF(words); i++) {
        snprintf(piece, sizeof piece, SPACE "%s", words[i]);
        add_piece(model, piece, -5 - 0.01f * (float)i, NORMAL);
        if (words[i][1]) add_piece(model, words[i], -7 - 0.01f * (float)i, NORMAL);
    }
}

status spiece_write(const char *path)
{
    struct strbuf model = { 0 }, trainer = { 0 }, normalizer = { 0 };
    status st = ST_OK;

    add_pieces(&model);
    add_number(&trainer, 3, 1); /* unigram */
    add_number(&trainer, 4, (uint64_t)spiece_count());
    add_number(&trainer, 35, 1); /* byte fallback */
    add_number(&trainer, 40, 2); /* unk, then bos: none, eos, pad */
    add_number(&trainer, 41, UINT64_MAX);
    add_number(&trainer, 42, 1);
    add_number(&trainer, 43, 0);
    add_bytes(&model, 2, trainer.s, trainer.len);
    add_bytes(&normalizer, 1, "identity", 8);
    add_number(&normalizer, 3, 1); /* a blank in front, none doubled, blanks escaped */
    add_number(&normalizer, 4, 1);
    add_number(&normalizer, 5, 1);
    add_bytes(&model, 3, normalizer.s, normalizer.len);
    if (model.failed || trainer.failed || normalizer.failed) {
        st = fail(ST_NOMEM, "%s: a tokenizer model", path);
        goto out;
    }
    TRY_OUT(file_write(path, model.s, model.len));
out:
    strbuf_free(&model);
    strbuf_free(&trainer);
    strbuf_free(&normalizer);
    return st;
}
