/* serve_http_stub.c - in place of serve_http.c in a build with HTTP=0. */
#include "cmd/serve/serve_internal.h"

status serve_http_open(struct serve_http **out, struct serve *s, const char *listen, int *port)
{
    (void)s, (void)listen, (void)port;
    *out = NULL;
    return fail(ST_FORMAT, "this program was built without libmicrohttpd (HTTP=0): no page");
}

void serve_http_close(struct serve_http **h) { *h = NULL; }
