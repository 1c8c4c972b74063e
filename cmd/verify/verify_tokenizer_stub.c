/* verify_tokenizer_stub.c - in place of verify_tokenizer.c in a build with MEDIA=0. */
#include "cmd/verify/verify_internal.h"

status verify_tokenizer(struct verify_case *c)
{
    return fail(ST_ARG, "%s: this program was built with MEDIA=0, without a tokenizer", c->dir);
}
