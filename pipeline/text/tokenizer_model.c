/* tokenizer_model.c - the protobuf of a SentencePiece model, walked field by field. */
#include "pipeline/text/tokenizer_model.h"

#include <math.h>
#include <string.h>

/* Protobuf: a field is a tag, number * 8 + form, and what the form says. */
enum form { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct message {
    const unsigned char *start; /* of the file */
    size_t at, end;
    const char *name;
};

struct field {
    uint64_t number;
    enum form form;
    uint64_t value;         /* of a number */
    struct message content; /* of BYTES */
    size_t first, after;    /* bytes of the whole field in the file */
};

static status fail_model(const struct message *m, const char *what)
{
    return fail(ST_FORMAT, "%s: byte %zu: %s", m->name, m->at, what);
}

static status read_varint(struct message *m, uint64_t *out)
{
    size_t const first = m->at;

    *out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (m->at == m->end) break;
        unsigned char const byte = m->start[m->at++];
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return ST_OK;
    }
    bool const cut = m->at == m->end;
    m->at = first;
    return fail_model(m, cut ? "the file ends inside a number" : "a number of more than 64 bits");
}

static status read_fixed(struct message *m, int bytes, uint64_t *out)
{
    *out = 0;
    if (m->end - m->at < (size_t)bytes) return fail_model(m, "the file ends inside a number");
    for (int i = 0; i < bytes; i++) *out |= (uint64_t)m->start[m->at++] << 8 * i;
    return ST_OK;
}

static status read_part(struct message *m, struct message *out)
{
    uint64_t len;

    TRY(read_varint(m, &len));
    if (len > m->end - m->at)
        return fail(ST_FORMAT, "%s: byte %zu: a field of %llu bytes where %zu are left", m->name,
                    m->at, (unsigned long long)len, m->end - m->at);
    *out = *m;
    out->end = m->at + (size_t)len;
    m->at = out->end;
    return ST_OK;
}

static status read_field(struct message *m, struct field *f)
{
    uint64_t tag;

    *f = (struct field){ .first = m->at };
    TRY(read_varint(m, &tag));
    f->number = tag >> 3;
    f->form = (enum form)(tag & 7);
    if (!f->number || f->number > 0x1fffffff) {
        m->at = f->first;
        return fail_model(m, "not a SentencePiece model");
    }
    switch (f->form) {
    case VARINT: TRY(read_varint(m, &f->value)); break;
    case FIXED64: TRY(read_fixed(m, 8, &f->value)); break;
    case BYTES: TRY(read_part(m, &f->content)); break;
    case FIXED32: TRY(read_fixed(m, 4, &f->value)); break;
    default: m->at = f->first; return fail_model(m, "not a SentencePiece model");
    }
    f->after = m->at;
    return ST_OK;
}

static status want_form(const struct message *m, const struct field *f, enum form form)
{
    if (f->form == form) return ST_OK;
    return fail(ST_FORMAT, "%s: byte %zu: field %llu has form %d instead of %d", m->name, f->first,
                (unsigned long long)f->number, (int)f->form, (int)form);
}

/* ---- the parts --------------------------------------------------------------- */

enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_TYPE = 3 };
enum { TYPE_NORMAL = 1, TYPE_USER_DEFINED = 4, TYPE_LAST = 6 };

static status check_score(const struct message *m, const struct field *f)
{
    union {
        uint32_t u;
        float f;
    } const score = { .u = (uint32_t)f->value };

    TRY(want_form(m, f, FIXED32));
    if (isfinite(score.f)) return ST_OK;
    return fail(ST_FORMAT, "%s: byte %zu: the score of a piece is %g", m->name, f->first,
                (double)score.f);
}

static status check_type(const struct message *m, const struct field *f)
{
    TRY(want_form(m, f, VARINT));
    if (f->value >= TYPE_NORMAL && f->value <= TYPE_LAST) return ST_OK;
    return fail(ST_FORMAT, "%s: byte %zu: a piece has type %llu; %d to %d are known", m->name,
                f->first, (unsigned long long)f->value, TYPE_NORMAL, TYPE_LAST);
}

static status check_piece_text(const struct message *m, const struct field *f)
{
    TRY(want_form(m, f, BYTES));
    const struct message *const text = &f->content;
    if (memchr(text->start + text->at, '\0', text->end - text->at))
        return fail_model(text, "a piece holds a NUL");
    return ST_OK;
}

static status check_piece(struct message m)
{
    size_t const first = m.at;
    size_t longest = 0;
    uint64_t type = TYPE_NORMAL;
    struct field f;

    while (m.at < m.end) {
        TRY(read_field(&m, &f));
        if (f.number == PIECE_TEXT) {
            TRY(check_piece_text(&m, &f));
            size_t const len = f.content.end - f.content.at;
            if (len > longest) longest = len;
        } else if (f.number == PIECE_SCORE) {
            TRY(check_score(&m, &f));
        } else if (f.number == PIECE_TYPE) {
            TRY(check_type(&m, &f));
            type = f.value;
        }
    }
    size_t const allowed = type == TYPE_USER_DEFINED ? TOKENIZER_SYMBOL : TOKENIZER_PIECE;
    if (longest && longest <= allowed) return ST_OK;
    return fail(ST_FORMAT, "%s: byte %zu: a piece of %zu bytes; 1 to %zu are allowed", m.name,
                first, longest, allowed);
}

enum { TRAINER_MODEL_TYPE = 3, MODEL_UNIGRAM = 1 };

static status check_trainer(struct message m)
{
    struct field f;

    while (m.at < m.end) {
        TRY(read_field(&m, &f));
        if (f.number != TRAINER_MODEL_TYPE) continue;
        TRY(want_form(&m, &f, VARINT));
        if (f.value != MODEL_UNIGRAM)
            return fail(ST_FORMAT, "%s: byte %zu: model type %llu; only %d, unigram, is read",
                        m.name, f.first, (unsigned long long)f.value, MODEL_UNIGRAM);
    }
    return ST_OK;
}

enum { NORMALIZER_CHARSMAP = 2 };

static status check_normalizer(struct message m)
{
    struct field f;

    while (m.at < m.end) {
        TRY(read_field(&m, &f));
        if (f.number != NORMALIZER_CHARSMAP) continue;
        TRY(want_form(&m, &f, BYTES));
        TRY(charsmap_check(m.start + f.content.at, f.content.end - f.content.at, m.name));
    }
    return ST_OK;
}

enum { MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3 };

status tokenizer_model_check(const unsigned char *data, size_t len, const char *name,
                             struct strbuf *kept)
{
    struct message m = { .start = data, .end = len, .name = name };
    struct field f;

    if (!len) return fail(ST_FORMAT, "%s: the file is empty", name);
    if (len > TOKENIZER_BYTES)
        return fail(ST_FORMAT, "%s: %zu bytes; a tokenizer model has at most %d", name, len,
                    TOKENIZER_BYTES);
    while (m.at < m.end) {
        TRY(read_field(&m, &f));
        if (f.number < MODEL_PIECES || f.number > MODEL_NORMALIZER) continue;
        TRY(want_form(&m, &f, BYTES));
        if (f.number == MODEL_PIECES) TRY(check_piece(f.content));
        if (f.number == MODEL_TRAINER) TRY(check_trainer(f.content));
        if (f.number == MODEL_NORMALIZER) TRY(check_normalizer(f.content));
        strbuf_add(kept, data + f.first, f.after - f.first);
    }
    if (!kept->len && !kept->failed) return fail(ST_FORMAT, "%s: holds no pieces", name);
    return kept->failed ? fail(ST_NOMEM, "%s: no memory for %zu bytes of a tokenizer", name, len)
                        : ST_OK;
}
