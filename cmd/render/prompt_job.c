/*
 * prompt_job.c - one sentence on the command line becomes the text of a job.
 *
 * A text rather than a filled struct, so that it is read, checked and described by the one reader
 * of jobs. Braces mean variables there, so the sentence's own are doubled.
 */
#include "base/file.h"
#include "base/strbuf.h"
#include "cmd/render/render_internal.h"
#include "cmd/shipped.h"
#include "jobs/spec/card.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAME_CHARACTERS = 48 };

/* ---- which model ------------------------------------------------------------------- */

static status find_demo(char **out)
{
    char *looked = NULL;
    status st = shipped_find(out, "models/demo/card.yaml", &looked);

    if (st == ST_OK && !*out)
        st = fail(
            ST_FORMAT,
            "--prompt: found no demo model at %s; allowed: --model CARD, or the path of a card "
            "in ROLLMILL_MODEL",
            looked);
    free(looked);
    return st;
}

static status choose_card(char **out, const char *asked)
{
    const char *const set = getenv("ROLLMILL_MODEL");
    const char *const card = asked ? asked : set && set[0] ? set : NULL;

    if (!card) return find_demo(out);
    *out = str_format("%s", card);
    return *out ? ST_OK : fail(ST_NOMEM, "--prompt: no memory");
}

/* ---- the text ---------------------------------------------------------------------- */

/* In YAML's double quotes. Control characters become escapes, so that the value stays on its
 * line; whether the bytes are UTF-8 the reader says. */
static void add_quoted(struct strbuf *t, const char *s, bool is_template)
{
    strbuf_addf(t, "\"");
    for (; *s; s++) {
        unsigned char const c = (unsigned char)*s;
        if (c == '"' || c == '\\') strbuf_addf(t, "\\%c", c);
        else if (is_template && (c == '{' || c == '}')) strbuf_addf(t, "%c%c", c, c);
        else if (c < ' ' || c == 0x7f) strbuf_addf(t, "\\x%02x", c);
        else strbuf_add(t, s, 1);
    }
    strbuf_addf(t, "\"");
}

/* Letters and digits of the sentence in small letters, all else as one dash. */
static void add_name(struct strbuf *t, const char *s)
{
    char name[NAME_CHARACTERS + 1];
    int n = 0;

    for (; *s && n < NAME_CHARACTERS; s++) {
        unsigned char const c = (unsigned char)*s;
        if (c < 0x80 && isalnum(c)) name[n++] = (char)tolower(c);
        else if (n && name[n - 1] != '-') name[n++] = '-';
    }
    while (n && name[n - 1] == '-') n--;
    strbuf_addf(t, "%.*s", n ? n : 4, n ? name : "clip");
}

static void write_job(struct strbuf *t, const struct prompt_request *r, const struct card *card)
{
    strbuf_addf(t, "render: 1\nname: ");
    add_name(t, r->text);
    strbuf_addf(t, "\nmodel: ");
    add_quoted(t, card->path, false);
    strbuf_addf(t, "\nprompt: ");
    add_quoted(t, r->text, true);
    strbuf_addf(t, "\nclip:\n  length: ");
    add_quoted(t, r->length ? r->length : "20s", false);
    strbuf_addf(t, "\n  seed: ");
    add_quoted(t, r->seed ? r->seed : "0", false);
    if (r->size) {
        strbuf_addf(t, "\n  size: ");
        add_quoted(t, r->size, false);
    } else if (card->width) {
        strbuf_addf(t, "\n  size: %dx%d", card->width, card->height);
    }
    strbuf_addf(t, "\noutput:\n  dir: ");
    add_quoted(t, r->out ? r->out : "out", false);
    strbuf_addf(t, "\n  on_exists: version\n"
                   "  formats: [{file: clip.mp4, codec: h264}]\n"
                   "  preview: {file: contact.png, columns: 6}\n");
}

status prompt_request_check(const struct prompt_request *r)
{
    const struct {
        const char *name, *given;
    } options[] = {
        { "length", r->length }, { "model", r->card }, { "size", r->size },
        { "seed", r->seed },     { "out", r->out },
    };

    for (int i = 0; i < COUNT_OF(options) && !r->text; i++)
        if (options[i].given)
            return fail(ST_ARG, "--%s goes with --prompt; a job says it itself", options[i].name);
    return ST_OK;
}

status prompt_job_text(char **out, const struct prompt_request *r)
{
    struct strbuf t = { 0 };
    struct card card = { 0 };
    char *path = NULL;
    status st = ST_OK;

    TRY_OUT(choose_card(&path, r->card));
    TRY_OUT(card_load(&card, path));
    write_job(&t, r, &card);
    if (t.failed) {
        strbuf_free(&t);
        FAIL_OUT(ST_NOMEM, "--prompt: no memory for its job");
    }
    *out = t.s;
out:
    card_close(&card);
    free(path);
    return st;
}
