/* tokenizer.cc - SentencePiece behind a C interface: the one file in C++. A model file is checked
 * by tokenizer_model.c before the library sees it, and what the library throws ends here. */
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <sentencepiece_processor.h>
#include <string>
#include <vector>

extern "C" {
#include "pipeline/text/tokenizer.h"
#include "pipeline/text/tokenizer_model.h"
}

struct tokenizer {
    sentencepiece::SentencePieceProcessor model;
    std::string name;
    int end = 0; /* id of "</s>" */
};

namespace
{

/* A message may quote the file; keep it printable. */
std::string printable(const std::string &s)
{
    std::string out;
    for (unsigned char const c : s.substr(0, 200)) out += c >= ' ' && c < 0x7f ? char(c) : '?';
    return out;
}

/* What the library throws of its own: its trie says only in words that there was no memory. */
status fail_thrown(const char *name, const char *what, const std::exception &e)
{
    bool const memory = std::strstr(e.what(), "bad_alloc") != nullptr;
    return fail(memory ? ST_NOMEM : ST_FORMAT, "%s: %s: %s", name, what,
                printable(e.what()).c_str());
}

status load(tokenizer *t, const struct strbuf &kept)
{
    auto const loaded = t->model.LoadFromSerializedProto({ kept.s, kept.len });
    if (!loaded.ok())
        return fail(ST_FORMAT, "%s: %s", t->name.c_str(), printable(loaded.message()).c_str());
    t->end = t->model.PieceToId("</s>");
    if (!t->model.IsControl(t->end))
        return fail(ST_FORMAT, "%s: no control piece </s>", t->name.c_str());
    return ST_OK;
}

status encode(const tokenizer *t, const char *text, int32_t *ids, int max, int *count)
{
    std::vector<int> all;
    auto const done = t->model.Encode(text, &all);
    if (!done.ok())
        return fail(ST_FORMAT, "%s: %s", t->name.c_str(), printable(done.message()).c_str());

    int const room = max - 1;
    int const n = all.size() < size_t(room) ? int(all.size()) : room;
    for (int i = 0; i < n; i++) {
        if (all[i] < 0 || all[i] >= t->model.GetPieceSize())
            return fail(ST_FORMAT, "%s: id %d of %d", t->name.c_str(), all[i],
                        t->model.GetPieceSize());
        ids[i] = all[i];
    }
    ids[n] = t->end;
    *count = n + 1;
    return ST_OK;
}

status measure(const tokenizer *t, const char *text, int max, int *count, char **rest)
{
    std::vector<int> all;
    std::string words;
    auto done = t->model.Encode(text, &all);

    *count = int(all.size()) + 1;
    if (done.ok() && *count > max) {
        all.erase(all.begin(), all.begin() + (max - 1));
        done = t->model.Decode(all, &words);
    }
    if (!done.ok())
        return fail(ST_FORMAT, "%s: %s", t->name.c_str(), printable(done.message()).c_str());
    if (*count <= max) return ST_OK;
    *rest = strdup(words.c_str());
    return *rest ? ST_OK : fail(ST_NOMEM, "%s: no memory to tokenize", t->name.c_str());
}

} // namespace

status tokenizer_open_bytes(struct tokenizer **out, const void *data, size_t len, const char *name)
{
    *out = nullptr;
    struct strbuf kept = { nullptr, 0, 0, false };
    status st = tokenizer_model_check(static_cast<const unsigned char *>(data), len, name, &kept);

    try {
        if (st == ST_OK) {
            std::unique_ptr<tokenizer> t(new tokenizer);
            t->name = name;
            st = load(t.get(), kept);
            if (st == ST_OK) *out = t.release();
        }
    } catch (const std::bad_alloc &) {
        st = fail(ST_NOMEM, "%s: no memory for a tokenizer of %zu bytes", name, len);
    } catch (const std::exception &e) {
        st = fail_thrown(name, "SentencePiece cannot take this model", e);
    }
    strbuf_free(&kept);
    return st;
}

void tokenizer_close(struct tokenizer **t)
{
    delete *t;
    *t = nullptr;
}

int tokenizer_vocab(const struct tokenizer *t) { return t->model.GetPieceSize(); }

status tokenizer_encode(const struct tokenizer *t, const char *text, int32_t *ids, int max,
                        int *count)
{
    if (max < 1) return fail(ST_ARG, "tokenizer: room for %d ids; at least 1 is needed", max);
    try {
        return encode(t, text, ids, max, count);
    } catch (const std::bad_alloc &) {
        return fail(ST_NOMEM, "%s: no memory to tokenize", t->name.c_str());
    } catch (const std::exception &e) {
        return fail_thrown(t->name.c_str(), "SentencePiece failed on a text", e);
    }
}

status tokenizer_measure(const struct tokenizer *t, const char *text, int max, int *count,
                         char **rest)
{
    *rest = nullptr;
    if (max < 1) return fail(ST_ARG, "tokenizer: room for %d ids; at least 1 is needed", max);
    try {
        return measure(t, text, max, count, rest);
    } catch (const std::bad_alloc &) {
        return fail(ST_NOMEM, "%s: no memory to tokenize", t->name.c_str());
    } catch (const std::exception &e) {
        return fail_thrown(t->name.c_str(), "SentencePiece failed on a text", e);
    }
}
