/* prompt_broadcast.c - from the rank that encoded prompts to those that need them. */
#include "comm/world.h"
#include "pipeline/engine/prompt_bank_internal.h"

#include <stdlib.h>
#include <string.h>

/* Does one of the rank's clips use this text? */
static void find_uses(const struct prompt_bank *p, const struct prompt_bank_broadcast *s, int rank,
                      bool *uses)
{
    memset(uses, 0, (size_t)p->texts * sizeof *uses);
    for (int c = 0; c < p->count; c++) {
        if (!s->mine(s->arg, rank, c)) continue;
        for (int i = 0; i < p->clips[c]->prompts; i++)
            uses[embedding_of(p, p->clips[c]->prompt[i].text) - p->text] = true;
    }
}

static struct comm_xfer rows_of(const struct prompt_bank *p, const struct embedding *e, int peer,
                                bool send)
{
    int64_t const n = (int64_t)e->tokens * p->text_dim;
    return (struct comm_xfer){
        .t = { .data = e->rows, .dtype = DT_F32, .ndim = 1, .dim = { n } },
        .peer = peer,
        .send = send,
    };
}

/* The texts one rank uses, all under way at once. */
static status pass_on(struct prompt_bank *p, const struct prompt_bank_broadcast *s, int rank,
                      const bool *uses)
{
    bool const send = s->world->rank == s->from;
    int const peer = send ? rank : s->from;
    struct comm_xfer *const part = calloc((size_t)p->texts + 1, sizeof *part);
    int parts = 0;
    status st = ST_OK;

    if (!part) return fail(ST_NOMEM, "%d prompts", p->texts);
    for (int i = 0; i < p->texts; i++) {
        struct embedding *const e = &p->text[i];
        if (!uses[i]) continue;
        if (!send) {
            e->rows = malloc((size_t)e->tokens * (size_t)p->text_dim * sizeof *e->rows + 1);
            if (!e->rows) st = fail(ST_NOMEM, "embedding of %d tokens", e->tokens);
            TRY_OUT(st);
        }
        part[parts++] = rows_of(p, e, peer, send);
    }
    if (!parts) goto out;
    TRY_OUT(comm_post(s->world, part, parts));
    TRY_OUT(comm_wait(s->world));
out:
    free(part);
    return st;
}

/* Everyone learns how many tokens each text has, and who made the rows. */
static status share_facts(struct prompt_bank *p, const struct prompt_bank_broadcast *s)
{
    size_t const counts = (size_t)p->texts * sizeof(int32_t);
    size_t len = counts + sizeof p->hash;
    char *bytes = NULL;

    if (s->world->rank == s->from) {
        bytes = malloc(len);
        if (!bytes) return fail(ST_NOMEM, "%d prompts", p->texts);
        for (int i = 0; i < p->texts; i++) {
            int32_t const tokens = p->text[i].tokens;
            memcpy(bytes + (size_t)i * sizeof tokens, &tokens, sizeof tokens);
        }
        memcpy(bytes + counts, p->hash, sizeof p->hash);
    }
    status const st = comm_broadcast(s->world, s->from, &bytes, &len);
    for (int i = 0; st == ST_OK && i < p->texts; i++) {
        int32_t tokens;
        memcpy(&tokens, bytes + (size_t)i * sizeof tokens, sizeof tokens);
        p->text[i].tokens = tokens;
    }
    if (st == ST_OK) memcpy(p->hash, bytes + counts, sizeof p->hash);
    free(bytes);
    return st;
}

static void keep_only(struct prompt_bank *p, const bool *uses)
{
    for (int i = 0; i < p->texts; i++) {
        if (uses[i]) continue;
        free(p->text[i].rows);
        p->text[i].rows = NULL;
    }
}

status prompt_bank_broadcast(struct prompt_bank *p, const struct prompt_bank_broadcast *s)
{
    bool *const uses = calloc((size_t)p->texts + 1, sizeof *uses);
    status st = ST_OK;

    if (!uses) return fail(ST_NOMEM, "%d prompts", p->texts);
    TRY_OUT(share_facts(p, s));
    for (int rank = 0; rank < s->world->size; rank++) {
        if (rank == s->from || (s->world->rank != s->from && s->world->rank != rank)) continue;
        find_uses(p, s, rank, uses);
        TRY_OUT(pass_on(p, s, rank, uses));
    }
    find_uses(p, s, s->world->rank, uses);
    keep_only(p, uses);
out:
    free(uses);
    return st;
}
