/*
 * serve_http.c - the answers over HTTP, by libmicrohttpd.
 *
 * One thread, so requests wait for one another and nothing is shared. What a client can cost is
 * bounded: connections, their memory, their silence. Only GET and HEAD are answered; a body is
 * never read. On a loopback address only names of this machine are accepted as the host asked for,
 * so a page of another site whose name was made to point here gets nothing.
 */
#include "base/log.h"
#include "cmd/serve/serve_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONNECTIONS = 64, SILENCE_S = 10, MEMORY = 32 << 10 };

struct serve_http {
    struct MHD_Daemon *daemon;
    struct serve *serve;
    bool loopback;
};

/* ---- answers ---- */

static const struct {
    const char *name, *value;
} headers[] = {
    { "Content-Security-Policy",
      "default-src 'none'; img-src 'self'; style-src 'self'; base-uri 'none'; form-action 'none'; "
      "frame-ancestors 'none'" },
    { "X-Content-Type-Options", "nosniff" },
    { "X-Frame-Options", "DENY" },
    { "Referrer-Policy", "no-referrer" },
    { "Cross-Origin-Resource-Policy", "same-origin" },
    { "Cross-Origin-Opener-Policy", "same-origin" },
};

static enum MHD_Result send_response(struct MHD_Connection *c, int code, struct MHD_Response *r)
{
    for (int i = 0; i < COUNT_OF(headers); i++)
        MHD_add_response_header(r, headers[i].name, headers[i].value);
    enum MHD_Result const sent = MHD_queue_response(c, (unsigned)code, r);
    MHD_destroy_response(r);
    return sent;
}

static enum MHD_Result send_refusal(struct MHD_Connection *c, int code, const char *words)
{
    struct MHD_Response *const r = MHD_create_response_from_buffer(
        strlen(words), (void *)(uintptr_t)words, MHD_RESPMEM_PERSISTENT);

    if (!r) return MHD_NO;
    MHD_add_response_header(r, "Content-Type", "text/plain; charset=utf-8");
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED) MHD_add_response_header(r, "Allow", "GET, HEAD");
    return send_response(c, code, r);
}

/* The body goes over to the response. */
static struct MHD_Response *make_response(struct serve_answer *a)
{
    char keep[40] = "no-store";
    struct MHD_Response *r;

    if (a->fd >= 0) r = MHD_create_response_from_fd64((uint64_t)a->size, a->fd);
    else r = MHD_create_response_from_buffer(a->body.len, a->body.s, MHD_RESPMEM_MUST_FREE);
    if (!r) return NULL;
    a->fd = -1;
    a->body = (struct strbuf){ 0 };
    if (a->keep_s) snprintf(keep, sizeof keep, "private, max-age=%d", a->keep_s);
    MHD_add_response_header(r, "Content-Type", a->type);
    MHD_add_response_header(r, "Cache-Control", keep);
    return r;
}

/* Does a Host header name this machine? A port may follow. */
static bool is_this_machine(const char *host)
{
    static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };

    for (int i = 0; host && i < COUNT_OF(names); i++) {
        size_t const n = strlen(names[i]);
        if (!strncmp(host, names[i], n) && (!host[n] || host[n] == ':')) return true;
    }
    return false;
}

static enum MHD_Result answer_request(void *arg, struct MHD_Connection *c, const char *path,
                                      const char *method, const char *version, const char *upload,
                                      size_t *upload_size, void **request)
{
    struct serve_http *const h = arg;
    struct serve_answer a;

    (void)version, (void)upload, (void)upload_size, (void)request;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return send_refusal(c, MHD_HTTP_METHOD_NOT_ALLOWED, "this page is only for reading\n");
    if (h->loopback && !is_this_machine(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host")))
        return send_refusal(c, MHD_HTTP_FORBIDDEN, "ask for localhost or 127.0.0.1\n");
    serve_answer_find(h->serve, path, &a);
    struct MHD_Response *const r = a.body.failed ? NULL : make_response(&a);
    strbuf_free(&a.body);
    if (a.fd >= 0) close(a.fd); /* no response has taken it over */
    return r ? send_response(c, a.code, r) : MHD_NO;
}

/* ---- listening ---- */

/* "127.0.0.1:8080", "[::1]:8080" in two. */
static bool split_address(char *text, char **host, char **port)
{
    char *const colon = strrchr(text, ':');

    if (!colon || colon == text || !colon[1] ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    *colon = '\0';
    *port = colon + 1;
    *host = text;
    if (text[0] != '[') return !strchr(text, ':');
    if (colon[-1] != ']') return false;
    colon[-1] = '\0';
    *host = text + 1;
    return true;
}

static bool find_address(const char *text, struct addrinfo **out)
{
    struct addrinfo const hints = { .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
    char copy[128];
    char *host, *port;

    if (strlen(text) >= sizeof copy) return false;
    snprintf(copy, sizeof copy, "%s", text);
    if (!split_address(copy, &host, &port) || strlen(port) > 5 || atoi(port) > 65535) return false;
    return !getaddrinfo(strcmp(host, "localhost") ? host : "127.0.0.1", port, &hints, out);
}

static bool is_loopback(const struct sockaddr *a)
{
    const struct sockaddr_in *const v4 = (const void *)a;
    const struct sockaddr_in6 *const v6 = (const void *)a;

    if (a->sa_family == AF_INET) return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static void drop_log(void *arg, const char *fmt, va_list ap) { (void)arg, (void)fmt, (void)ap; }

static struct MHD_Daemon *start_daemon(struct serve_http *h, const struct addrinfo *at)
{
    unsigned const flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_AUTO | MHD_USE_ERROR_LOG |
                           (at->ai_family == AF_INET6 ? (unsigned)MHD_USE_IPv6 : 0);

    return MHD_start_daemon(flags, 0, NULL, NULL, answer_request, h, MHD_OPTION_EXTERNAL_LOGGER,
                            drop_log, NULL, MHD_OPTION_SOCK_ADDR, at->ai_addr,
                            MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
                            MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
                            MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY, MHD_OPTION_END);
}

status serve_http_open(struct serve_http **out, struct serve *s, const char *listen, int *port)
{
    struct addrinfo *at = NULL;

    *out = NULL;
    if (!find_address(listen, &at))
        return fail(ST_ARG,
                    "--listen %s: an address and a port are allowed, such as 127.0.0.1:8080 or "
                    "[::1]:8080",
                    listen);
    struct serve_http *const h = calloc(1, sizeof *h);
    if (h) {
        *h = (struct serve_http){ .serve = s, .loopback = is_loopback(at->ai_addr) };
        errno = 0;
        h->daemon = start_daemon(h, at);
    }
    freeaddrinfo(at);
    if (!h || !h->daemon) {
        free(h);
        return fail(ST_IO, "cannot listen on %s: %s", listen,
                    errno ? strerror(errno) : "no memory");
    }
    if (!h->loopback)
        log_warn("serve: %s is open to the network: whoever reaches it sees the queue", listen);
    *port = (int)MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    *out = h;
    return ST_OK;
}

void serve_http_close(struct serve_http **http)
{
    struct serve_http *const h = *http;

    *http = NULL;
    if (!h) return;
    MHD_stop_daemon(h->daemon);
    free(h);
}
