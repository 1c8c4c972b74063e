/* fuzz_snapshot.c - any bytes as what an attempt has left: a snapshot, latents, packets. The
 * checksums are made right, so that what stands behind them is reached. */
#include "tests/fuzz/fuzz.h"

#include "base/file.h"
#include "pipeline/resume/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Records cut where the input says: a length in two bytes, a number in one, and so many bytes. */
static void write_records(const char *path, const uint8_t *data, size_t size)
{
    struct journal j;

    if (journal_open(&j, path) != ST_OK) abort();
    while (size > 3) {
        size_t const want = (size_t)data[0] | (size_t)data[1] << 8, left = size - 3;
        size_t const len = want < left ? want : left;
        if (journal_append(&j, (int8_t)data[2], data + 3, len) != ST_OK) abort();
        data += 3 + len;
        size -= 3 + len;
    }
    journal_close(&j);
}

static void read_all(const char *dir)
{
    struct snapshot_reader r;

    if (snapshot_reader_open(&r, dir, 1) != ST_OK) return;
    for (int64_t block = 0; block < r.s.blocks + r.s.windows && block < 64; block++) {
        const float *x;
        if (block < r.s.blocks) (void)!snapshot_latent(&r, block, &x);
        else (void)!snapshot_window(&r, block, &x);
    }
    snapshot_reader_close(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char dir[64], snapshot[96], latents[96];
    struct journal_reader r;
    bool more = true;

    if (!dir[0]) {
        snprintf(dir, sizeof dir, "/tmp/fuzz-snapshot.%ld", (long)getpid());
        if (mkdir(dir, 0700)) abort();
        snprintf(snapshot, sizeof snapshot, "%s/snapshot.1", dir);
        snprintf(latents, sizeof latents, "%s/latents", dir);
    }
    write_records(snapshot, data, size);
    write_records(latents, data, size);
    read_all(dir);
    if (journal_reader_open(&r, fuzz_file(data, size), -1) == ST_OK) { /* as they come */
        while (more && journal_read(&r, 1 << 20, &more) == ST_OK) continue;
        journal_reader_close(&r);
    }
    error_clear();
    return 0;
}
