/*
 * tensor_name.c - the many names of one tensor, as one table of renaming rules.
 *
 * The names that models ask by are those of the Wan release. Trainers wrap them, ComfyUI holds
 * several models in one file under prefixes, diffusers and the Transformers library call the same
 * tensors otherwise, and so do GGUF files of T5. A name goes through the rules from first to last;
 * what no rule knows stays as it is and is nobody's.
 */
#include "pipeline/weights/weights_internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- names as text ---- */

static bool is_control(char c) { return (unsigned char)c < 0x20 || c == 0x7f; }

const char *name_show(char buf[NAME_SHOWN], const char *raw, size_t len)
{
    size_t const n = len < NAME_SHOWN - 1 ? len : NAME_SHOWN - 1;

    for (size_t i = 0; i < n; i++) buf[i] = is_control(raw[i]) ? '?' : raw[i];
    buf[n] = '\0';
    return buf;
}

status name_copy(char **out, const char *raw, size_t len, const char *path)
{
    char shown[NAME_SHOWN];

    *out = NULL;
    if (!len || len > NAME_MAX_BYTES)
        return fail(ST_FORMAT, "%s: a tensor's name has %zu bytes; 1 to %d are allowed", path, len,
                    NAME_MAX_BYTES);
    for (size_t i = 0; i < len; i++)
        if (is_control(raw[i]))
            return fail(ST_FORMAT, "%s: the name `%s` holds a control character", path,
                        name_show(shown, raw, len));
    *out = malloc(len + 1);
    if (!*out) return fail(ST_NOMEM, "%s: no memory for a tensor's name", path);
    memcpy(*out, raw, len);
    (*out)[len] = '\0';
    return ST_OK;
}

/* ---- the rules ---- */

/* Whose names a rule is for. */
enum {
    DIT = 1 << WEIGHTS_DIT,
    LORA = 1 << WEIGHTS_LORA, /* a transformer's, with what an adapter puts behind them */
    TEXT = 1 << WEIGHTS_TEXT,
    VAE = 1 << WEIGHTS_VAE,
    ANY = 1 << WEIGHTS_ANY | DIT | LORA | TEXT | VAE,
    NET = DIT | LORA
};

enum where {
    WRAPPER, /* taken out wherever a component of the name begins */
    HOLDER,  /* taken off the front, one after another, as long as something stays behind */
    FRONT,   /* the name begins so */
    INSIDE,  /* a component begins so, the first that does */
};

/* In `from` a # is a number; those of `to` are the same ones in their order. */
static const struct rule {
    unsigned whose;
    enum where where;
    const char *from, *to;
    bool spare; /* a second copy: gives way to a tensor that has the name otherwise */
} rules[] = {
    /* FSDP, activation checkpointing, torch.compile */
    { ANY, WRAPPER, "_fsdp_wrapped_module.", "", false },
    { ANY, WRAPPER, "_checkpoint_wrapped_module.", "", false },
    { ANY, WRAPPER, "_orig_mod.", "", false },

    /* a trainer's field, DistributedDataParallel; peft; ComfyUI, single models and bundles */
    { ANY, HOLDER, "model.", "", false },
    { ANY, HOLDER, "module.", "", false },
    { ANY & ~(TEXT | VAE), HOLDER, "diffusion_model.", "", false },
    { LORA, HOLDER, "base_model.", "", false },
    { NET, HOLDER, "transformer.", "", false },
    { NET, HOLDER, "generator.", "", false },
    { NET, HOLDER, "net.", "", false },  /* trainers with a student and a teacher */
    { NET, HOLDER, "pipe.", "", false }, /* trainers of a whole pipeline: pipe.dit. */
    { NET, HOLDER, "dit.", "", false },
    { LORA, HOLDER, "lora_unet_", "", false },
    { VAE, HOLDER, "first_stage_model.", "", false },
    { VAE, HOLDER, "vae.", "", false },
    { TEXT, HOLDER, "text_encoders.", "", false },
    { TEXT, HOLDER, "cond_stage_model.", "", false },
    { TEXT, HOLDER, "text_encoder.", "", false },
    { TEXT, HOLDER, "umt5xxl.", "", false },
    { TEXT, HOLDER, "transformer.", "", false },

    /* diffusers' transformer. Its norm2 is the release's norm3, which has no norm2 of its own. */
    { NET, FRONT, "condition_embedder.time_embedder.linear_1.", "time_embedding.0.", false },
    { NET, FRONT, "condition_embedder.time_embedder.linear_2.", "time_embedding.2.", false },
    { NET, FRONT, "condition_embedder.text_embedder.linear_1.", "text_embedding.0.", false },
    { NET, FRONT, "condition_embedder.text_embedder.linear_2.", "text_embedding.2.", false },
    { NET, FRONT, "condition_embedder.time_proj.", "time_projection.1.", false },
    { NET, FRONT, "scale_shift_table", "head.modulation", false },
    { NET, FRONT, "proj_out.", "head.head.", false },
    { NET, FRONT, "blocks.#.scale_shift_table", "blocks.#.modulation", false },
    { NET, FRONT, "blocks.#.norm2.", "blocks.#.norm3.", false },
    { NET, FRONT, "blocks.#.ffn.net.0.proj.", "blocks.#.ffn.0.", false },
    { NET, FRONT, "blocks.#.ffn.net.2.", "blocks.#.ffn.2.", false },
    { NET, FRONT, "blocks.#.attn1.", "blocks.#.self_attn.", false },
    { NET, FRONT, "blocks.#.attn2.", "blocks.#.cross_attn.", false },
    { NET, INSIDE, "self_attn.to_q.", "self_attn.q.", false },
    { NET, INSIDE, "self_attn.to_k.", "self_attn.k.", false },
    { NET, INSIDE, "self_attn.to_v.", "self_attn.v.", false },
    { NET, INSIDE, "self_attn.to_out.0.", "self_attn.o.", false },
    { NET, INSIDE, "cross_attn.to_q.", "cross_attn.q.", false },
    { NET, INSIDE, "cross_attn.to_k.", "cross_attn.k.", false },
    { NET, INSIDE, "cross_attn.to_v.", "cross_attn.v.", false },
    { NET, INSIDE, "cross_attn.to_out.0.", "cross_attn.o.", false },

    /* diffusers' VAE: first a residual layer's parts, then where its layers stand. */
    { VAE, INSIDE, "resnets.#.norm1.", "resnets.#.residual.0.", false },
    { VAE, INSIDE, "resnets.#.conv1.", "resnets.#.residual.2.", false },
    { VAE, INSIDE, "resnets.#.norm2.", "resnets.#.residual.3.", false },
    { VAE, INSIDE, "resnets.#.conv2.", "resnets.#.residual.6.", false },
    { VAE, INSIDE, "resnets.#.conv_shortcut.", "resnets.#.shortcut.", false },
    { VAE, INSIDE, "down_blocks.#.norm1.", "down_blocks.#.residual.0.", false },
    { VAE, INSIDE, "down_blocks.#.conv1.", "down_blocks.#.residual.2.", false },
    { VAE, INSIDE, "down_blocks.#.norm2.", "down_blocks.#.residual.3.", false },
    { VAE, INSIDE, "down_blocks.#.conv2.", "down_blocks.#.residual.6.", false },
    { VAE, INSIDE, "down_blocks.#.conv_shortcut.", "down_blocks.#.shortcut.", false },
    { VAE, FRONT, "encoder.down_blocks.#.", "encoder.downsamples.#.", false },
    { VAE, FRONT, "decoder.up_blocks.0.resnets.0.", "decoder.upsamples.0.", false },
    { VAE, FRONT, "decoder.up_blocks.0.resnets.1.", "decoder.upsamples.1.", false },
    { VAE, FRONT, "decoder.up_blocks.0.resnets.2.", "decoder.upsamples.2.", false },
    { VAE, FRONT, "decoder.up_blocks.0.upsamplers.0.", "decoder.upsamples.3.", false },
    { VAE, FRONT, "decoder.up_blocks.1.resnets.0.", "decoder.upsamples.4.", false },
    { VAE, FRONT, "decoder.up_blocks.1.resnets.1.", "decoder.upsamples.5.", false },
    { VAE, FRONT, "decoder.up_blocks.1.resnets.2.", "decoder.upsamples.6.", false },
    { VAE, FRONT, "decoder.up_blocks.1.upsamplers.0.", "decoder.upsamples.7.", false },
    { VAE, FRONT, "decoder.up_blocks.2.resnets.0.", "decoder.upsamples.8.", false },
    { VAE, FRONT, "decoder.up_blocks.2.resnets.1.", "decoder.upsamples.9.", false },
    { VAE, FRONT, "decoder.up_blocks.2.resnets.2.", "decoder.upsamples.10.", false },
    { VAE, FRONT, "decoder.up_blocks.2.upsamplers.0.", "decoder.upsamples.11.", false },
    { VAE, FRONT, "decoder.up_blocks.3.resnets.0.", "decoder.upsamples.12.", false },
    { VAE, FRONT, "decoder.up_blocks.3.resnets.1.", "decoder.upsamples.13.", false },
    { VAE, FRONT, "decoder.up_blocks.3.resnets.2.", "decoder.upsamples.14.", false },
    { VAE, INSIDE, "mid_block.resnets.0.", "middle.0.", false },
    { VAE, INSIDE, "mid_block.attentions.0.", "middle.1.", false },
    { VAE, INSIDE, "mid_block.resnets.1.", "middle.2.", false },
    { VAE, FRONT, "encoder.conv_in.", "encoder.conv1.", false },
    { VAE, FRONT, "decoder.conv_in.", "decoder.conv1.", false },
    { VAE, FRONT, "encoder.norm_out.", "encoder.head.0.", false },
    { VAE, FRONT, "decoder.norm_out.", "decoder.head.0.", false },
    { VAE, FRONT, "encoder.conv_out.", "encoder.head.2.", false },
    { VAE, FRONT, "decoder.conv_out.", "decoder.head.2.", false },
    { VAE, FRONT, "quant_conv.", "conv1.", false },
    { VAE, FRONT, "post_quant_conv.", "conv2.", false },

    /* UMT5 in the Transformers library, which keeps the table of tokens twice */
    { TEXT, FRONT, "shared.", "token_embedding.", false },
    { TEXT, FRONT, "encoder.embed_tokens.", "token_embedding.", true },
    { TEXT, FRONT, "encoder.block.#.layer.0.SelfAttention.relative_attention_bias.",
      "blocks.#.pos_embedding.embedding.", false },
    { TEXT, FRONT, "encoder.block.#.layer.0.SelfAttention.", "blocks.#.attn.", false },
    { TEXT, FRONT, "encoder.block.#.layer.0.layer_norm.", "blocks.#.norm1.", false },
    { TEXT, FRONT, "encoder.block.#.layer.1.DenseReluDense.wi_0.", "blocks.#.ffn.gate.0.", false },
    { TEXT, FRONT, "encoder.block.#.layer.1.DenseReluDense.wi_1.", "blocks.#.ffn.fc1.", false },
    { TEXT, FRONT, "encoder.block.#.layer.1.DenseReluDense.wo.", "blocks.#.ffn.fc2.", false },
    { TEXT, FRONT, "encoder.block.#.layer.1.layer_norm.", "blocks.#.norm2.", false },
    { TEXT, FRONT, "encoder.final_layer_norm.", "norm.", false },

    /* UMT5 as GGUF */
    { TEXT, FRONT, "token_embd.", "token_embedding.", false },
    { TEXT, FRONT, "enc.output_norm.", "norm.", false },
    { TEXT, FRONT, "enc.blk.#.attn_q.", "blocks.#.attn.q.", false },
    { TEXT, FRONT, "enc.blk.#.attn_k.", "blocks.#.attn.k.", false },
    { TEXT, FRONT, "enc.blk.#.attn_v.", "blocks.#.attn.v.", false },
    { TEXT, FRONT, "enc.blk.#.attn_o.", "blocks.#.attn.o.", false },
    { TEXT, FRONT, "enc.blk.#.attn_rel_b.", "blocks.#.pos_embedding.embedding.", false },
    { TEXT, FRONT, "enc.blk.#.attn_norm.", "blocks.#.norm1.", false },
    { TEXT, FRONT, "enc.blk.#.ffn_gate.", "blocks.#.ffn.gate.0.", false },
    { TEXT, FRONT, "enc.blk.#.ffn_up.", "blocks.#.ffn.fc1.", false },
    { TEXT, FRONT, "enc.blk.#.ffn_down.", "blocks.#.ffn.fc2.", false },
    { TEXT, FRONT, "enc.blk.#.ffn_norm.", "blocks.#.norm2.", false },
};

const struct scale_rule scale_rules[] = {
    { ".scale_weight", 1 },     /* ComfyUI's scaled FP8 */
    { ".weight_scale", 1 },     /* ComfyUI since, ModelOpt, compressed-tensors */
    { ".weight_scale_inv", 1 }, /* by blocks; in spite of its name a factor */
    { ".weight.scale", 1 },     /* plain pairs */
    { ".SCB", 1.0 / 127 },      /* bitsandbytes: the largest magnitude of each row */
    { NULL, 0 },
};

/* ---- applying them ---- */

enum { NUMBERS = 2, ROOM = 2 * NAME_MAX_BYTES };

/* A # of a rule, as the name has it. */
struct number {
    const char *at;
    size_t len;
};

/* Bytes of the name that `from` covers; 0: it does not fit. */
static size_t match_rule(const char *name, const char *from, struct number number[NUMBERS])
{
    const char *at = name;
    int n = 0;

    for (; *from; from++) {
        if (*from != '#') {
            if (*at++ != *from) return 0;
            continue;
        }
        number[n].at = at;
        while (isdigit((unsigned char)*at)) at++;
        number[n].len = (size_t)(at - number[n].at);
        if (!number[n++].len) return 0;
    }
    return (size_t)(at - name);
}

/* `len` bytes at `at` become the rule's text. A name that would grow out of the room stays. */
static void replace_part(char name[ROOM], char *at, size_t len, const char *to,
                         const struct number number[NUMBERS])
{
    char text[ROOM];
    size_t n = 0, digits = 0;
    int next = 0; /* no rule has more # here than it matched */

    for (const char *c = to; *c && next < NUMBERS; c++)
        digits += *c == '#' ? number[next++].len : 0;
    size_t const made = strlen(to) + digits, tail = strlen(at + len);
    if ((size_t)(at - name) + made + tail >= ROOM) return;
    for (next = 0; *to; to++) {
        if (*to != '#') {
            text[n++] = *to;
        } else if (next < NUMBERS) {
            memcpy(text + n, number[next].at, number[next].len);
            n += number[next++].len;
        }
    }
    memmove(at + n, at + len, tail + 1);
    memcpy(at, text, n);
}

/* Where the rule fits, behind `from`; NULL: nowhere. */
static char *find_place(const struct rule *r, char *name, size_t *len,
                        struct number number[NUMBERS])
{
    for (char *at = name; *at; at++) {
        if (at == name || at[-1] == '.')
            if ((*len = match_rule(at, r->from, number)) > 0) return at;
        if (r->where == FRONT || r->where == HOLDER) return NULL;
    }
    return NULL;
}

static bool apply_rule(const struct rule *r, char name[ROOM], bool *spare)
{
    struct number number[NUMBERS] = { { "", 0 }, { "", 0 } };
    size_t len = 0;
    char *const at = find_place(r, name, &len, number);

    if (!at || (!*r->to && at == name && !at[len])) return false; /* something stays */
    replace_part(name, at, len, r->to, number);
    *spare |= r->spare;
    return true;
}

/* Holders stand in any order and more than once, what other rules know once. */
static void apply_rules(enum weights_family family, char name[ROOM], bool *spare)
{
    bool again = true;

    for (int i = 0; i < COUNT_OF(rules); i++)
        while (rules[i].where == WRAPPER && apply_rule(&rules[i], name, spare)) {
        }
    while (again) {
        again = false;
        for (int i = 0; i < COUNT_OF(rules); i++)
            if (rules[i].where == HOLDER && rules[i].whose & 1u << family)
                again |= apply_rule(&rules[i], name, spare);
    }
    for (int i = 0; i < COUNT_OF(rules); i++)
        if (rules[i].where >= FRONT && rules[i].whose & 1u << family)
            apply_rule(&rules[i], name, spare);
}

char *name_canonical(const char *raw, enum weights_family family, bool *spare)
{
    char name[ROOM];
    size_t const len = strlen(raw);

    *spare = false;
    if (len >= ROOM) return strdup(raw); /* never: name_copy's limit */
    memcpy(name, raw, len + 1);
    apply_rules(family, name, spare);
    return strdup(name);
}
