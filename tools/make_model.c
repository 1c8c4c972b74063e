/*
 * make_model.c - write a model with random weights, in the release's file forms
 * and under its names, at any size: for tests and benchmarks.
 *
 * Files are written as they are made; memory does not grow with the model.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/strbuf.h"
#include "pipeline/weights/tensor_file.h"
#include "tools/random_model.h"
#include "tools/spiece.h"
#include "tools/torch_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct model_size sizes[] = {
    { "tiny", 128, 256, 2, 2, 64, 64, 64, 128, 4, 2, 512, 8 },
    { "small", 512, 2048, 4, 8, 256, 512, 512, 1024, 8, 6, 8192, 32 },
    { "bench-small", 512, 2048, 8, 4, 256, 512, 512, 1024, 8, 4, 8192, 32 },
    { "bench-middle", 1536, 8960, 12, 2, 256, 512, 4096, 10240, 64, 2, 8192, 96 },
    { "1.3b", 1536, 8960, 12, 30, 256, 512, 4096, 10240, 64, 24, 256384, 96 },
};

enum {
    PIECE = 1 << 18,
    PIECES = 32,
    CHUNK = PIECE * PIECES
}; /* elements: of a task; made at a time */

static const char usage[] =
    "usage: make_model DIR [options]\n\n"
    "Writes a model with random weights, in the release's file forms, into DIR.\n\n"
    "  --size NAME      tiny, small, 1.3b, or what `rollmill bench --model` wants:\n"
    "                   bench-small, bench-middle (default tiny)\n"
    "  --only PART      dit (safetensors), checkpoint (.pt), text, vae or tokenizer\n"
    "  --dtype NAME     f32 or bf16, of the transformer (default f32); the text encoder\n"
    "                   is bf16 and the VAE f32, as released\n"
    "  --dim N, --ffn N, --head-dim N, --layers N     of the transformer\n"
    "  --text-dim N, --text-layers N                  of the text encoder\n"
    "  --vae-width N                                  of the VAE\n"
    "  --seed N         other weights (default 1)\n";

struct job {
    const char *dir, *only;
    struct model_size size;
    enum dtype dtype;
    uint64_t seed;
    void *chunk; /* CHUNK elements */
    struct pool *pool;
};

/* ---- writing ----------------------------------------------------------------------- */

/* What takes a tensor's bytes: a safetensors file or a torch file. */
struct sink {
    struct tensor_file *flat;
    struct torch_writer *torch;
    const char *path;
    size_t done, all; /* bytes */
};

static void show_progress(const struct sink *s)
{
    if (!isatty(STDERR_FILENO) || !s->all) return;
    fprintf(stderr, "\r%s  %3d %%", s->path, (int)(100.0 * (double)s->done / (double)s->all));
    if (s->done == s->all) fputs("\r\033[K", stderr);
}

/* Elements first .. first + count - 1 of a tensor, which threads share out. */
struct fill {
    const struct random_tensor *t;
    unsigned char *out;
    uint64_t seed;
    int64_t first, count;
};

static status fill_piece(void *arg, int64_t task, int worker)
{
    const struct fill *const f = arg;
    int64_t const at = task * PIECE, left = f->count - at;

    (void)worker;
    random_fill(f->out + (size_t)at * dtype_size(f->t->t.dtype), f->t, f->seed, f->first + at,
                left < PIECE ? left : PIECE);
    return ST_OK;
}

static status fill(const struct job *j, const struct random_tensor *t, uint64_t seed, int64_t first,
                   int64_t count)
{
    struct fill f = { .t = t, .out = j->chunk, .seed = seed, .first = first, .count = count };
    return pool_run(j->pool, (count + PIECE - 1) / PIECE, fill_piece, &f);
}

static status write_tensor(struct sink *s, const struct job *j, const struct random_tensor *t,
                           uint64_t seed)
{
    int64_t const all = tensor_count(&t->t);

    for (int64_t at = 0; at < all; at += CHUNK) {
        int64_t const n = all - at < CHUNK ? all - at : CHUNK;
        size_t const bytes = (size_t)n * dtype_size(t->t.dtype);
        TRY(fill(j, t, seed, at, n));
        if (s->torch) TRY(torch_writer_bytes(s->torch, j->chunk, bytes));
        else TRY(tensor_file_append(s->flat, j->chunk, bytes));
        s->done += bytes;
        show_progress(s);
    }
    return ST_OK;
}

static size_t bytes_of(const struct random_list *l)
{
    size_t n = 0;
    for (int i = 0; i < l->count; i++) n += tensor_bytes(&l->at[i].t);
    return n;
}

static status report(const char *path)
{
    struct stat s;

    if (stat(path, &s)) return fail(ST_IO, "%s: %s", path, strerror(errno));
    printf("%s  %lld bytes\n", path, (long long)s.st_size);
    return ST_OK;
}

static status write_flat(const struct job *j, const struct random_list *l, const char *path)
{
    struct tensor_file_item *const item = calloc((size_t)l->count + 1, sizeof *item);
    struct sink s = { .path = path, .all = bytes_of(l) };
    status st = ST_OK;

    if (!item) return fail(ST_NOMEM, "%s: %d tensors", path, l->count);
    for (int i = 0; i < l->count; i++)
        item[i] = (struct tensor_file_item){ l->at[i].name, l->at[i].t };
    TRY_OUT(tensor_file_open(&s.flat, path, item, l->count, NULL));
    for (int i = 0; i < l->count; i++) TRY_OUT(write_tensor(&s, j, &l->at[i], j->seed));
    TRY_OUT(tensor_file_commit(s.flat));
    TRY_OUT(report(path));
out:
    tensor_file_close(&s.flat);
    free(item);
    return st;
}

/* One dict of a torch file, with its own names and seed. */
struct torch_dict {
    const char *key;
    const char *prefix;  /* of every name */
    const char *wrapper; /* behind "blocks.N." */
    uint64_t seed;
    bool ordered;
};

/* "blocks.3.ffn" as training tools write it: "model.blocks.3._fsdp_wrapped_module.ffn". */
static char *wrapped(const struct torch_dict *d, const char *name)
{
    int behind = 0;

    if (sscanf(name, "blocks.%*d.%n", &behind) < 0 || !behind)
        return str_format("%s%s", d->prefix, name);
    return str_format("%s%.*s%s%s", d->prefix, behind, name, d->wrapper, name + behind);
}

static status write_storages(struct sink *s, const struct job *j, const struct random_list *l,
                             const struct torch_dict *d, int dicts)
{
    for (int i = 0; i < dicts * l->count; i++) {
        const struct random_tensor *const t = &l->at[i % l->count];
        TRY(torch_writer_begin(s->torch, i, tensor_bytes(&t->t)));
        TRY(write_tensor(s, j, t, d[i / l->count].seed));
        TRY(torch_writer_end(s->torch));
    }
    return torch_writer_commit(s->torch);
}

static status write_torch(const struct job *j, const struct random_list *l,
                          const struct torch_dict *d, int dicts, const char *path)
{
    size_t const n = (size_t)l->count, all = n * (size_t)dicts;
    char **const name = calloc(all + 1, sizeof *name);
    struct tensor *const shape = calloc(n + 1, sizeof *shape);
    struct torch_writer_dict *const dict = calloc((size_t)dicts, sizeof *dict);
    struct sink s = { .path = path, .all = bytes_of(l) * (size_t)dicts };
    status st = name && shape && dict ? ST_OK : fail(ST_NOMEM, "%s: %zu tensors", path, all);

    for (size_t i = 0; st == ST_OK && i < all; i++) {
        shape[i % n] = l->at[i % n].t;
        name[i] = wrapped(&d[i / n], l->at[i % n].name);
        if (!name[i]) st = fail(ST_NOMEM, "%s: a name", path);
    }
    if (st != ST_OK) goto out;
    for (int i = 0; i < dicts; i++)
        dict[i] = (struct torch_writer_dict){ .key = d[i].key,
                                              .name = (const char *const *)&name[(size_t)i * n],
                                              .shape = shape,
                                              .count = l->count,
                                              .ordered = d[i].ordered };
    TRY_OUT(torch_writer_open(&s.torch, path, dict, dicts));
    TRY_OUT(write_storages(&s, j, l, d, dicts));
    TRY_OUT(report(path));
out:
    torch_writer_close(&s.torch);
    for (size_t i = 0; name && i < all; i++) free(name[i]);
    free(name);
    free(shape);
    free(dict);
    return st;
}

/* ---- the files ------------------------------------------------------------------------ */

static status write_config(const struct job *j, const char *path)
{
    const struct model_size *const z = &j->size;
    char *const text = str_format("{\n"
                                  "  \"_class_name\": \"CausalWanModel\",\n"
                                  "  \"model_type\": \"t2v\",\n"
                                  "  \"patch_size\": [1, 2, 2],\n"
                                  "  \"text_len\": %d,\n"
                                  "  \"in_dim\": 16,\n"
                                  "  \"dim\": %d,\n"
                                  "  \"ffn_dim\": %d,\n"
                                  "  \"freq_dim\": %d,\n"
                                  "  \"text_dim\": %d,\n"
                                  "  \"out_dim\": 16,\n"
                                  "  \"num_heads\": %d,\n"
                                  "  \"num_layers\": %d,\n"
                                  "  \"qk_norm\": true,\n"
                                  "  \"cross_attn_norm\": true,\n"
                                  "  \"eps\": 1e-06\n"
                                  "}\n",
                                  z->text_len, z->dit_dim, z->dit_ffn, z->freq_dim, z->text_dim,
                                  z->dit_heads, z->dit_layers);

    if (!text) return fail(ST_NOMEM, "%s: its text", path);
    status const st = file_write(path, text, strlen(text));
    free(text);
    TRY(st);
    return report(path);
}

static status make_dit(const struct job *j, const struct random_list *l, const char *path)
{
    return write_flat(j, l, path);
}

/* The weights that count are those under generator_ema: the same as in the
 * safetensors file. Those under generator are others. */
static status make_checkpoint(const struct job *j, const struct random_list *l, const char *path)
{
    struct torch_dict const dicts[] = {
        { .key = "generator", .prefix = "model.", .wrapper = "", .seed = j->seed + 1 },
        { .key = "generator_ema",
          .prefix = "model.",
          .wrapper = "_fsdp_wrapped_module.",
          .seed = j->seed },
    };
    return write_torch(j, l, dicts, COUNT_OF(dicts), path);
}

static status make_text(const struct job *j, const struct random_list *l, const char *path)
{
    struct torch_dict const dict = { .prefix = "", .wrapper = "", .seed = j->seed };
    return write_torch(j, l, &dict, 1, path);
}

static status make_vae(const struct job *j, const struct random_list *l, const char *path)
{
    struct torch_dict const dict = {
        .prefix = "", .wrapper = "", .seed = j->seed, .ordered = true
    };
    return write_torch(j, l, &dict, 1, path);
}

static void list_dit(struct random_list *l, const struct job *j)
{
    random_dit(l, &j->size, j->dtype);
}
static void list_text(struct random_list *l, const struct job *j) { random_text(l, &j->size); }
static void list_vae(struct random_list *l, const struct job *j) { random_vae(l, &j->size); }

static status make_tokenizer(const struct job *j, const struct random_list *l, const char *path)
{
    (void)j, (void)l;
    TRY(spiece_write(path));
    return report(path);
}

static status make_config(const struct job *j, const struct random_list *l, const char *path)
{
    (void)l;
    return write_config(j, path);
}

static const struct {
    const char *part, *file;
    void (*list)(struct random_list *, const struct job *);
    status (*make)(const struct job *, const struct random_list *, const char *path);
} files[] = {
    { "dit", "config.json", NULL, make_config },
    { "dit", "diffusion_pytorch_model.safetensors", list_dit, make_dit },
    { "checkpoint", "rolling_forcing_dmd.pt", list_dit, make_checkpoint },
    { "text", "models_t5_umt5-xxl-enc-bf16.pth", list_text, make_text },
    { "tokenizer", "google/umt5-xxl/spiece.model", NULL, make_tokenizer },
    { "vae", "Wan2.1_VAE.pth", list_vae, make_vae },
};

static status make_file(const struct job *j, int i)
{
    struct random_list l = { 0 };
    char *const path = path_join(j->dir, files[i].file);
    char *const dir = path ? path_dir(path) : NULL;
    status st = ST_OK;

    if (!dir) {
        st = fail(ST_NOMEM, "%s: a name", files[i].file);
        goto out;
    }
    TRY_OUT(dir_make(dir));
    if (files[i].list) files[i].list(&l, j);
    if (l.failed) {
        st = fail(ST_NOMEM, "%s: the list of its tensors", path);
        goto out;
    }
    TRY_OUT(files[i].make(j, &l, path));
out:
    random_free(&l);
    free(dir);
    free(path);
    return st;
}

static status make_all(struct job *j)
{
    status st = ST_OK;
    int made = 0;

    j->chunk = malloc(CHUNK * sizeof(float));
    if (!j->chunk) return fail(ST_NOMEM, "room for %d numbers", CHUNK);
    TRY_OUT(pool_open(&j->pool, pool_cpus()));
    for (int i = 0; i < COUNT_OF(files); i++) {
        if (j->only && strcmp(j->only, files[i].part)) continue;
        TRY_OUT(make_file(j, i));
        made++;
    }
    if (!made) st = fail(ST_ARG, "--only %s: dit, checkpoint, text, vae or tokenizer", j->only);
out:
    pool_close(&j->pool);
    free(j->chunk);
    return st;
}

/* ---- options ---------------------------------------------------------------------------- */

static status set_size(struct job *j, const char *name)
{
    for (int i = 0; i < COUNT_OF(sizes); i++)
        if (!strcmp(sizes[i].name, name)) {
            j->size = sizes[i];
            return ST_OK;
        }
    return fail(ST_ARG, "--size %s: tiny, small, bench-small, bench-middle or 1.3b", name);
}

static status set_dtype(struct job *j, const char *name)
{
    if (strcmp(name, "f32") && strcmp(name, "bf16"))
        return fail(ST_ARG, "--dtype %s: f32 or bf16", name);
    j->dtype = name[0] == 'f' ? DT_F32 : DT_BF16;
    return ST_OK;
}

static status whole(const char *name, const char *text, long max, int *out)
{
    char *end;
    long const n = strtol(text, &end, 10);

    if (end == text || *end || n < 1 || n > max)
        return fail(ST_ARG, "--%s %s: a whole number from 1 to %ld", name, text, max);
    *out = (int)n;
    return ST_OK;
}

/* Numbers that overrule those of the size. */
struct number {
    const char *name;
    int max, *to;
};

static status set_number(const struct number *numbers, int count, const char *name,
                         const char *text)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(numbers[i].name, name)) return whole(name, text, numbers[i].max, numbers[i].to);
    return fail(ST_ARG, "--%s: no such option", name);
}

static status parse(struct job *j, int argc, char **argv, bool *help)
{
    int head_dim = 0, seed = 1;
    struct number const numbers[] = {
        { "layers", 256, &j->size.dit_layers },    { "dim", 16384, &j->size.dit_dim },
        { "ffn", 65536, &j->size.dit_ffn },        { "head-dim", 1024, &head_dim },
        { "text-dim", 16384, &j->size.text_dim },  { "text-layers", 256, &j->size.text_layers },
        { "vae-width", 1024, &j->size.vae_width }, { "seed", INT32_MAX, &seed },
    };

    TRY(set_size(j, "tiny"));
    for (int i = 1; i < argc; i++) {
        const char *const name = argv[i] + 2;
        if (!strcmp(argv[i], "--help")) {
            *help = true;
            return ST_OK;
        }
        if (strncmp(argv[i], "--", 2) != 0) {
            if (j->dir) return fail(ST_ARG, "%s: one DIR is wanted", argv[i]);
            j->dir = argv[i];
            continue;
        }
        if (++i == argc) return fail(ST_ARG, "--%s needs a value", name);
        if (!strcmp(name, "size")) TRY(set_size(j, argv[i]));
        else if (!strcmp(name, "dtype")) TRY(set_dtype(j, argv[i]));
        else if (!strcmp(name, "only")) j->only = argv[i];
        else TRY(set_number(numbers, COUNT_OF(numbers), name, argv[i]));
    }
    if (!j->dir) return fail(ST_ARG, "a DIR is wanted");
    j->seed = (uint64_t)seed;
    if (head_dim) j->size.dit_heads = j->size.dit_dim / head_dim;
    if (j->size.dit_heads < 1 || j->size.dit_dim % j->size.dit_heads)
        return fail(ST_ARG, "a width of %d does not split into heads of %d", j->size.dit_dim,
                    head_dim);
    return ST_OK;
}

int main(int argc, char **argv)
{
    struct job j = { .dtype = DT_F32, .seed = 1 };
    bool help = false;

    if (parse(&j, argc, argv, &help) != ST_OK) {
        log_warn("%s", error_last()->msg);
        fputs(usage, stderr);
        return 2;
    }
    if (help) {
        fputs(usage, stdout);
        return 0;
    }
    if (make_all(&j) == ST_OK) return 0;
    log_warn("%s", error_last()->msg);
    return 1;
}
