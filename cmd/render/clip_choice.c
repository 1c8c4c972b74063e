/* clip_choice.c - which clips of a job are wanted: what farms say by --clips and --part. */
#include "cmd/render/render_internal.h"
#include "jobs/yaml/yaml_value.h"

#include <stdio.h>
#include <string.h>

/* "17" or "17-24", ended by a comma or the end. */
static bool parse_range(const char *text, size_t len, struct clip_range *to)
{
    char part[48];
    uint64_t first, last;

    if (len >= sizeof part) return false;
    snprintf(part, sizeof part, "%.*s", (int)len, text);
    char *const dash = strchr(part, '-');
    if (dash) *dash = '\0';
    if (!value_u64(part, &first) || !value_u64(dash ? dash + 1 : part, &last)) return false;
    *to = (struct clip_range){ (int64_t)first, (int64_t)last };
    return first <= last && last < INT32_MAX;
}

static status read_clips(struct clip_choice *c, const char *clips)
{
    for (const char *at = clips;; at++) {
        size_t const len = strcspn(at, ",");
        if (c->ranges == CLIP_RANGES || !parse_range(at, len, &c->range[c->ranges]))
            return fail(ST_ARG,
                        "--clips %s: clips' numbers from 0 are allowed, such as 17-24 or 0,3,7-9",
                        clips);
        c->ranges++;
        at += len;
        if (!*at) return ST_OK;
    }
}

static status read_part(struct clip_choice *c, const char *part)
{
    char text[48];
    uint64_t k = 0, n = 0;

    snprintf(text, sizeof text, "%s", part);
    char *const slash = strchr(text, '/');
    if (slash) *slash = '\0';
    bool const ok = slash && value_u64(text, &k) && value_u64(slash + 1, &n);
    if (!ok || k < 1 || k > n || n > INT32_MAX)
        return fail(ST_ARG, "--part %s: K/N is allowed, part K of N, from 1, such as 3/16", part);
    c->part = (int64_t)k;
    c->parts = (int64_t)n;
    return ST_OK;
}

status clip_choice_read(struct clip_choice *c, const char *clips, const char *part)
{
    *c = (struct clip_choice){ .ranges = 0 };
    if (clips) TRY(read_clips(c, clips));
    return part ? read_part(c, part) : ST_OK;
}

bool clip_choice_has(const struct clip_choice *c, int64_t index)
{
    bool wanted = c->ranges == 0;

    for (int i = 0; i < c->ranges && !wanted; i++)
        wanted = c->range[i].first <= index && index <= c->range[i].last;
    return wanted && (!c->parts || index % c->parts == c->part - 1);
}
