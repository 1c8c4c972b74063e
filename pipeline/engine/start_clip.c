/*
 * start_clip.c - the files of a finished clip that another goes on from: its video and its latents.
 *
 * The last pictures of a video are those of its last latents only where none was cut off at the
 * end, so clip.json is asked for both counts. Names in it are of its own folder, or nobody's.
 */
#include "base/file.h"
#include "base/json_tree.h"
#include "pipeline/engine/dispatch_internal.h"

#include <stdlib.h>
#include <string.h>

enum { RECORD_BYTES = 16 << 20 };

static char *path_of(const char *dir, const struct json_node *node)
{
    const char *const name = json_tree_text(json_tree_member(node, "file"));
    return name && name[0] && !strchr(name, '/') ? path_join(dir, name) : NULL;
}

static int64_t whole_of(const struct json_node *n)
{
    return json_tree_is(n, NODE_WHOLE) ? n->whole : 0;
}

static status read_record(struct start_clip *out, const char *dir, const struct json_node *root)
{
    const struct json_node *const video = json_tree_member(root, "video");
    const struct json_node *const latents = json_tree_member(root, "latents");
    const struct json_node *const shape = json_tree_member(latents, "shape");
    int64_t const pictures = whole_of(json_tree_member(video, "frames"));
    int64_t const frames = json_tree_is(shape, NODE_LIST) ? whole_of(json_tree_item(shape, 0)) : 0;

    out->video = path_of(dir, json_tree_item(json_tree_member(video, "streams"), 0));
    out->latents = path_of(dir, latents);
    if (!out->video || !out->latents)
        return fail(ST_FORMAT, "%s/clip.json: found no %s; allowed: a clip with video and latents",
                    dir, out->video ? "latents" : "video");
    if (frames > 0 && pictures == 1 + VAE_PICTURES * (frames - 1)) return ST_OK;
    return fail(ST_FORMAT,
                "%s/clip.json: found %lld pictures of %lld latent frames; allowed: all of them, "
                "1 and %d for each frame behind the first",
                dir, (long long)pictures, (long long)frames, VAE_PICTURES);
}

status start_clip_find(struct start_clip *out, const char *dir)
{
    char *const record = path_join(dir, "clip.json");
    struct json_node *root = NULL;
    char *text = NULL;
    size_t len = 0;
    status st = ST_OK;

    *out = (struct start_clip){ .video = NULL };
    if (!record) FAIL_OUT(ST_NOMEM, "%s: no memory", dir);
    TRY_OUT(file_read(record, RECORD_BYTES, &text, &len));
    TRY_OUT(json_tree_read(&root, text, len, record));
    TRY_OUT(read_record(out, dir, root));
out:
    json_tree_free(&root);
    free(text);
    free(record);
    if (st != ST_OK) start_clip_free(out);
    return st;
}

void start_clip_free(struct start_clip *s)
{
    free(s->video);
    free(s->latents);
    *s = (struct start_clip){ .video = NULL };
}
