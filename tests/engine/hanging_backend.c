/* hanging_backend.c - a copy of the processor's backend with one call in its place. A context says
 * whose it is, so what is opened here gets the copy, too. */
#include "tests/engine/hanging_backend.h"

#include <unistd.h>

static struct kern_backend hanging;

static _Noreturn void hang_for_ever(void)
{
    for (;;) pause();
}

static status hang_in_open(struct kern_ctx **out, const struct kern_config *c)
{
    (void)out, (void)c;
    hang_for_ever();
}

static status open_usual(struct kern_ctx **out, const struct kern_config *c)
{
    TRY(kern_backend_find("cpu")->open(out, c));
    (*out)->backend = &hanging;
    return ST_OK;
}

static status hang_in_unpatchify(struct kern_ctx *ctx, const struct kern_unpatchify *a)
{
    (void)ctx, (void)a;
    hang_for_ever();
}

static status hang_in_conv3d(struct kern_ctx *ctx, const struct kern_conv3d *a)
{
    (void)ctx, (void)a;
    hang_for_ever();
}

static status hang_in_linear(struct kern_ctx *ctx, const struct kern_linear *a)
{
    (void)ctx, (void)a;
    hang_for_ever();
}

const struct kern_backend *hanging_backend(enum hang where)
{
    hanging = *kern_backend_find("cpu");
    hanging.open = where == HANG_OPEN ? hang_in_open : open_usual;
    if (where == HANG_LINE) hanging.ops.unpatchify = hang_in_unpatchify;
    if (where == HANG_DECODE) hanging.ops.conv3d = hang_in_conv3d;
    if (where == HANG_TEXT) hanging.ops.linear = hang_in_linear;
    return &hanging;
}
