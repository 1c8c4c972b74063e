/* verify_text.c - recorded token ids through the text encoder. */
#include "cmd/verify/verify_internal.h"
#include "pipeline/text/umt5.h"

#include <stdlib.h>
#include <string.h>

/* An input of whole numbers as int32, malloc'ed; caller frees. */
static status read_integers(struct verify_case *c, const char *name, int32_t **out)
{
    struct tensor t;
    const void *data;

    *out = NULL;
    TRY(verify_input_shape(c, name, &t));
    if (t.dtype != DT_I64 && t.dtype != DT_I32)
        return fail(ST_FORMAT, "%s/inputs.safetensors: %s is %s; I64 or I32 is expected", c->dir,
                    name, dtype_name(t.dtype));
    TRY(weights_fetch(c->inputs, weights_find(c->inputs, name), &data));
    int32_t *const ids = malloc((size_t)tensor_count(&t) * sizeof *ids + 1);
    if (!ids) return fail(ST_NOMEM, "%s: %zu bytes", name, tensor_bytes(&t));
    for (int64_t i = 0; i < tensor_count(&t); i++)
        ids[i] =
            t.dtype == DT_I32 ? ((const int32_t *)data)[i] : (int32_t)((const int64_t *)data)[i];
    *out = ids;
    return ST_OK;
}

static status encode_prompts(struct verify_case *c, struct umt5 *encoder, const int32_t *ids,
                             const int32_t *lengths, int64_t n, int64_t len)
{
    int64_t const dim = umt5_shape(encoder)->dim;
    struct umt5_prompt *const prompts = calloc((size_t)n + 1, sizeof *prompts);
    float *embeds;
    status st = ST_OK;

    if (!prompts) return fail(ST_NOMEM, "%lld prompts", (long long)n);
    TRY_OUT(verify_add(c, "prompt_embeds", DIMS(n, len, dim), &embeds));
    for (int64_t i = 0; i < n; i++) {
        float *const rows = embeds + i * len * dim;
        if (lengths[i] < 1 || lengths[i] > len)
            FAIL_OUT(ST_FORMAT, "%s/inputs.safetensors: lengths[%lld]: %d; 1 to %lld are expected",
                     c->dir, (long long)i, lengths[i], (long long)len);
        memset(rows + lengths[i] * dim, 0, (size_t)((len - lengths[i]) * dim) * sizeof *rows);
        prompts[i] = (struct umt5_prompt){ ids + i * len, lengths[i], rows };
    }
    TRY_OUT(umt5_encode(encoder, prompts, (int)n));
out:
    free(prompts);
    return st;
}

status verify_text(struct verify_case *c)
{
    char *const path = verify_model(c, "models_t5_umt5-xxl-enc-bf16.pth");
    struct umt5_config config = { .backend = c->o.backend,
                                  .threads = c->o.threads,
                                  .device = c->o.device,
                                  .precision = c->o.precision };
    struct umt5 *encoder = NULL;
    int32_t *ids = NULL, *lengths = NULL;
    struct tensor shape, count;
    status st = ST_OK;

    if (!path) return fail(ST_NOMEM, "%s: no memory for its name", c->dir);
    TRY_OUT(weights_open_as(&config.weights,
                            &(struct weights_request){ .path = path, .family = WEIGHTS_TEXT }));
    TRY_OUT(umt5_open(&encoder, &config));
    TRY_OUT(verify_input_shape(c, "ids", &shape));
    TRY_OUT(verify_input_shape(c, "lengths", &count));
    if (shape.ndim != 2 || count.ndim != 1 || count.dim[0] != shape.dim[0] ||
        shape.dim[0] > INT32_MAX)
        FAIL_OUT(ST_FORMAT, "%s/inputs.safetensors: ids [n, text_len] and lengths [n] are expected",
                 c->dir);
    TRY_OUT(read_integers(c, "ids", &ids));
    TRY_OUT(read_integers(c, "lengths", &lengths));
    TRY_OUT(encode_prompts(c, encoder, ids, lengths, shape.dim[0], shape.dim[1]));
out:
    umt5_close(&encoder);
    weights_close(&config.weights);
    free(ids);
    free(lengths);
    free(path);
    return st;
}
