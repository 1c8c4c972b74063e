/* clip_media.c - a finished clip's record, its pictures and latents. */
#include "base/clip_media.h"
#include "base/file.h"
#include "base/strbuf.h"

#include <stdlib.h>
#include <string.h>

enum { RECORD_BYTES = 64 << 20 };

status clip_record_read(struct json_node **root, const char *dir)
{
    char *const path = path_join(dir, "clip.json");
    char *text = NULL;
    size_t len;
    status st = ST_OK;

    *root = NULL;
    if (!path) return fail(ST_NOMEM, "%s: no memory for a name", dir);
    TRY_OUT(file_read(path, RECORD_BYTES, &text, &len));
    TRY_OUT(json_tree_read(root, text, len, path));
out:
    free(text);
    free(path);
    return st;
}

static status join_name(char **out, const char *dir, const struct json_node *entry)
{
    const char *const name = json_tree_text(json_tree_member(entry, "file"));

    *out = NULL;
    if (!name || !name[0] || strchr(name, '/')) return ST_OK;
    *out = path_join(dir, name);
    return *out ? ST_OK : fail(ST_NOMEM, "%s: no memory for a name", dir);
}

static int64_t read_count(const struct json_node *n)
{
    return json_tree_is(n, NODE_WHOLE) ? n->whole : 0;
}

status clip_media_read(struct clip_media *out, const char *dir)
{
    struct json_node *root;
    status st = ST_OK;

    *out = (struct clip_media){ .video = NULL };
    TRY(clip_record_read(&root, dir));
    const struct json_node *const video = json_tree_member(root, "video");
    const struct json_node *const latents = json_tree_member(root, "latents");
    const struct json_node *const shape = json_tree_member(latents, "shape");
    out->pictures = read_count(json_tree_member(video, "frames"));
    if (json_tree_is(shape, NODE_LIST)) out->latent_frames = read_count(json_tree_item(shape, 0));
    TRY_OUT(join_name(&out->video, dir, json_tree_item(json_tree_member(video, "streams"), 0)));
    TRY_OUT(join_name(&out->latents, dir, latents));
out:
    json_tree_free(&root);
    if (st != ST_OK) clip_media_free(out);
    return st;
}

void clip_media_free(struct clip_media *m)
{
    free(m->video);
    free(m->latents);
    *m = (struct clip_media){ .video = NULL };
}

status clip_media_check(const struct clip_media *m, const char *dir)
{
    if (m->video && m->latents) return ST_OK;
    return fail(ST_FORMAT, "%s/clip.json: found no %s; allowed: a clip with video and latents", dir,
                m->video ? "latents" : "video");
}

status clip_media_hash(const char *dir, bool (*stop)(void *arg), void *arg, char hex[DIGEST_HEX])
{
    char video[DIGEST_HEX], latents[DIGEST_HEX];
    struct clip_media m;
    char *text = NULL;
    status st = ST_OK;

    TRY(clip_media_read(&m, dir));
    TRY_OUT(clip_media_check(&m, dir));
    TRY_OUT(digest_file_unless(m.video, stop, arg, video));
    TRY_OUT(digest_file_unless(m.latents, stop, arg, latents));
    text = str_format("video %s\nlatents %s\n", video, latents);
    if (!text) FAIL_OUT(ST_NOMEM, "%s: no memory for its hash", dir);
    TRY_OUT(digest_bytes(text, strlen(text), hex));
out:
    clip_media_free(&m);
    free(text);
    return st;
}
