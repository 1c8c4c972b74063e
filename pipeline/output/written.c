/* written.c - a file that is written in one go, and read back. */
#include "base/file.h"
#include "base/file_record.h"
#include "pipeline/output/output_internal.h"

status write_checked(const char *path, const void *data, size_t len, struct written *out)
{
    struct file_record record;
    status st = ST_OK;

    TRY_OUT(file_record_open(&record, path));
    TRY_OUT(file_record_add(&record, data, len));
    TRY_OUT(file_write(path, data, len));
    TRY_OUT(file_record_check(&record, out->sha256));
    out->bytes = record.size;
out:
    file_record_close(&record);
    return st;
}
