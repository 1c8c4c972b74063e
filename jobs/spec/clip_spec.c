/* clip_spec.c - a clip's names and numbers that need no job. */
#include "jobs/spec/clip_spec.h"
#include "base/choice.h"
#include "base/clip_media.h"

#include <stdlib.h>
#include <string.h>

enum { PICTURES = 4 }; /* of a latent frame; the clip's first one has 1 */

const char *clip_precision_name(enum clip_precision p) { return p == CLIP_F32 ? "f32" : "bf16"; }

const char *clip_numeric_name(enum clip_numeric_key k)
{
    static const char *const names[] = { "wire", "determinism", "kernels" };
    return names[k];
}

bool clip_numeric_word(char word[CLIP_WORD], const struct clip_numerics *n, enum clip_numeric_key k)
{
    static const char *const choices[] = { CLIP_WIRE_CHOICES, CLIP_DETERMINISM_CHOICES,
                                           CLIP_KERNELS_CHOICES };
    return choice_at(word, CLIP_WORD, choices[k], n->choice[k] - 1);
}

bool clip_numerics_same(const struct clip_numerics *a, const struct clip_numerics *b)
{
    return !memcmp(a->choice, b->choice, sizeof a->choice);
}

const char *clip_encoder_name(enum clip_encoder e)
{
    static const char *const names[] = { "cpu", "nvenc", "auto" };
    return names[e];
}

const char *clip_change_name(enum clip_change c)
{
    static const char *const names[] = { "blend", "cut", "recache" };
    return names[c];
}

bool clip_recaches(const struct clip_spec *c)
{
    for (int i = 0; i < c->prompts; i++)
        if (c->prompt[i].change == CLIP_RECACHE) return true;
    return false;
}

const char *clip_start_name(enum clip_start_kind k)
{
    static const char *const names[] = { "none", "latents", "image", "video", "clip" };
    return names[k];
}

status clip_start_hash(const struct clip_start *s, bool (*stop)(void *arg), void *arg,
                       char hex[DIGEST_HEX])
{
    if (s->kind == CLIP_START_CLIP) return clip_media_hash(s->file, stop, arg, hex);
    return digest_file_unless(s->file, stop, arg, hex);
}

int64_t clip_pictures(int64_t blocks, int frames_per_block)
{
    return 1 + PICTURES * (blocks * frames_per_block - 1);
}

int64_t clip_first_picture(int64_t block, int frames_per_block)
{
    return block ? clip_pictures(block, frames_per_block) : 0;
}

int64_t clip_blocks(int64_t pictures, int frames_per_block)
{
    int64_t const block = (int64_t)PICTURES * frames_per_block;
    return (pictures + PICTURES - 1 + block - 1) / block;
}

static void free_pairs(struct clip_pair *pair, int count)
{
    for (int i = 0; i < count; i++) {
        free(pair[i].name);
        free(pair[i].value);
    }
    free(pair);
}

static void free_format(struct clip_format *f)
{
    free(f->file);
    free(f->codec);
    free(f->pix);
    free(f->preset);
    free(f->profile);
}

void clip_spec_free(struct clip_spec *c)
{
    char *const texts[] = {
        c->job,           c->owner,   c->name,       c->dir,        c->latents,
        c->latents_dtype, c->preview, c->start.file, c->embeddings, c->embeddings_dtype,
        c->extends
    };

    for (int i = 0; i < COUNT_OF(texts); i++) free(texts[i]);
    for (int i = 0; i < c->prompts; i++) free(c->prompt[i].text);
    for (int i = 0; i < c->formats; i++) free_format(&c->format[i]);
    free_pairs(c->value, c->values);
    free_pairs(c->label, c->labels);
    free(c->prompt);
    free(c->format);
    *c = (struct clip_spec){ 0 };
}
