/* verify_clip_stub.c - in place of verify_clip.c in a build with MEDIA=0. */
#include "cmd/verify/verify_internal.h"

bool verify_is_clip(const char *dir)
{
    (void)dir;
    return false;
}

status verify_clip(const char *dir, int *bad)
{
    (void)bad;
    return fail(ST_ARG, "%s: this program was built with MEDIA=0, without hashes", dir);
}
