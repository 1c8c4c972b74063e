/* file_kind.c - what stands where a model's file was meant, by its first bytes. */
#define _GNU_SOURCE /* memmem */
#include "base/file_kind.h"

#include <string.h>
#include <strings.h>

#define MAGIC(s) s, sizeof(s) - 1

static const struct {
    const char *magic;
    size_t len;
    const char *what;
} forms[] = {
    { MAGIC("version https://git-lfs.github.com/"),
      "a Git LFS pointer in place of the file; `git lfs pull` fetches the file" },
    { MAGIC("GGUF"), FILE_KIND_GGUF },
    { MAGIC("\x80\2\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."),
      "a torch file in the form from before torch 1.6; torch.load it and torch.save it again" },
    { MAGIC("PK\3\4"), FILE_KIND_ZIP },
    { MAGIC("\x80"), "a Python pickle without a torch file around it" },
    { MAGIC("\x1f\x8b"), "a gzip archive; unpack it first" },
    { MAGIC("\x28\xb5\x2f\xfd"), "a zstd archive; unpack it first" },
    { MAGIC("7z\xbc\xaf\x27\x1c"), "a 7z archive; unpack it first" },
    { MAGIC("\x93NUMPY"), "a NumPy file" },
    { MAGIC("\x89HDF\r\n\x1a\n"), "an HDF5 file" },
};

static bool begins_as(const char *at, const char *end, const char *with)
{
    size_t const n = strlen(with);
    return (size_t)(end - at) >= n && !strncasecmp(at, with, n);
}

static bool has_text(const char *at, const char *end, const char *text)
{
    return memmem(at, (size_t)(end - at), text, strlen(text)) != NULL;
}

/* Pages of a hub that wants a login begin with blanks, a byte order mark, or neither. */
static const char *classify_text(const char *at, const char *end)
{
    if (begins_as(at, end, "\xef\xbb\xbf")) at += 3;
    while (at < end && strchr(" \t\r\n", *at)) at++;
    if (begins_as(at, end, "<!doctype") || begins_as(at, end, "<html") ||
        begins_as(at, end, "<head") || begins_as(at, end, "<?xml"))
        return "a web page; the download failed or needs a login";
    if (begins_as(at, end, "{") && has_text(at, end, "\"weight_map\"")) return FILE_KIND_INDEX;
    if (begins_as(at, end, "{") || begins_as(at, end, "[")) return FILE_KIND_JSON;
    return NULL;
}

const char *file_kind(const void *data, size_t size)
{
    const char *const at = data;
    size_t const seen = size < FILE_KIND_BYTES ? size : FILE_KIND_BYTES;

    if (!size) return "an empty file";
    for (int i = 0; i < COUNT_OF(forms); i++)
        if (size >= forms[i].len && !memcmp(at, forms[i].magic, forms[i].len)) return forms[i].what;
    if (!memchr(at, '\0', seen)) return classify_text(at, at + seen);
    return size > 8 && at[8] == '{' ? FILE_KIND_SAFETENSORS : NULL;
}
