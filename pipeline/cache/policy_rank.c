/* policy_rank.c - the best of some scores, the same everywhere: equal ones in their order. */
#include "pipeline/cache/cache_internal.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

struct ranked {
    float score;
    int32_t at;
};

static int compare_scores(const void *a, const void *b)
{
    const struct ranked *const x = a, *const y = b;

    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static int compare_indices(const void *a, const void *b)
{
    int32_t const x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

status rank_best(const float *score, int64_t count, int64_t best, int32_t *out)
{
    struct ranked *const r = malloc((size_t)count * sizeof *r + 1);

    if (!r) return fail(ST_NOMEM, "cache: %lld scores", (long long)count);
    for (int64_t i = 0; i < count; i++) /* what is no number is chosen last, but chosen */
        r[i] = (struct ranked){ isnan(score[i]) ? -FLT_MAX : score[i], (int32_t)i };
    qsort(r, (size_t)count, sizeof *r, compare_scores);
    for (int64_t i = 0; i < best; i++) out[i] = r[i].at;
    qsort(out, (size_t)best, sizeof *out, compare_indices);
    free(r);
    return ST_OK;
}

status rank_check(const int32_t *choice, int64_t count, int64_t first, int64_t end)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t const least = i ? choice[i - 1] + INT64_C(1) : first;
        if (choice[i] < least || choice[i] >= end)
            return fail(ST_ARG, "cache: %d was chosen; %lld to %lld are allowed", choice[i],
                        (long long)least, (long long)(end - 1));
    }
    return ST_OK;
}

status rank_upload(const struct kv_call *c, const int32_t *choice, int64_t count)
{
    struct tensor const index = tensor_slice(&c->room.index, 0, count);
    float *const host = c->room.host + tensor_count(&c->room.score) + tensor_count(&c->room.sums);

    for (int64_t i = 0; i < count; i++) host[i] = (float)choice[i];
    TRY(c->ctx->backend->upload(c->ctx, &index, host));
    return c->ctx->backend->sync(c->ctx);
}
