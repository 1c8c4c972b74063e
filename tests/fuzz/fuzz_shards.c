/* fuzz_shards.c - any bytes as an index of shards, two of which lie beside it, and as the other
 * JSON beside weights, config.json. */
#include "tests/fuzz/fuzz.h"

#include "base/file.h"
#include "pipeline/dit/dit.h"
#include "pipeline/weights/tensor_file.h"
#include "pipeline/weights/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], index_path[128];

static void write_shard(const char *name, const char *tensor)
{
    char path[128];
    float numbers[] = { 1, 2, 3, 4 };
    struct tensor_file_item const items[] = { { tensor, { numbers, DT_F32, 1, { 4 } } },
                                              { "both", { numbers, DT_F32, 2, { 2, 2 } } } };

    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (tensor_file_write(path, items, COUNT_OF(items)) != ST_OK) abort();
}

static void make_folder(void)
{
    snprintf(dir, sizeof dir, "/tmp/fuzz-shards.%ld", (long)getpid());
    snprintf(index_path, sizeof index_path, "%s/model.safetensors.index.json", dir);
    if (mkdir(dir, 0700)) abort();
    write_shard("a.safetensors", "a");
    write_shard("b.safetensors", "b");
}

static void open_all(const char *path)
{
    struct weights *w;
    float to[4];

    if (weights_open(&w, path, NULL) != ST_OK) return;
    for (int i = 0; i < weights_count(w); i++)
        if (weights_at(w, i)->count != 4 || weights_read(w, i, 0, 4, to) != ST_OK) abort();
    weights_close(&w);
}

static void read_shape(const char *path)
{
    struct dit_shape s;

    if (dit_shape_read(&s, path) != ST_OK) return;
    if (s.dim < 1 || s.layers < 1 || s.heads < 1 || s.dim % s.heads || !(s.eps > 0)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!dir[0]) make_folder();
    FILE *const f = fopen(index_path, "wb");
    if (!f || fwrite(data, 1, size, f) != size || fclose(f)) abort();
    open_all(index_path);
    open_all(dir); /* which stands for its one index */
    read_shape(index_path);
    error_clear();
    return 0;
}
