/*
 * cmd_verify.c - golden cases: what the program computes against what was recorded; finished
 * clips: what is on the disk against what was written.
 *
 * Prints `case tensor max_abs rel_l2` for every expected tensor on stdout. A
 * tensor passes when its relative L2 error is within the tolerance; anything not
 * finite fails.
 */
#include "base/file.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/strbuf.h"
#include "cmd/backend.h"
#include "cmd/cmd.h"
#include "cmd/opts.h"
#include "cmd/verify/verify_internal.h"
#include "comm/world.h"
#include "pipeline/weights/tensor_file.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CASE_BYTES = 16 << 20 };

/* Relative L2. float32: the bound of a program written from the mathematics
 * alone, a hundred times what a faithful one needs; a fifth of it where blocks come one by one, for
 * there a mistake in what a block attends to may show as little as 2e-4. bf16: whole clips. FP8
 * products: a rounding to e4m3 errs by 2^-4 / sqrt 3 = 3.6e-2 of a number at most, root mean
 * square, so a product of two rounded ones by 5.1e-2, and a clip is taken to err by twice that. FP8
 * attention brings as much again, and has no part in the products' errors: by sqrt 2 more.
 * Keys and values in fp8 on the wire: attention errs by no more than keys and values together,
 * 5.1e-2, whatever the precision, and a clip by no more than attention. */
static double tolerance_of(const struct verify_options *o, bool by_line, bool one_by_one)
{
    if (by_line && o->backend->low_precision && o->precision == DT_BF16)
        return o->backend->low_precision_attention ? 1.5e-1 : 1e-1;
    if (by_line && o->mode.wire == LINE_FP8) return 5.1e-2;
    if (one_by_one && o->precision == DT_F32) return 2e-5;
    return o->precision == DT_F32 ? 1e-4 : 2e-2;
}

/* What was found; most: 0 while nothing has been judged by a bound. */
struct verdict {
    int bad;
    double least, most; /* bounds */
};

static void note_bound(struct verdict *v, double bound)
{
    if (v->most == 0 || bound < v->least) v->least = bound;
    if (bound > v->most) v->most = bound;
}

/* "2e-05", or "2e-05 to 0.0001, each by its own" */
static const char *bounds_text(const struct verdict *v, char buf[64])
{
    int const n = snprintf(buf, 64, "%g", v->least);

    if (v->most > v->least) snprintf(buf + n, 64 - (size_t)n, " to %g, each by its own", v->most);
    return buf;
}

static void drop_computed(struct verify_set *s)
{
    for (int i = 0; i < s->count; i++) {
        free(s->item[i].name);
        free(s->item[i].t.data);
    }
    free(s->item);
    *s = (struct verify_set){ 0 };
}

static const struct verify_tensor *find_computed(const struct verify_case *c, const char *name)
{
    for (int i = 0; i < c->computed.count; i++)
        if (!strcmp(c->computed.item[i].name, name)) return &c->computed.item[i];
    return NULL;
}

/* One line of the result: bad unless within the tolerance, every element finite. */
static status compare_tensor(struct verify_case *c, int i, const char *what, struct verdict *v)
{
    const struct weight_info *const info = weights_at(c->expected, i);
    const struct verify_tensor *const got = find_computed(c, info->name);
    int64_t const n = tensor_count(&info->t);
    double const bound = tolerance_of(&c->o, c->by_line, c->one_by_one);
    double max = 0, error = 0, norm = 0;
    const void *data;

    v->bad++;
    note_bound(v, bound);
    if (!got || !tensor_same_shape(&got->t, &info->t)) {
        char shape[SHAPE_TEXT];
        printf("%s %s %s not computed\n", what, info->name, tensor_shape(&info->t, shape));
        return ST_OK;
    }
    TRY(weights_fetch(c->expected, i, &data));
    struct tensor want = info->t;
    want.data = (void *)(uintptr_t)data;
    for (int64_t e = 0; e < n; e++) {
        double const a = (double)tensor_get(&got->t, e), b = (double)tensor_get(&want, e);
        if (!(fabs(a - b) <= max) && !isnan(max)) max = fabs(a - b); /* once NaN, for good */
        error += (a - b) * (a - b);
        norm += b * b;
    }
    double const rel = norm > 0 ? sqrt(error / norm) : sqrt(error);
    v->bad -= rel <= bound;
    printf("%s %s %.3e %.3e%s\n", what, info->name, max, rel, rel <= bound ? "" : "  OVER");
    return ST_OK;
}

static status compare_all(struct verify_case *c, const char *what, struct verdict *v)
{
    v->bad += c->mismatches;
    c->mismatches = 0;
    for (int i = 0; c->expected && i < weights_count(c->expected); i++)
        TRY(compare_tensor(c, i, what, v));
    return ST_OK;
}

static status write_computed(const struct verify_case *c, const char *path)
{
    struct tensor_file_item *const items = calloc((size_t)c->computed.count + 1, sizeof *items);

    if (!items) return fail(ST_NOMEM, "%s: %d tensors", path, c->computed.count);
    for (int i = 0; i < c->computed.count; i++)
        items[i] = (struct tensor_file_item){ c->computed.item[i].name, c->computed.item[i].t };
    status const st = tensor_file_write(path, items, c->computed.count);
    free(items);
    return st;
}

/* What a case is about must be among what it expects. */
static status check_expected(const struct verify_case *c, const char *name)
{
    if (weights_find(c->expected, name) >= 0) return ST_OK;
    return fail(ST_FORMAT, "%s/expected.safetensors: no tensor `%s`", c->dir, name);
}

static int is_weights(const struct dirent *e)
{
    const char *const dot = strrchr(e->d_name, '.');
    return dot && (!strcmp(dot, ".safetensors") || !strcmp(dot, ".pt") || !strcmp(dot, ".gguf"));
}

static status run_weights(struct verify_case *c, const char *what, const char *file,
                          struct verdict *v)
{
    char *const name = str_format("%s[%s]", what, file);
    status st = ST_OK;

    if (!name) return fail(ST_NOMEM, "%s: no memory for its name", c->dir);
    drop_computed(&c->computed);
    TRY_OUT(verify_rolling(c, file, name));
    if (c->o.world->rank == 0) TRY_OUT(compare_all(c, name, v));
out:
    free(name);
    return st;
}

/* A rolling case may hold the same weights in several forms: each must give the clip. */
static status run_rolling(struct verify_case *c, const char *what, struct verdict *v)
{
    char *const dir = verify_model(c, "");
    struct dirent **files = NULL;
    int const count = dir ? scandir(dir, &files, is_weights, alphasort) : 0;
    int models = 0;
    status st = ST_OK;

    if (!dir) st = fail(ST_NOMEM, "%s: no memory for its name", c->dir);
    for (int i = 0; i < count; i++) {
        bool const model = !verify_is_lora(c, files[i]->d_name);
        models += model;
        if (st == ST_OK && model) st = run_weights(c, what, files[i]->d_name, v);
        free(files[i]);
    }
    if (st == ST_OK && !models)
        st = fail(ST_FORMAT, "%s: no .safetensors, .pt or .gguf file of a model is there", dir);
    free(files);
    free(dir);
    return st;
}

static status run_kind(struct verify_case *c, const char *what, struct verdict *v)
{
    static const struct {
        const char *name;
        status (*run)(struct verify_case *c);
        const char *about; /* the tensor it must expect; NULL: none */
        const char *keys[16];
    } kinds[] = {
        { "vae",
          verify_vae,
          "decoded",
          { "kind", "latent_frames", "latent_height", "latent_width", "dim" } },
        { "text",
          verify_text,
          "prompt_embeds",
          { "kind", "buckets", "dim", "dim_attn", "ffn_dim", "heads", "layers", "text_len",
            "vocab" } },
        { "ema", verify_ema, "f32/1", { "kind", "ema_alpha", "updates", "source" } },
        { "tokenizer", verify_tokenizer, NULL, { "kind", "cases", "text_len" } },
    };
    const char *const kind = json_tree_text(json_tree_member(c->json, "kind"));

    /* A tokenizer case holds its prompts and ids in case.json. */
    if (kind && strcmp(kind, "tokenizer") && (!c->inputs || !c->expected))
        return fail(ST_FORMAT, "%s: %s.safetensors is missing", c->dir,
                    c->inputs ? "expected" : "inputs");
    if (kind && !strcmp(kind, "rolling")) {
        TRY(check_expected(c, "latents"));
        return run_rolling(c, what, v);
    }
    for (int i = 0; kind && i < COUNT_OF(kinds); i++)
        if (!strcmp(kind, kinds[i].name)) {
            if (c->o.world->rank != 0) return ST_OK; /* nothing to share out */
            TRY(verify_keys(c, kinds[i].keys, COUNT_OF(kinds[i].keys)));
            if (kinds[i].about) TRY(check_expected(c, kinds[i].about));
            TRY(kinds[i].run(c));
            return compare_all(c, what, v);
        }
    return fail(ST_FORMAT, "%s/case.json: kind: rolling, vae, text, ema or tokenizer is expected",
                c->dir);
}

/* The folder beside the case that it shares a model with. */
static status find_shared(struct verify_case *c)
{
    const struct json_node *const n = json_tree_member(c->json, "shares");
    const char *const name = n ? json_tree_text(n) : NULL;

    if (!n) return ST_OK;
    if (!name || !name[0] || name[0] == '.' || strchr(name, '/'))
        return fail(ST_FORMAT, "%s/case.json: shares: the name of a case beside it is expected",
                    c->dir);
    c->shared = str_format("%s/../%s", c->dir, name);
    return c->shared ? ST_OK : fail(ST_NOMEM, "%s: no memory for its name", c->dir);
}

/* *to stays NULL where there is none. */
static status open_tensors(struct weights **to, const char *dir, const char *name)
{
    char *const file = path_join(dir, name);
    status st = ST_OK;

    if (!file) return fail(ST_NOMEM, "%s: no memory for its name", dir);
    if (path_exists(file)) st = weights_open(to, file, NULL);
    free(file);
    return st;
}

static status open_case(struct verify_case *c)
{
    char *const path = path_join(c->dir, "case.json");
    char *text = NULL;
    size_t len;
    status st = ST_OK;

    if (!path) return fail(ST_NOMEM, "%s: no memory for its name", c->dir);
    TRY_OUT(file_read(path, CASE_BYTES, &text, &len));
    TRY_OUT(json_tree_read(&c->json, text, len, path));
    TRY_OUT(find_shared(c));
    TRY_OUT(open_tensors(&c->expected, c->dir, "expected.safetensors"));
    TRY_OUT(open_tensors(&c->inputs, c->dir, "inputs.safetensors"));
    if (!c->inputs && c->shared) TRY_OUT(open_tensors(&c->inputs, c->shared, "inputs.safetensors"));
out:
    free(text);
    free(path);
    return st;
}

static status run_case(const char *dir, const struct verify_options *o, const char *out,
                       struct verdict *v)
{
    struct verify_case c = { .dir = dir, .o = *o };
    const char *const slash = strrchr(dir, '/');
    status st = ST_OK;

    TRY_OUT(open_case(&c));
    TRY_OUT(run_kind(&c, slash && slash[1] ? slash + 1 : dir, v));
    if (out && o->world->rank == 0) TRY_OUT(write_computed(&c, out));
out:
    drop_computed(&c.computed);
    weights_close(&c.inputs);
    weights_close(&c.expected);
    free(c.shared);
    json_tree_free(&c.json);
    return st;
}

struct verify {
    struct verify_options o;
    int devices;
    char **cases;
    int count;
    const char *out;
};

static status verify_main(struct comm *world, void *arg)
{
    const struct verify *const v = arg;
    struct verify_options o = v->o;
    struct verdict found = { 0 };
    char bounds[64];

    log_set_rank(world->size > 1 ? world->rank : -1);
    o.world = world;
    o.device = world_device(world, v->devices);
    o.threads = o.threads > world->size ? o.threads / world->size : 1;
    for (int i = 0; i < v->count; i++) TRY(run_case(v->cases[i], &o, v->out, &found));
    if (world->rank == 0 && fflush(stdout)) return fail(ST_IO, "verify: cannot print the results");
    if (found.bad)
        return fail(ST_MISMATCH, "%d results are off by more than %s", found.bad,
                    bounds_text(&found, bounds));
    TRY(comm_agree(world, ST_OK));
    if (world->rank == 0) log_info("verify: all within %s", bounds_text(&found, bounds));
    return ST_OK;
}

/* Finished clips are looked at here and taken off the list; what is left are cases. */
static status verify_clips(char **path, int *count)
{
    int clips = 0, bad = 0, cases = 0;

    for (int i = 0; i < *count; i++) {
        if (!verify_is_clip(path[i])) {
            path[cases++] = path[i];
            continue;
        }
        clips++;
        if (comm_launcher_rank() <= 0) TRY(verify_clip(path[i], &bad));
    }
    *count = cases;
    if (bad) return fail(ST_MISMATCH, "%d of %d clips are damaged", bad, clips);
    return ST_OK;
}

struct verify_request {
    const char *precision, *out;
    struct backend_request backend;
    int ranks, threads, deadline;
};

static status parse_verify(struct verify_request *r, int *argc, char **argv, bool *help)
{
    struct opt const table[] = {
        BACKEND_OPTIONS(r->backend),
        { "precision", OPT_CHOICE, &r->precision, .value = "TYPE",
          .help = "of weights and activations", .choices = "f32|bf16" },
        { "ranks", OPT_INT, &r->ranks, .value = "N",
          .help = "threads that share out the stages; under mpirun it says how many", .min = 1,
          .max = 16 },
        { "threads", OPT_INT, &r->threads, .value = "N", .help = "threads in all", .min = 1,
          .max = 4096 },
        { "deadline", OPT_INT, &r->deadline, .value = "S",
          .help = "longest wait of one rank for another", .min = 1, .max = 86400 },
        { "out", OPT_TEXT, &r->out, .value = "FILE",
          .help = "write what was computed, under the expected names" },
    };
    struct opts const o = {
        .usage = "verify CASE... | CLIP... [options]",
        .about =
            "Read all files of finished clips (folders with clip.json) and compare them with what\n"
            "was written; exit 1 if one is damaged.\n"
            "Run golden cases: folders with case.json, model/, inputs.safetensors and\n"
            "expected.safetensors. Prints `case tensor max_abs rel_l2`; exit 1 if a tensor\n"
            "is off by more than 1e-4 (f32; 2e-5 block by block), 2e-2 (bf16), 5.1e-2 (--wire fp8), 1e-1 (bf16\n"
            "with FP8 products, --kernels 3) or 1.5e-1 (with FP8 attention too, --kernels 4),\n"
            "relative L2.\n",
        .table = table,
        .count = COUNT_OF(table),
    };

    TRY(opts_parse(&o, argc, argv, help));
    if (*help) return ST_OK;
    if (*argc < 2)
        return fail(ST_ARG, "verify needs a folder of a golden case or of a clip; see --help");
    if (r->out && *argc > 2)
        return fail(ST_ARG, "--out takes one case at a time; %d were given", *argc - 1);
    opts_print(&o);
    return ST_OK;
}

status cmd_verify(int argc, char **argv)
{
    struct verify_request r = {
        .precision = "f32", .ranks = 1, .threads = pool_cpus(), .deadline = 600
    };
    struct backend backend;
    bool help;

    TRY(parse_verify(&r, &argc, argv, &help));
    if (help) return ST_OK;
    int cases = argc - 1;
    TRY(verify_clips(argv + 1, &cases));
    if (!cases) return ST_OK;
    TRY(backend_choose(&backend, &r.backend));
    backend_print(&backend);

    enum dtype const act = strcmp(r.precision, "f32") ? DT_BF16 : DT_F32;
    TRY(kern_backend_supports(backend.kern, act));
    struct verify v = {
        .devices = backend.devices,
        .o = { .backend = backend.kern,
               .mode = backend.mode,
               .precision = act,
               .threads = r.threads },
        .cases = argv + 1,
        .count = cases,
        .out = r.out,
    };
    return world_run(&(struct world_options){ .ranks = r.ranks,
                                              .deadline_s = r.deadline,
                                              .devices = backend.devices,
                                              .report = cmd_report,
                                              .exit_code = cmd_exit_code },
                     verify_main, &v);
}
