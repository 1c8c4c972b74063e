/*
 * charsmap.c - every rule that can be reached in a normalisation trie is walked and checked.
 *
 * The trie is a graph in an untrusted file, with edges computed by XOR; a walk marks each unit as
 * being above it or done, so circles are found and shared tails are walked once.
 */
#include "pipeline/text/tokenizer_model.h"

#include <stdlib.h>
#include <string.h>

/* What is known of a unit: nothing, that it is above us, or how many rules end
 * on the longest way down from it. */
enum { UNSEEN = 0, ABOVE = 0xff, SEEN = 1 };

struct walk {
    const unsigned char *units, *strings;
    uint32_t unit_count, string_bytes;
    unsigned char *state; /* per unit; SEEN + rules */
    const char *name;
};

static uint32_t load_u32(const unsigned char *b)
{
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static uint32_t unit_at(const struct walk *w, uint32_t i)
{
    return load_u32(w->units + (size_t)i * 4);
}

static status check_value(const struct walk *w, uint32_t value)
{
    if (value >= w->string_bytes)
        return fail(ST_FORMAT, "%s: a normalisation rule points at byte %u of %u", w->name, value,
                    w->string_bytes);
    uint32_t const room = w->string_bytes - value;
    uint32_t const reach = room < CHARSMAP_VALUE + 1 ? room : CHARSMAP_VALUE + 1;
    if (!memchr(w->strings + value, '\0', reach))
        return fail(ST_FORMAT, "%s: the text of a normalisation rule does not end within %d bytes",
                    w->name, CHARSMAP_VALUE);
    return ST_OK;
}

/* Walk down from unit `at`, depth bytes into a rule. */
static status visit_unit(struct walk *w, uint32_t at, int depth)
{
    uint32_t const unit = unit_at(w, at);
    uint32_t const base = at ^ ((unit >> 10) << ((unit & 1u << 9) >> 6));
    bool const ends = depth && unit >> 8 & 1;
    int most = 0;

    if (w->state[at] == ABOVE)
        return fail(ST_FORMAT, "%s: the normalisation rules run in a circle", w->name);
    if (w->state[at] != UNSEEN) return ST_OK;
    if (depth > CHARSMAP_KEY)
        return fail(ST_FORMAT, "%s: a normalisation rule is longer than %d bytes", w->name,
                    CHARSMAP_KEY);
    if ((base | 0xff) >= w->unit_count)
        return fail(ST_FORMAT, "%s: the normalisation rules lead to unit %u of %u", w->name,
                    base | 0xff, w->unit_count);
    if (ends) TRY(check_value(w, unit_at(w, base) & 0x7fffffffu));

    w->state[at] = ABOVE;
    for (uint32_t byte = 1; byte < 256; byte++) { /* a text holds no NUL */
        uint32_t const child = base ^ byte;
        if ((unit_at(w, child) & 0x800000ffu) != byte) continue;
        TRY(visit_unit(w, child, depth + 1));
        if (w->state[child] - SEEN > most) most = w->state[child] - SEEN;
    }
    most += ends;
    if (most > CHARSMAP_NESTED)
        return fail(ST_FORMAT, "%s: more than %d normalisation rules begin one another", w->name,
                    CHARSMAP_NESTED);
    w->state[at] = (unsigned char)(SEEN + most);
    return ST_OK;
}

status charsmap_check(const unsigned char *blob, size_t len, const char *name)
{
    struct walk w = { .name = name };

    if (!len) return ST_OK;
    if (len < 4 || len > CHARSMAP_BYTES)
        return fail(ST_FORMAT, "%s: %zu bytes of normalisation rules; 4 to %d are allowed", name,
                    len, CHARSMAP_BYTES);
    uint32_t const trie = load_u32(blob);
    if (!trie || trie % 4 || trie >= len - 4)
        return fail(ST_FORMAT, "%s: a normalisation trie of %u bytes in %zu bytes of rules", name,
                    trie, len);
    w.units = blob + 4;
    w.unit_count = trie / 4;
    w.strings = blob + 4 + trie;
    w.string_bytes = (uint32_t)(len - 4 - trie);
    w.state = calloc(w.unit_count, 1);
    if (!w.state) return fail(ST_NOMEM, "%s: no memory to check its normalisation rules", name);

    status const st = visit_unit(&w, 0, 0);
    free(w.state);
    return st;
}
