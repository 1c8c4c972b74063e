/* torchzip.c - members of a torch zip file by their name under its one folder. */
#include "base/strbuf.h"
#include "pipeline/weights/weights_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct torchzip {
    char *path, *folder; /* folder: with its slash */
    struct zip_dir dir;
};

bool torchzip_looks(const unsigned char *data, size_t size)
{
    return size >= 4 && !memcmp(data, "PK\3\4", 4);
}

/* The folder of the one member NAME/data.pkl. */
static status find_folder(struct torchzip *z)
{
    for (size_t i = 0; i < z->dir.count; i++) {
        const struct zip_member *const m = &z->dir.member[i];
        const char *const slash = memchr(m->name, '/', m->name_len);
        size_t const folder = slash ? (size_t)(slash + 1 - m->name) : 0;
        if (!slash || m->name_len - folder != strlen("data.pkl") ||
            memcmp(slash + 1, "data.pkl", strlen("data.pkl")) != 0)
            continue;
        if (z->folder)
            return fail(ST_FORMAT, "%s: both %sdata.pkl and %.*s; one is allowed", z->path,
                        z->folder, (int)m->name_len, m->name);
        z->folder = str_format("%.*s", (int)folder, m->name);
        if (!z->folder) return fail(ST_NOMEM, "%s: no memory for a name", z->path);
    }
    if (!z->folder)
        return fail(ST_FORMAT, "%s: a zip file without NAME/data.pkl: no torch checkpoint",
                    z->path);
    return ST_OK;
}

static status look_up_member(struct torchzip *z, const char *member, const struct zip_member **out)
{
    char *const name = str_format("%s%s", z->folder, member);

    if (!name) return fail(ST_NOMEM, "%s: no memory for a name", z->path);
    *out = zip_dir_find(&z->dir, name);
    free(name);
    return ST_OK;
}

static status find_member(struct torchzip *z, const char *member, const struct zip_member **out)
{
    TRY(look_up_member(z, member, out));
    const struct zip_member *const m = *out;
    if (!m) return fail(ST_FORMAT, "%s: has no member %s%s", z->path, z->folder, member);
    if (!m->plain)
        return fail(ST_FORMAT,
                    "%s: %s%s is compressed or encrypted; torch stores its members plain", z->path,
                    z->folder, member);
    if (m->bytes != m->stored || m->bytes > z->dir.file_bytes)
        return fail(ST_FORMAT,
                    "%s: %s%s claims %" PRIu64 " bytes, stored in %" PRIu64
                    " of a file of %" PRIu64,
                    z->path, z->folder, member, m->bytes, m->stored, z->dir.file_bytes);
    return ST_OK;
}

status torchzip_size(struct torchzip *z, const char *member, size_t *bytes)
{
    const struct zip_member *m;

    TRY(find_member(z, member, &m));
    *bytes = (size_t)m->bytes;
    return ST_OK;
}

status torchzip_read(struct torchzip *z, const char *member, void *buf, size_t bytes)
{
    const struct zip_member *m;

    TRY(find_member(z, member, &m));
    if (m->bytes != bytes)
        return fail(ST_ARG, "%s: %s%s has %" PRIu64 " bytes, not %zu", z->path, z->folder, member,
                    m->bytes, bytes);
    return zip_dir_read(&z->dir, m, buf);
}

static status check_byteorder(struct torchzip *z)
{
    const struct zip_member *m;
    char order[8] = { 0 };
    size_t bytes;

    TRY(look_up_member(z, "byteorder", &m));
    if (!m) return ST_OK;
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

    *out = NULL;
    if (!z || !(z->path = str_format("%s", path)))
        FAIL_OUT(ST_NOMEM, "%s: no memory for a zip file", path);
    TRY_OUT(zip_dir_open(&z->dir, z->path));
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
    zip_dir_close(&(*z)->dir);
    free((*z)->folder);
    free((*z)->path);
    free(*z);
    *z = NULL;
}
