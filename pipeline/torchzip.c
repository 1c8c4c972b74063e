#include "pipeline/torchzip.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zip.h>

struct torchzip {
    char *path, *folder; /* folder: with its slash */
    zip_t *zip;
    uint64_t file_bytes;
};

bool torchzip_looks(const unsigned char *data, size_t size)
{
    return size >= 4 && !memcmp(data, "PK\3\4", 4);
}

/* The folder of the one member NAME/data.pkl. */
static status find_folder(struct torchzip *z)
{
    zip_int64_t const n = zip_get_num_entries(z->zip, 0);

    for (zip_int64_t i = 0; i < n; i++) {
        const char *const name = zip_get_name(z->zip, (zip_uint64_t)i, ZIP_FL_ENC_RAW);
        const char *const slash = name ? strchr(name, '/') : NULL;
        if (!slash || strcmp(slash, "/data.pkl")) continue;
        if (z->folder)
            return fail(ST_FORMAT, "%s: both %sdata.pkl and %s; one is allowed", z->path, z->folder,
                        name);
        z->folder = text_format("%.*s", (int)(slash + 1 - name), name);
        if (!z->folder) return fail(ST_NOMEM, "%s: a name", z->path);
    }
    if (!z->folder)
        return fail(ST_FORMAT, "%s: a zip file without NAME/data.pkl: no torch checkpoint",
                    z->path);
    return ST_OK;
}

static status find_member(struct torchzip *z, const char *member, zip_stat_t *stat)
{
    zip_uint64_t const known = ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE |
                               ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    char *const name = text_format("%s%s", z->folder, member);

    if (!name) return fail(ST_NOMEM, "%s: a name", z->path);
    int const rc = zip_stat(z->zip, name, ZIP_FL_ENC_RAW, stat);
    free(name);
    if (rc || (stat->valid & known) != known)
        return fail(ST_FORMAT, "%s: has no member %s%s", z->path, z->folder, member);
    if (stat->comp_method != ZIP_CM_STORE || stat->encryption_method != ZIP_EM_NONE)
        return fail(ST_FORMAT,
                    "%s: %s%s is compressed or encrypted; torch stores its members plain", z->path,
                    z->folder, member);
    if (stat->size != stat->comp_size || stat->size > z->file_bytes)
        return fail(ST_FORMAT,
                    "%s: %s%s claims %" PRIu64 " bytes, stored in %" PRIu64
                    " of a file of %" PRIu64,
                    z->path, z->folder, member, (uint64_t)stat->size, (uint64_t)stat->comp_size,
                    z->file_bytes);
    return ST_OK;
}

status torchzip_size(struct torchzip *z, const char *member, size_t *bytes)
{
    zip_stat_t stat;

    TRY(find_member(z, member, &stat));
    *bytes = (size_t)stat.size;
    return ST_OK;
}

/* One read behind the end makes libzip compare the checksum. */
static status read_all(struct torchzip *z, const char *member, zip_file_t *f, unsigned char *buf,
                       size_t bytes)
{
    unsigned char behind;

    for (size_t n = 0; n < bytes;) {
        zip_int64_t const got = zip_fread(f, buf + n, bytes - n);
        if (got <= 0)
            return fail(ST_FORMAT, "%s: %s%s: byte %zu of %zu: %s", z->path, z->folder, member, n,
                        bytes, got ? zip_file_strerror(f) : "the file ends");
        n += (size_t)got;
    }
    if (zip_fread(f, &behind, 1) != 0)
        return fail(ST_FORMAT, "%s: %s%s: %s", z->path, z->folder, member, zip_file_strerror(f));
    return ST_OK;
}

status torchzip_read(struct torchzip *z, const char *member, void *buf, size_t bytes)
{
    zip_stat_t stat;

    TRY(find_member(z, member, &stat));
    if (stat.size != bytes)
        return fail(ST_ARG, "%s: %s%s has %" PRIu64 " bytes, not %zu", z->path, z->folder, member,
                    (uint64_t)stat.size, bytes);
    zip_file_t *const f = zip_fopen_index(z->zip, stat.index, 0);
    if (!f)
        return fail(ST_FORMAT, "%s: %s%s: %s", z->path, z->folder, member, zip_strerror(z->zip));
    status const st = read_all(z, member, f, buf, bytes);
    zip_fclose(f);
    return st;
}

static status check_byteorder(struct torchzip *z)
{
    char order[8] = { 0 };
    char *const name = text_format("%sbyteorder", z->folder);
    size_t bytes;

    if (!name) return fail(ST_NOMEM, "%s: a name", z->path);
    bool const there = zip_name_locate(z->zip, name, ZIP_FL_ENC_RAW) >= 0;
    free(name);
    if (!there) return ST_OK;
    TRY(torchzip_size(z, "byteorder", &bytes));
    if (bytes < sizeof order) TRY(torchzip_read(z, "byteorder", order, bytes));
    if (strcmp(order, "little"))
        return fail(ST_FORMAT, "%s: byte order `%s`; only `little` is read", z->path, order);
    return ST_OK;
}

status torchzip_open(struct torchzip **out, const char *path)
{
    struct torchzip *z = calloc(1, sizeof *z);
    status st = ST_OK;
    struct stat file;
    int why = 0;

    *out = NULL;
    if (!z || !(z->path = text_format("%s", path))) {
        st = fail(ST_NOMEM, "%s: a zip file", path);
        goto out;
    }
    z->zip = zip_open(path, ZIP_RDONLY, &why);
    if (!z->zip || stat(path, &file)) {
        zip_error_t e;
        zip_error_init_with_code(&e, why);
        st = fail(ST_FORMAT, "%s: %s", path, zip_error_strerror(&e));
        zip_error_fini(&e);
        goto out;
    }
    z->file_bytes = (uint64_t)file.st_size;
    TRY_OUT(find_folder(z));
    TRY_OUT(check_byteorder(z));
    *out = z;
    z = NULL; /* handed over */
out:
    torchzip_close(&z);
    return st;
}

void torchzip_close(struct torchzip **z)
{
    if (!*z) return;
    if ((*z)->zip) zip_discard((*z)->zip);
    free((*z)->folder);
    free((*z)->path);
    free(*z);
    *z = NULL;
}
