/*
 * fuzz_torch.c - any bytes as a torch checkpoint.
 *
 * An input that begins as a pickle becomes the data.pkl of a sound zip file with
 * some storages, because no mutation gets past a checksum; any other is the zip
 * file itself.
 */
#include "tests/fuzz/fuzz.h"

#include "tools/zip_writer.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { STORAGES = 4, STORAGE_BYTES = 64 };

static void remove_file(void);

static const char *zip_path(void)
{
    static char path[64];

    if (!path[0]) {
        snprintf(path, sizeof path, "/dev/shm/fuzz_torch.%ld", (long)getpid());
        atexit(remove_file);
    }
    return path;
}

static void remove_file(void) { unlink(zip_path()); }

static status wrap(const uint8_t *pickle, size_t size)
{
    static const char zeros[STORAGE_BYTES];
    struct zip_writer *z;
    status st = ST_OK;
    char name[16];

    TRY(zip_writer_open(&z, zip_path()));
    TRY_OUT(zip_writer_member(z, "f/data.pkl", pickle, size));
    for (int i = 0; i < STORAGES; i++) {
        snprintf(name, sizeof name, "f/data/%d", i);
        TRY_OUT(zip_writer_member(z, name, zeros, sizeof zeros));
    }
    TRY_OUT(zip_writer_commit(z));
out:
    zip_writer_close(&z);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && data[0] == 0x80) {
        if (wrap(data, size) != ST_OK) abort();
        fuzz_weights(zip_path(), NULL);
    } else {
        fuzz_weights(fuzz_file(data, size), NULL);
        fuzz_weights(fuzz_file(data, size), "generator");
    }
    return 0;
}
