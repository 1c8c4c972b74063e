/*
 * fuzz_case.c - any bytes as the JSON that stands beside a golden case's tensors and a model's:
 * what is before the first zero as case.json and as config.json, what is behind it as slots.json.
 */
#include "tests/fuzz/fuzz.h"

#include "base/file.h"
#include "cmd/verify/verify_internal.h"
#include "pipeline/dit/dit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], slots[96];

static void make_folder(void)
{
    if (dir[0]) return;
    snprintf(dir, sizeof dir, "/tmp/fuzz-case.%ld", (long)getpid());
    if (mkdir(dir, 0700)) abort();
    snprintf(slots, sizeof slots, "%s/slots.json", dir);
}

static void read_case(struct verify_case *c)
{
    struct verify_loras loras = { .count = 0 };
    struct schedule schedule;
    struct kv_policy policy;
    int n;

    if (verify_read_schedule(c, &schedule) == ST_OK &&
        verify_read_policy(c, schedule.levels, &policy) == ST_OK && kv_policy_check(&policy))
        abort(); /* what is taken is sound */
    if (verify_int(c, "latent_frames", 1, 9, &n) == ST_OK && (n < 1 || n > 9)) abort();
    if (verify_loras_read(c, &loras) == ST_OK && loras.count > VERIFY_LORAS) abort();
    verify_loras_free(&loras);
}

static void read_slots(struct verify_case *c, const uint8_t *data, size_t size)
{
    struct verify_slots s = { .levels = 4, .frames = 3, .blocks = 12, .tokens = 12 };
    FILE *const f = fopen(slots, "wb");

    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
    if (verify_slots_read(c, &s) == ST_OK && s.count != c->computed.count) abort();
    verify_slots_free(&s);
    for (int i = 0; i < c->computed.count; i++) {
        free(c->computed.item[i].name);
        free(c->computed.item[i].t.data);
    }
    free(c->computed.item);
    c->computed = (struct verify_set){ 0 };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t const first = size ? strnlen((const char *)data, size) : 0;
    size_t const behind = first < size ? first + 1 : size;
    struct verify_case c = { .dir = dir };
    struct dit_shape shape;

    make_folder();
    if (dit_shape_read(&shape, fuzz_file(data, first)) == ST_OK && shape.dim % shape.heads) abort();
    if (json_tree_read(&c.json, (const char *)data, first, "case.json") == ST_OK) read_case(&c);
    read_slots(&c, data + behind, size - behind);
    json_tree_free(&c.json);
    error_clear();
    return 0;
}
